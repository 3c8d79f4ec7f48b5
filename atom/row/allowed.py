"""Whether a rule allows rows that were not added, as there are others like them."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from atom.postgres.database import Database
from atom.postgres.errors import refused_by_rule
from atom.row.sql import write
from atom.row.sql.statement import RowSet

ASKED_MAX = 1000  # rows that are asked for one by one


async def require_allowed(
    database: Database,
    bind: Callable[..., tuple[Any, ...]],  # `RowScope.bind`
    into: RowSet,
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Refuse rows that the rule refuses, after they met rows that are there.

    Otherwise a caller who may not add a row would learn that there is one like it.

    Raises:
        Forbidden: `row.rule_refused`.
    """
    if into.rule.check is None:
        return
    for row in islice(rows, ASKED_MAX):
        sent = {name: row[name] for name in row if name not in into.rule.preset}
        takes = into.rule.takes_to_write(sent)
        text = write.proposed(into, tuple(sent))
        if not await database.value(*bind(takes, text, *sent.values())):
            raise refused_by_rule()


async def explain_conflict(
    database: Database,
    bind: Callable[..., tuple[Any, ...]],
    into: RowSet,
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Refuse rows by their rule first, after a statement that failed with a conflict.

    In a transaction of the caller nothing can be asked any more.

    Raises:
        Forbidden: `row.rule_refused`.
    """
    if database.current() is None:
        await require_allowed(database, bind, into, rows)
