"""Where in a file a fault is: which line, which column, what it takes."""

import re
from collections.abc import Callable, Sequence
from typing import BinaryIO

from atom.errors import ApiError
from atom.postgres.errors import translate
from atom.transfer.cell import Target
from atom.transfer.csv_file import Reader

# PostgreSQL's `COPY test, line 3, column rating: "x"`, in whatever language it speaks.
CONTEXT = re.compile(r"^COPY .*?, \S+ (?P<line>\d+)(?P<rest>.*)", re.M | re.S)
NAMED = r", \S+ {name}\s*(?::|$)"
# Not of the datatype, or out of its range.
UNREADABLE = frozenset(
    {"22P02", "22007", "22008", "22003", "22023", "2200N", "22P03", "42601"}
)
VALUE = re.compile(r':\s*["»«„](.*)["«»“]\s*\Z', re.DOTALL)


def located(
    error: Exception, columns: Sequence[Target], line: Callable[[int], int]
) -> ApiError:
    """Return the caller's error for a row that PostgreSQL refused.

    `line` turns COPY's count of lines into the file's.
    """
    found = CONTEXT.search(str(getattr(error, "context", None) or ""))
    if isinstance(error, ApiError) or found is None:
        return translate(error)
    at, rest = line(int(found["line"])), found["rest"]
    column = next((c for c in columns if _names(rest, c.name)), None)
    if column is None:
        return on_line(translate(error), f"line {at}")
    if getattr(error, "sqlstate", "") in UNREADABLE:
        value = VALUE.search(rest)
        return column.fault(at, value[1] if value else "")
    return on_line(translate(error), f"line {at}, column {column.name}")


def _names(rest: str, column: str) -> bool:
    return re.match(NAMED.format(name=re.escape(column)), rest) is not None


def on_line(error: ApiError, place: str) -> ApiError:
    """Put the place before the message of an error."""
    if error.status < 500:
        error.message = f"{place}: {error.message}"
    return error


def ordinal_line(file: BinaryIO, ordinal: int) -> int:
    """Return the line on which a row of the file ends; the first row is 1.

    Reads the file again up to there, so that no import has to remember every line.
    Blocking: run it in a thread.
    """
    file.seek(0)
    for rows in Reader(file):
        if ordinal <= len(rows.lines):
            return rows.lines[ordinal - 1]
        ordinal -= len(rows.lines)
    raise IndexError("the file has no such row")
