"""A CSV file into a table: create, update or delete rows, all of them or none.

The file is read in blocks by a thread and handed to COPY while the next block is read.
New rows go straight into their table, so that PostgreSQL itself names the line of a row
it refuses; updates and deletions go by a temporary table.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import BinaryIO

from atom.errors import ApiError, nearest
from atom.feature import transfer_stage as stage
from atom.feature.transfer_cell import Column, for_copy
from atom.feature.transfer_csv import Reader
from atom.feature.transfer_fault import located, on_line
from atom.sql import transfer as write
from atom.sql.catalog import Table, shown, unknown_column
from atom.sql.identifier import public
from atom.sql.run import Connection, Database, affected

MODES = ("create", "update", "delete")


async def load(
    database: Database, mode: str, table: str, file: BinaryIO, *, seconds: float = 600.0
) -> int:
    """Apply a CSV file to a table in one transaction. Return the number of rows.

    Raises:
        ApiError: `transfer.unknown_mode`, `transfer.unreadable_file`,
            `transfer.unreadable_value`, `sql.unknown_column`.
        NotFound: `sql.unknown_table`; `row.missing` for an id that is not there.
        Conflict: for an id that comes twice, and what the rules of the table say.
    """
    if mode not in MODES:
        raise ApiError(
            f"There is no mode '{shown(mode)}': create, update or delete.",
            code="transfer.unknown_mode",
            hint=nearest(mode[:60], MODES),
        )
    live = database.catalog.table(table)
    reader = await asyncio.to_thread(Reader, file)
    columns = chosen(live, reader.header, mode)
    names = [column.name for column in columns]
    source = Source(reader, columns)
    async with database.transaction(timeout_ms=int(seconds * 1000)) as connection:
        # A time without an offset is UTC, whatever the role's habit.
        await connection.value("select set_config('timezone', 'UTC', true)")
        if mode == "create":
            number = await _copy(connection, source, ("public", table), seconds)
            if number and "id" in names:
                await connection.value(write.advance(table), public(table))
        else:
            await stage.make(connection, table, names)
            number = await _copy(connection, source, ("pg_temp", stage.NAME), seconds)
            if number:
                text = stage.statement(mode, table, names)
                rows = stage.Rows(table, number, file)
                await stage.apply(connection, text, rows, seconds)
    if number:
        database.written(table)
    return number


def chosen(table: Table, header: Sequence[str], mode: str) -> list[Column]:
    """Return the columns of the file, checked against the table's.

    Raises:
        ApiError: when one is not there, comes twice, or the mode needs another.
    """
    for place, name in enumerate(header, 1):
        live = table.columns.get(name)
        if live is None:
            error = unknown_column(table.name, name, table.columns)
            if ";" in name or "\t" in name:
                error.hint = "Cells are separated by commas."
            raise on_line(error, f"header, cell {place}")
        if header.index(name) != place - 1 or live.generated:
            why = "is computed" if live.generated else "stands there twice"
            raise ApiError(
                f"header, cell {place}: column '{name}' {why}.",
                code="transfer.unreadable_file",
            )
    if mode != "create" and "id" not in header:
        raise ApiError(
            f"Mode {mode} needs the column 'id'.", code="transfer.unreadable_file"
        )
    if mode == "update" and len(header) == 1:
        raise ApiError(
            "Mode update needs a column besides 'id'.", code="transfer.unreadable_file"
        )
    return [
        Column(table.columns[name], filled=name == "id" or table.columns[name].not_null)
        for name in header
    ]


class Source:
    """The rows of a file on their way to COPY, counted."""

    def __init__(self, reader: Reader, columns: Sequence[Column]) -> None:
        self.columns = columns
        self.reader = reader
        self.count = 0
        self._ahead: asyncio.Future[bytes | None] | None = None

    def _parts(self) -> Iterator[bytes]:
        # COPY counts line feeds inside quotes only after it has seen one line's end.
        yield b"header\n"
        for rows in self.reader:
            part = for_copy(self.columns, rows)
            self.count += len(rows.rows)
            yield part

    def line(self, copied: int) -> int:
        """Return the line of the file for a line as COPY counts them."""
        return self.reader.line(copied - 1)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Read ahead one part, so that thread and PostgreSQL work at once."""
        parts, loop = self._parts(), asyncio.get_running_loop()
        self._ahead = loop.run_in_executor(None, next, parts, None)
        while (part := await asyncio.shield(self._ahead)) is not None:
            self._ahead = loop.run_in_executor(None, next, parts, None)
            yield part

    async def close(self) -> None:
        """Return once no thread reads the file any more."""
        if self._ahead is not None:
            await asyncio.wait([self._ahead])
            self._ahead.exception()  # heard already, where it mattered


async def _copy(
    connection: Connection, source: Source, into: tuple[str, str], seconds: float
) -> int:
    """Send the file to COPY. Return how many rows it wrote."""
    schema, table = into
    try:
        status = await connection.raw.copy_to_table(
            table,
            schema_name=schema,
            columns=[column.name for column in source.columns],
            source=source,
            format="csv",
            header=True,
            encoding="utf8",
            timeout=seconds,
        )
    except Exception as error:
        raise located(error, source.columns, source.line) from error
    finally:
        await source.close()
    return affected(status)
