"""JSON lines on their way to COPY, sorted by the columns each of them names."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from atom.errors import ApiError
from atom.postgres.database import Connection
from atom.transfer.csv_file import fault
from atom.transfer.fault import located, on_line
from atom.transfer.jsonl_cell import Column
from atom.transfer.jsonl_file import Lines, Reader
from atom.transfer.request import ImportRequest, Progress
from atom.transfer.source import Into, Names, Prefetch, check, send

PLACED = ("#", "%")  # the stage's own columns: line and shape
SHAPES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns that some objects name, in their order."""

    number: int
    names: Names
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of one shape, written for COPY."""

    shape: Shape
    lines: Sequence[int]
    text: bytes


class JsonSource:
    """The objects of a file of JSON lines; what one leaves out is its default."""

    def __init__(
        self, reader: Reader, request: ImportRequest, progress: Progress
    ) -> None:
        self.shapes: dict[int, Names] = {}
        self._known: dict[Names, Shape] = {}
        self._columns: dict[str, Column] = {}
        self._reader = reader
        self._request = request
        self._progress = progress

    def _shape(self, names: Names, line: int) -> Shape:
        """Return what is known of objects with these columns."""
        if names in self._known:
            return self._known[names]
        if not names:
            raise fault(line, "the object names no column.")
        for name in names:
            check(self._request.table, name, f"line {line}")
            if name not in self._columns:
                live = self._request.table.columns[name]
                filled = self._request.is_filled(live)
                is_name = self._request.is_name(name)
                self._columns[name] = Column(live, filled=filled, is_name=is_name)
        try:
            self._request.require(names)
        except ApiError as error:
            raise on_line(error, f"line {line}") from None
        if len(self._known) == SHAPES_MAX:
            raise fault(line, f"more than {SHAPES_MAX} different sets of columns.")
        columns = tuple(self._columns[name] for name in names)
        shape = self._known[names] = Shape(len(self._known), names, columns)
        self.shapes[shape.number] = names
        return shape

    def _parts(self, *, placed: bool) -> Iterator[list[Part]]:
        for lines in self._reader:
            made = [
                Part(shape, some.numbers, _text(shape, some, placed))
                for shape, some in self._sorted(lines)
            ]
            self._progress.rows += len(lines.rows)
            yield made

    def _sorted(self, lines: Lines) -> Iterator[tuple[Shape, Lines]]:
        """Sort objects by the columns they name; mostly all name the same."""
        named = list(map(tuple, lines.rows))
        if named.count(named[0]) == len(named):
            yield self._shape(named[0], lines.numbers[0]), lines
            return
        places: dict[Names, list[int]] = {}
        for place, names in enumerate(named):
            places.setdefault(names, []).append(place)
        for names, some in places.items():
            yield (
                self._shape(names, lines.numbers[some[0]]),
                Lines(
                    [lines.rows[place] for place in some],
                    [lines.numbers[place] for place in some],
                ),
            )

    async def copy(self, connection: Connection, into: Into, seconds: float) -> int:
        """Send the file to COPY, some thousand rows at a time. Return how many."""
        placed = PLACED if into[0] != "public" else ()
        prefetch, number = Prefetch(self._parts(placed=bool(placed))), 0
        try:
            async with asyncio.timeout(seconds):
                async for parts in prefetch:
                    for part in parts:
                        names = [*placed, *part.shape.names]
                        number += await _send(connection, into, names, part)
        except TimeoutError as error:
            raise located(error, (), int) from error
        finally:
            await prefetch.close()
        return number


async def _send(
    connection: Connection, into: Into, names: list[str], part: Part
) -> int:
    """Send rows of one shape to COPY. Return how many it wrote."""
    try:
        return await send(connection, into, names, _once(part.text), format="text")
    except Exception as error:
        columns = part.shape.columns
        raise located(error, columns, lambda copied: part.lines[copied - 1]) from error


async def _once(text: bytes) -> AsyncIterator[bytes]:
    """Yield one text for COPY.

    The driver would take bytes for a path, and leaves a cycle for each open file: in it
    the texts of a thousand blocks wait for the garbage collector.
    """
    yield text


def _text(shape: Shape, some: Lines, placed: bool) -> bytes:
    """Write rows as COPY reads text.

    Raises:
        ApiError: `transfer.unreadable_value`, naming line, column and value.
    """
    values: list[Sequence[Any]] = list(zip(*map(dict.values, some.rows), strict=True))
    cells = [
        column.cells(values[place], some.numbers)
        for place, column in enumerate(shape.columns)
    ]
    if placed:
        same = [str(shape.number)] * len(some.rows)
        cells = [list(map(str, some.numbers)), same, *cells]
    return ("\n".join(map("\t".join, zip(*cells, strict=True))) + "\n").encode()
