"""Files on their way to COPY: read in blocks by a thread, one block prefetch."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Generic, TypeVar

from atom.errors import ApiError
from atom.postgres.catalog import Table, unknown_column
from atom.postgres.database import Connection, affected
from atom.transfer.cell import Column, for_copy
from atom.transfer.csv_file import Reader
from atom.transfer.fault import located, on_line
from atom.transfer.request import ImportRequest, Progress

Into = tuple[str, str]  # schema and table
Names = tuple[str, ...]
T = TypeVar("T")
CSV = {"format": "csv", "header": True}


class Prefetch(Generic[T]):
    """Has a thread make the next part while this one is used."""

    def __init__(self, parts: Iterator[T]) -> None:
        self._parts = parts
        self._next: asyncio.Future[T | None] | None = None

    async def __aiter__(self) -> AsyncIterator[T]:
        loop = asyncio.get_running_loop()
        self._next = loop.run_in_executor(None, next, self._parts, None)
        while (part := await asyncio.shield(self._next)) is not None:
            self._next = loop.run_in_executor(None, next, self._parts, None)
            yield part

    async def close(self) -> None:
        """Return once no thread works any more."""
        if self._next is not None:
            await asyncio.wait([self._next])
            self._next.exception()  # raised already, where it mattered


class CsvSource:
    """The rows of a CSV file; all name the same columns."""

    def __init__(
        self, reader: Reader, request: ImportRequest, progress: Progress
    ) -> None:
        self.names = chosen(request, reader.header)
        self.shapes = {0: self.names}
        live = request.table.columns
        self._columns = [
            Column(
                live[name],
                filled=request.is_filled(live[name]),
                is_name=request.is_name(name),
            )
            for name in self.names
        ]
        self._reader = reader
        # As it is exported: the only cell of a row may be NULL.
        lone = live[self.names[0]] if len(self.names) == 1 else None
        reader.keeps_empty = lone is not None and not request.is_filled(lone)
        self._progress = progress

    def _parts(self) -> Iterator[bytes]:
        # COPY counts line feeds inside quotes only after it has seen one line's end.
        yield b"header\n"
        for rows in self._reader:
            part = for_copy(self._columns, rows)
            self._progress.rows += len(rows.rows)
            yield part

    def _line(self, copied: int) -> int:
        """Return the line of the file for a line as COPY counts them."""
        return self._reader.line(copied - 1)

    async def copy(self, connection: Connection, into: Into, seconds: float) -> int:
        """Send the file to COPY. Return how many rows it wrote."""
        prefetch = Prefetch(self._parts())
        try:
            return await send(
                connection, into, self.names, prefetch, **CSV, timeout=seconds
            )
        except Exception as error:
            raise located(error, self._columns, self._line) from error
        finally:
            await prefetch.close()


async def send(
    connection: Connection, into: Into, names: Sequence[str], source: Any, **form: Any
) -> int:
    """Send the parts of a source to COPY. Return how many rows it wrote."""
    schema, table = into
    status = await connection.raw.copy_to_table(
        table, schema_name=schema, columns=names, source=source, encoding="utf8", **form
    )
    return affected(status)


def chosen(request: ImportRequest, header: Sequence[str]) -> Names:
    """Return the columns of a header, checked against the table's.

    Raises:
        ApiError: when one is not there, comes twice, or the mode needs another.
    """
    for place, name in enumerate(header, 1):
        at = f"header, cell {place}"
        if not name:
            raise ApiError(
                f"{at}: is empty.",
                code="transfer.unreadable_file",
                hint="Each column has a name; a comma at the end makes one more.",
            )
        check(request.table, name, at, is_table=";" in name or "\t" in name)
        if header.index(name) != place - 1:
            raise ApiError(
                f"{at}: column '{name}' is named twice.",
                code="transfer.unreadable_file",
            )
    request.require(header)
    return tuple(header)


def check(table: Table, name: str, at: str, *, is_table: bool = False) -> None:
    """Refuse a column that is not there, or may not be written.

    Raises:
        ApiError: with the place where it is named.
    """
    live = table.columns.get(name)
    if live is None:
        error = unknown_column(table.name, name, table.columns)
        if is_table:
            error.hint = "Cells are separated by commas."
        raise on_line(error, at)
    if live.generated and not live.identity:
        raise ApiError(
            f"{at}: column '{name}' is computed.", code="transfer.unreadable_file"
        )
