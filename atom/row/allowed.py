"""Whether a rule allows rows that were not written, as there are others like them.

Otherwise a caller who may not write a row would learn that there is one like it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from atom.postgres.database import Database
from atom.postgres.errors import refused_by_rule
from atom.row.payload import placed
from atom.row.scope import RowScope
from atom.row.sql import write
from atom.row.sql.statement import RowSet

ASKED_MAX = 1000  # rows that are asked for one by one


async def require_allowed(
    database: Database,
    bind: Callable[..., tuple[Any, ...]],  # `RowScope.bind`
    into: RowSet,
    rows: Sequence[Mapping[str, Any]],
    *,
    many: bool,
) -> None:
    """Refuse rows that the rule refuses, after they met rows that are there.

    Raises:
        Forbidden: `row.rule_refused`.
    """
    if into.rule.check is None:
        return
    for number, row in enumerate(islice(rows, ASKED_MAX)):
        sent = {name: row[name] for name in row if name not in into.rule.preset}
        takes = into.rule.takes_to_write(sent)
        text = write.proposed(into, tuple(sent))
        if not await database.value(*bind(takes, text, *sent.values())):
            error = refused_by_rule()
            raise placed(error, number) if many else error


async def explain_conflict(
    database: Database,
    bind: Callable[..., tuple[Any, ...]],
    into: RowSet,
    rows: Sequence[Mapping[str, Any]],
    *,
    many: bool,
) -> None:
    """Refuse new rows by their rule first, after a conflict.

    In a transaction of the caller nothing can be asked any more.

    Raises:
        Forbidden: `row.rule_refused`.
    """
    if database.current() is None:
        await require_allowed(database, bind, into, rows, many=many)


async def explain_changes(
    database: Database,
    scope: RowScope,
    row_set: RowSet,
    changes: Iterable[tuple[Sequence[Any], Mapping[str, Any]]],
    by: tuple[str, ...] = (),
    *,
    many: bool,
) -> None:
    """Refuse changes of rows by their rule first, after a conflict.

    A change is what its row is found `by`, or its key; and the values of its columns.
    In a transaction of the caller nothing can be asked any more.

    Raises:
        Forbidden: `row.rule_refused`.
    """
    rule, by = row_set.rule, by or (row_set.table.key,)
    if rule.check is None or database.current() is not None:
        return
    stamps = scope.stamps(row_set.table, create=False)
    for number, (found, row) in enumerate(islice(changes, ASKED_MAX)):
        sent = {n: v for n, v in {**row, **stamps}.items() if n not in rule.preset}
        text = write.proposed_change(row_set, tuple(sent), by)
        takes = rule.takes_to_write(sent)
        call = scope.bind(takes, text, *found, *sent.values())
        if await database.value(*call) is False:
            error = refused_by_rule()
            raise placed(error, number) if many else error
