"""Which form of a scope is fastest, found for each caller of a statement.

An array of ids is best for all but large scopes: of those that took long and hold many
ids every form is tried once, and the fastest is used from then on.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

from atom.errors import TimedOut
from atom.postgres.condition import Form, numbered
from atom.postgres.database import Database
from atom.row.sql import read_plan

SLOW_SECONDS = 0.01
LARGE = 500  # ids
TRIED_MAX = 4096
PATIENCE = 4  # times as long as the array a form may take
FORMS = (Form.ARRAY, Form.JOIN, Form.HASH)

Key = tuple[str, tuple[Any, ...]]  # a statement, and what it takes of the caller
# How many seconds each form took, in order; empty where the scope is small.
_tried: dict[Key, list[float]] = {}


async def fetch(
    database: Database,
    asked: read_plan.Read,
    values: tuple[Any, ...],
    seconds: float | None,
) -> Mapping[str, Any] | None:
    """Run a read, in the form that is fastest for its caller."""
    text = asked.statement.text
    key = text, values[: len(asked.statement.takes)]
    took = _tried.get(key)
    place = _place(took) if took else 0
    began = time.perf_counter()
    if not place or took is None:
        row = await database.row(text, *values, seconds=seconds)
        spent = time.perf_counter() - began
        if took:
            took[0] = spent
        elif took is None and spent > SLOW_SECONDS and database.current() is None:
            await _remember(database, asked, key, spent)
        return row
    other = read_plan.select(replace(asked.plan, form=FORMS[place]))
    most = max(PATIENCE * took[0], 1.0)
    try:
        row = await database.row(other, *values, seconds=min(most, seconds or most))
    except TimedOut:
        took[place:] = [inf, *took[place + 1 :]]
        return await database.row(text, *values, seconds=seconds)
    took[place:] = [time.perf_counter() - began, *took[place + 1 :]]
    return row


def _place(took: list[float]) -> int:
    """Return the place of the form to use: one that was not tried yet, the fastest."""
    return len(took) if len(took) < len(FORMS) else took.index(min(took))


async def _remember(
    database: Database, asked: read_plan.Read, key: Key, spent: float
) -> None:
    """Note whether a scope is large, so that its other forms are worth a trial."""
    where = asked.plan.row_set.rule.where
    assert where is not None  # it has a scope
    counts = where.sizes(numbered(where.binds), LARGE)
    text = f"select greatest({', '.join(f'({each})' for each in counts)})"
    of_caller = dict(zip(asked.statement.takes, key[1], strict=True))
    size = await database.value(text, *(of_caller[name] for name in where.binds))
    if len(_tried) >= TRIED_MAX:
        del _tried[next(iter(_tried))]
    _tried[key] = [spent] if size >= LARGE else []
