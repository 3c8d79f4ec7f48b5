"""Changing rows: created, updated and deleted, all of them or none."""

from collections.abc import Mapping
from typing import Any

from atom.errors import ApiError, NotFound
from atom.feature import row_value
from atom.feature.reach import Reach
from atom.sql import plan, query, value, write
from atom.sql.catalog import Table
from atom.sql.datatype import datatype
from atom.sql.run import Connection, Database
from atom.sql.statement import Statement

BLAMED_MAX = 1000  # rows tried one by one to find the one that is refused


async def create(
    database: Database, reach: Reach, table: str, body: Any
) -> int | list[int]:
    """Add a row, or a list of rows in one statement. Return the id or ids, in order.

    Raises:
        Forbidden: `row.table_not_allowed`.
        ApiError: naming the row (of a list) and the column.
        Conflict: `row.exists`.
    """
    found = reach.creatable(database.catalog, table).table
    listed, many = row_value.rows(body)
    stamps = reach.stamps(found, create=True)
    rows = []
    for number, row in enumerate(listed):
        try:
            read = await row_value.read(reach, found, row, create=True)
        except ApiError as error:
            raise (row_value.placed(error, number) if many else error) from None
        rows.append({**read, **stamps})
    if not many:
        names = tuple(sorted(rows[0]))
        values = [rows[0][name] for name in names]
        made: int = await database.value(write.insert(found, names), *values)
        database.written(table)
        return made
    try:
        ids = [row["id"] for row in await _insert(database, found, rows)]
    except ApiError as error:
        await _blame(database, found, rows, error)
        raise
    database.written(table)
    return ids


async def _insert(
    source: Database | Connection, table: Table, rows: list[dict[str, Any]]
) -> list[Mapping[str, Any]]:
    """Insert rows in one statement."""
    names = tuple(sorted({name for row in rows for name in row}))
    if all(len(row) == len(names) for row in rows):
        lists = [[_listed(table, name, row[name]) for row in rows] for name in names]
        return await source.rows(write.insert_many(table, names), *lists)
    values = [row[name] for row in rows for name in names if name in row]
    if len(values) > write.PARAMETERS_MAX:
        raise ApiError(
            "So many rows must all have the same columns.",
            hint="Write null where a row has no value, or send fewer rows.",
        )
    text = write.insert_mixed(table, names, tuple(frozenset(row) for row in rows))
    return await source.rows(text, *values)


def _listed(table: Table, name: str, item: Any) -> Any:
    """Return a value as it travels in a list of its kind."""
    if datatype(table.columns[name].datatype).element is None:
        return item
    return value.literal(item)


async def _blame(
    database: Database, table: Table, rows: list[dict[str, Any]], error: ApiError
) -> None:
    """Find the row that is refused, by trying them one by one and keeping none.

    Raises:
        ApiError: what the database said, and of which row.
    """
    if error.status >= 500 or len(rows) > BLAMED_MAX:
        return
    refused: ApiError | None = None
    async with database.connection() as connection:
        transaction = connection.raw.transaction()
        await transaction.start()
        try:
            for number, row in enumerate(rows):
                text = write.insert(table, tuple(row))
                try:
                    await connection.value(text, *row.values())
                except ApiError as found:
                    refused = row_value.placed(found, number)
                    break
        finally:
            await transaction.rollback()
    if refused is not None and refused.code == error.code:
        raise refused from None


async def update(database: Database, reach: Reach, table: str, body: Any) -> int:
    """Change one row, by the `id` in its body. Return that id.

    Raises:
        NotFound: `row.missing` when there is no such row, or it is not the caller's.
        ApiError: naming the column.
    """
    target = reach.changeable(database.catalog, table)
    if not isinstance(body, Mapping):
        raise ApiError("The body takes an object with 'id'.")
    row_id = row_value.identity(body.get("id"))
    changes = {name: raw for name, raw in body.items() if name != "id"}
    read = await row_value.read(reach, target.table, changes, create=False)
    read |= reach.stamps(target.table, create=False)
    text = write.update(target, tuple(read))
    values = (row_id, *read.values())
    bound = Statement(text, values, target.owned).bound(reach.owner)
    if await database.value(text, *bound) is None:
        raise missing(reach)
    database.written(table)
    return row_id


async def update_ids(
    database: Database, reach: Reach, table: str, ids: Any, column: str, raw: Any
) -> int:
    """Write one value into a column of several rows. Return how many there were.

    Raises:
        ApiError: naming the ids or the column that cannot be read.
    """
    target = reach.changeable(database.catalog, table)
    which = row_value.identities(ids)
    read = await row_value.read(reach, target.table, {column: raw}, create=False)
    read |= reach.stamps(target.table, create=False)
    text = write.update_ids(target, tuple(read))
    return await _run(
        database, reach, Statement(text, (which, *read.values()), target.owned), table
    )


async def delete_ids(database: Database, reach: Reach, table: str, ids: Any) -> int:
    """Delete rows by id. Return how many there were.

    Raises:
        ApiError: when the ids cannot be read.
        Conflict: `row.refused` when one of them is protected; then none is deleted.
    """
    target = reach.changeable(database.catalog, table)
    which = row_value.identities(ids)
    text = write.delete_ids(target)
    return await _run(database, reach, Statement(text, (which,), target.owned), table)


async def delete_any(database: Database, reach: Reach, raw: bytes) -> int:
    """Delete the rows that meet every filter of a query string. Return how many.

    Raises:
        ApiError: without a filter, or naming what cannot be read in one.
        Conflict: `row.refused` when one of them is protected; then none is deleted.
    """
    named, asked = query.split(query.decoded(raw), ("table",))
    target = reach.changeable(database.catalog, named["table"])
    if not asked:
        raise ApiError(
            "At least one filter is needed.", hint="For example title==,old."
        )
    view = reach.view(database.catalog, target.table.name)
    shapes, values = plan.conditions(view, asked)
    text = write.delete_any(target, shapes)
    return await _run(
        database, reach, Statement(text, values, target.owned), named["table"]
    )


async def _run(
    database: Database, reach: Reach, statement: Statement, table: str
) -> int:
    count = await database.run(statement.text, *statement.bound(reach.owner))
    if count:
        database.written(table)
    return count


def missing(reach: Reach) -> NotFound:
    """Say that a row is not there; to its caller one of somebody else is not there."""
    if reach.owner is None:
        return NotFound("There is no such row.")
    return NotFound("There is no such row, or it is not yours.")
