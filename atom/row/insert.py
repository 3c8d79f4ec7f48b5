"""Rows inserted together, and the search for the one of them that is refused."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from atom.datatype import value
from atom.datatype.datatype import datatype
from atom.errors import ApiError, Conflict
from atom.postgres.catalog import Table
from atom.postgres.database import Connection, Database
from atom.postgres.errors import UnlocatedValue
from atom.row import payload
from atom.row.explain_error import about
from atom.row.sql import write

Row = dict[str, Any]
Group = tuple[tuple[str, ...], Sequence[int]]  # columns, and the places of their rows
# Returns the statement and values of one row; it is refused too if it returns no row.
Attempt = Callable[[int, Row], tuple[Any, ...]]
BUSY = "row.busy"
TRIED_MAX = 1000  # rows tried one by one to find the one that is refused


async def insert(
    database: Database, table: Table, rows: Sequence[Row], lock_ms: int | None = None
) -> list[int]:
    """Insert rows, all or none. Return their ids, in the order of the rows.

    `lock_ms` is how long to wait for a lock; None leaves it to the session.

    Raises:
        Conflict: `row.refused` when a trigger leaves a single row out.
    """
    groups = grouped(rows)
    if lock_ms is None and len(groups) == 1:
        if len(rows) == 1:
            return [await insert_one(database, table, rows[0])]
        return await _insert(database, table, groups[0][0], rows)
    ids = [0] * len(rows)
    async with database.transaction(lock_ms=lock_ms) as connection:
        if len(rows) == 1:
            return [await insert_one(connection, table, rows[0])]
        for names, places in groups:
            chosen = [rows[place] for place in places]
            made = await _insert(connection, table, names, chosen)
            for place, row_id in zip(places, made, strict=True):
                ids[place] = row_id
    return ids


async def insert_one(source: Database | Connection, table: Table, row: Row) -> int:
    """Insert one row. Return its id.

    Raises:
        Conflict: `row.refused` when a trigger leaves it out.
    """
    names = tuple(sorted(row))
    values = [row[name] for name in names]
    try:
        made: int | None = await source.value(write.insert(table, names), *values)
    except UnlocatedValue as error:
        error.about = (table, row)
        raise
    if made is None:
        raise left_out(table)
    return made


async def _insert(
    source: Database | Connection,
    table: Table,
    names: tuple[str, ...],
    rows: Sequence[Row],
) -> list[int]:
    lists = listed(table, names, rows)
    made: list[int] = await source.value(write.insert_many(table, names), *lists)
    return made


def left_out(table: Table) -> Conflict:
    """Return the error for a row that a trigger replaced by null."""
    return Conflict(
        f"A trigger of table '{table.name}' leaves this row out.", code="row.refused"
    )


def grouped(rows: Sequence[Row]) -> list[Group]:
    """Sort rows into groups of the same columns; what a row leaves out is its default.

    The defaults of the catalog are not used: it may be out of date.
    """
    first = rows[0].keys()
    if all(row.keys() == first for row in rows):
        return [(tuple(sorted(first)), range(len(rows)))]
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(tuple(sorted(row)), []).append(place)
    return list(groups.items())


def listed(table: Table, names: Iterable[str], rows: Sequence[Row]) -> list[list[Any]]:
    """Turn rows into one list for each column; arrays travel as literals."""
    lists = []
    for name in names:
        items = [row.get(name) for row in rows]
        if datatype(table.columns[name].datatype).element is not None:
            items = [value.literal(item) for item in items]
        lists.append(items)
    return lists


async def find_refused(
    database: Database,
    table: Table,
    rows: Sequence[Row],
    attempt: Attempt,
    error: ApiError,
) -> ApiError:
    """Find the row that is refused, by trying them one by one and keeping none.

    Returns the error to raise: naming the row, or the one that came first.
    """
    if error.status >= 500 or error.code == BUSY:
        return error
    async with database.connection() as connection:
        transaction = connection.raw.transaction()
        await transaction.start()
        try:
            for number, row in enumerate(islice(rows, TRIED_MAX)):
                with about(table, row):
                    if await connection.value(*attempt(number, row)) is None:
                        return payload.placed(error, number)
        except ApiError as refusal:
            return payload.placed(refusal, number)
        finally:
            await transaction.rollback()
    return error
