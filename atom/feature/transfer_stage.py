"""Rows of a file in a temporary table, applied to rows that exist: update, delete."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from atom.errors import ApiError, Conflict, NotFound
from atom.feature.transfer_fault import on_line, ordinal_line
from atom.sql import transfer as write
from atom.sql.run import Connection, affected, told

NAME = "atom_import"


@dataclass(frozen=True, slots=True)
class Rows:
    """What stands in the stage, and where it came from."""

    table: str
    count: int
    file: BinaryIO

    async def line(self, ordinal: int) -> int:
        """Return the line of the file a row of the stage was read from."""
        return await asyncio.to_thread(ordinal_line, self.file, ordinal)


async def make(connection: Connection, table: str, columns: Sequence[str]) -> None:
    """Make the stage; it is gone with the transaction."""
    await connection.run(write.stage(table, columns))
    await connection.run(write.number_stage())


def statement(mode: str, table: str, columns: Sequence[str]) -> str:
    """Write the statement that applies the rows of the stage from $1 to $2."""
    if mode == "delete":
        return write.delete(table)
    return write.update(table, columns)


async def apply(connection: Connection, text: str, rows: Rows, seconds: float) -> None:
    """Run the statement for every row of the stage, or for none.

    Raises:
        Conflict: `transfer.id_twice`, or what a rule of the table says.
        NotFound: `row.missing`, naming the line of the first id that is not there.
    """
    await connection.run(write.ANALYZE)
    twice = await connection.row(write.repeated())
    if twice is not None:
        line, first = [await rows.line(twice[key]) for key in ("again", "first")]
        raise Conflict(
            f"line {line}, column id: {twice['id']} stands in line {first} already.",
            code="transfer.id_twice",
        )
    gone = await connection.row(write.absent(rows.table))
    if gone is not None:
        line = await rows.line(gone["ordinal"])
        raise NotFound(
            f"line {line}, column id: table '{rows.table}' has no row {gone['id']}."
        )
    done = await _all_or_named(connection, text, rows, seconds)
    if done != rows.count:
        raise Conflict(
            f"{rows.count - done} rows would stay as they are: a rule of table"
            f" '{rows.table}' keeps them, or somebody deleted them just now.",
            code="row.refused",
            hint="Nothing was changed.",
        )


async def _all_or_named(
    connection: Connection, text: str, rows: Rows, seconds: float
) -> int:
    """Run the statement for all rows; when it fails for one, name its line."""
    try:
        return await _part(connection, text, 1, rows.count, seconds)
    except ApiError as error:
        if error.status >= 500:
            raise
        ordinal = await _culprit(connection, text, rows.count, seconds)
        if ordinal is None:
            raise
        line = await rows.line(ordinal)
        raise on_line(error, f"line {line}") from error


async def _culprit(
    connection: Connection, text: str, count: int, seconds: float
) -> int | None:
    """Return the row of the stage that the statement fails for, by halving.

    None when it fails for no row alone: a rule on the whole statement.
    """
    first, last = 1, count
    while first < last:
        middle = (first + last) // 2
        try:
            await _part(connection, text, first, middle, seconds)
        except ApiError as error:
            if error.status >= 500:
                raise
            last = middle
        else:
            first = middle + 1
    try:
        await _part(connection, text, first, first, seconds)
    except ApiError:
        return first
    return None


async def _part(
    connection: Connection, text: str, first: int, last: int, seconds: float
) -> int:
    """Run the statement for some rows; what fails leaves nothing."""
    try:
        async with connection.raw.transaction():
            return affected(
                await connection.raw.execute(text, first, last, timeout=seconds)
            )
    except Exception as error:
        raise told(error) from error
