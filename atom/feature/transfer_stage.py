"""Rows of a file in a temporary table, applied to rows that exist: update, delete."""

import asyncio
from typing import BinaryIO

from atom.errors import ApiError, Conflict, NotFound
from atom.feature import transfer_sql as write
from atom.feature.transfer_fault import on_line, ordinal_line
from atom.sql.run import Connection

STAGE = "atom_import"


async def make(connection: Connection, table: str, columns: list[str]) -> None:
    """Make the stage; it is gone with the transaction."""
    await connection.run(write.stage(table, columns))
    await connection.run(write.number_stage())


async def apply(
    connection: Connection,
    mode: str,
    table: str,
    columns: list[str],
    *,
    count: int,
    file: BinaryIO,
) -> int:
    """Update or delete what stands in the stage. Return the number of rows.

    Raises:
        Conflict: `transfer.id_twice`, or what a rule of the table says.
        NotFound: `row.missing`, naming the line of the first id that is not there.
    """
    await connection.run(write.ANALYZE)
    twice = await connection.row(write.repeated())
    if twice is not None:
        line = await asyncio.to_thread(ordinal_line, file, twice["again"])
        first = await asyncio.to_thread(ordinal_line, file, twice["first"])
        raise Conflict(
            f"line {line}, column id: {twice['id']} stands in line {first} already.",
            code="transfer.id_twice",
        )
    gone = await connection.row(write.absent(table))
    if gone is not None:
        line = await asyncio.to_thread(ordinal_line, file, gone["ordinal"])
        raise NotFound(
            f"line {line}, column id: table '{table}' has no row {gone['id']}."
        )
    text = write.delete(table)
    if mode == "update":
        text = write.update(table, columns)
    done = await _all_or_named(connection, text, count, file)
    if done != count:
        raise Conflict(
            f"{count - done} rows were left as they are, by a rule of table '{table}'"
            " or because somebody else deleted them meanwhile.",
            code="row.refused",
            hint="Nothing was changed.",
        )
    return done


async def _all_or_named(
    connection: Connection, text: str, count: int, file: BinaryIO
) -> int:
    """Run the statement for the whole stage; name the line if it fails for a row."""
    savepoint = connection.raw.transaction()
    await savepoint.start()
    try:
        done = await connection.run(text, 1, count)
    except ApiError as error:
        await savepoint.rollback()
        if error.status >= 500:
            raise
        ordinal = await _culprit(connection, text, count)
        if ordinal is None:
            raise
        line = await asyncio.to_thread(ordinal_line, file, ordinal)
        raise on_line(error, line) from error
    await savepoint.commit()
    return done


async def _culprit(connection: Connection, text: str, count: int) -> int | None:
    """Return the row of the stage that the statement fails for, by halving.

    None when it fails for no row alone: a rule on the whole statement.
    """
    first, last = 1, count
    while first < last:
        middle = (first + last) // 2
        if await _fails(connection, text, first, middle):
            last = middle
        else:
            first = middle + 1
    return first if await _fails(connection, text, first, first) else None


async def _fails(connection: Connection, text: str, first: int, last: int) -> bool:
    savepoint = connection.raw.transaction()
    await savepoint.start()
    try:
        await connection.run(text, first, last)
    except ApiError as error:
        await savepoint.rollback()
        if error.status >= 500:
            raise
        return True
    await savepoint.commit()
    return False
