"""A file as documents, for a store that declares no columns.

A cell of CSV is text, an empty one is None; JSON lines have their own values. Blocking:
run it in a thread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from atom.errors import ApiError
from atom.transfer import csv_file, jsonl_file

ROWS = 1_000  # at most, in one block


@dataclass(frozen=True, slots=True)
class Documents:
    """Some rows of a file as objects, and the line of each."""

    rows: list[dict[str, Any]]
    lines: Sequence[int]


def blocks(file: BinaryIO, file_format: str) -> Iterator[Documents]:
    """Read a file from its beginning, some rows at a time.

    Raises:
        ApiError: `transfer.unreadable_file`, naming the line.
    """
    file.seek(0)
    reading = _csv(file) if file_format == "csv" else _jsonl(file)
    for each in reading:
        for start in range(0, len(each.rows), ROWS):
            some = slice(start, start + ROWS)
            yield Documents(each.rows[some], each.lines[some])


def _jsonl(file: BinaryIO) -> Iterator[Documents]:
    for block in jsonl_file.Reader(file):
        yield Documents(block.rows, block.numbers)


def _csv(file: BinaryIO) -> Iterator[Documents]:
    reader = csv_file.Reader(file)
    names = reader.header
    for name in names:
        if not name or names.count(name) > 1:
            what = f"The header names '{name[:60]}' twice."
            raise ApiError(
                what if name else "The header has a column without a name.",
                code="transfer.unreadable_file",
            )
    for block in reader:
        rows = [dict(zip(names, map(_cell, row), strict=True)) for row in block.rows]
        yield Documents(rows, block.lines)


def _cell(cell: str) -> str | None:
    if cell == csv_file.EMPTY:
        return ""
    return cell or None
