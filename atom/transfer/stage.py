"""Rows of a file in a temporary table, applied to the rows that exist."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from atom.errors import ApiError, Conflict, NotFound
from atom.postgres.bisect import first_refused
from atom.postgres.catalog import shown
from atom.postgres.database import Connection, affected
from atom.postgres.errors import translate
from atom.transfer import statement as write
from atom.transfer.fault import on_line, ordinal_line
from atom.transfer.request import ImportRequest

NAME = "atom_import"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows in the stage, and where they came from."""

    request: ImportRequest
    count: int
    shapes: Mapping[int, Sequence[str]]  # which columns the rows name
    file: BinaryIO | None  # None: rows carry their line

    async def line(self, ordinal: int) -> int:
        """Return the line of the file a row of the stage was read from."""
        if self.file is None:
            return ordinal
        return await asyncio.to_thread(ordinal_line, self.file, ordinal)

    def statement(self, shape: int) -> str:
        """Write what applies the rows of the stage from $1 to $2, of shape $3."""
        request, names = self.request, self.shapes[shape]
        if request.mode == "delete":
            return write.delete(request.table)
        if request.mode == "update":
            return write.update(request.table, names)
        merge = request.existing == "merge"
        return write.upsert(request.table, names, request.keys, merge=merge)


async def apply(connection: Connection, rows: Rows, seconds: float) -> int:
    """Apply every row of the stage, or none. Return how many there are.

    Where rows that exist are left alone, only those that were made are counted.

    Raises:
        Conflict: `transfer.id_twice`, or for a rule of the table.
        NotFound: `row.missing`, naming the line of the first key that is not there.
    """
    request, table = rows.request, rows.request.table.name
    await require_known(connection, rows)
    last = await connection.value(write.LAST)
    done = 0
    for shape in rows.shapes:
        done += await _all_or_named(connection, rows, shape, last, seconds)
    if done != rows.count and request.existing == "merge":
        raise Conflict(
            f"{rows.count - done} rows would stay as they are: a rule of table"
            f" '{table}' keeps them, or another caller just deleted them.",
            code="row.refused",
            hint="Nothing was changed.",
        )
    return done


async def require_known(connection: Connection, rows: Rows) -> None:
    """Prepare the stage to be applied, and check that its ids exist, each once.

    Raises:
        Conflict: `transfer.id_twice`.
        NotFound: `row.missing`, naming the line of the first key that is not there.
    """
    request, table = rows.request, rows.request.table.name
    await connection.run(write.ANALYZE)
    if request.keys and request.existing == "merge":
        await _require_once(connection, rows)
    if request.mode not in {"update", "delete"}:
        return
    if gone := await connection.row(write.absent(request.table)):
        line = await rows.line(gone["ordinal"])
        raise NotFound(
            f"line {line}, column {request.table.key}: table '{table}' has no row"
            f" {gone['key']}."
        )


async def _require_once(connection: Connection, rows: Rows) -> None:
    """Refuse a file that names one row twice: which of the two would stay?"""
    keys = rows.request.keys
    twice = await connection.row(write.repeated(keys))
    if twice is None:
        return
    line, first = [await rows.line(twice[key]) for key in ("again", "first")]
    named = "column" if len(keys) == 1 else "columns"
    raise Conflict(
        f"line {line}, {named} {', '.join(keys)}: {shown(twice['keys'])} is in"
        f" line {first} already.",
        code="transfer.id_twice",
    )


async def _all_or_named(
    connection: Connection, rows: Rows, shape: int, last: int, seconds: float
) -> int:
    """Apply all rows of a shape; when that fails for one, name its line."""
    text = rows.statement(shape)
    try:
        return await _part(connection, text, (1, last, shape), seconds)
    except ApiError as error:
        if error.status >= 500:
            raise

        async def write(first: int, end: int) -> None:
            await _part(connection, text, (first, end, shape), seconds)

        found = await first_refused(last, write, _is_refusal)
        if found is None:  # a rule on the whole statement
            raise
        line = await rows.line(found[0])
        raise on_line(error, f"line {line}") from error


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, ApiError) and error.status < 500


async def _part(
    connection: Connection, text: str, chosen: tuple[int, int, int], seconds: float
) -> int:
    """Run the statement for some rows; what fails leaves nothing."""
    try:
        async with connection.raw.transaction():
            return affected(
                await connection.raw.execute(text, *chosen, timeout=seconds)
            )
    except Exception as error:
        raise translate(error) from error
