"""Reads a file of JSON lines in blocks: one object a line, every row with its line.

Never whole in memory. Lines that hold nothing are passed over. Blocking: run it in a
thread.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, BinaryIO

import orjson

from atom.datatype import exact
from atom.errors import ApiError
from atom.transfer.csv_file import EMPTY_MAX, ROW_MAX, crowded, fault

BLOCK_BYTES = 256 * 1024
BOM = b"\xef\xbb\xbf"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lines:
    """Some objects of a file, and the line of each."""

    rows: list[Object]
    numbers: Sequence[int]  # counted from 1


class Reader:
    """Reads the objects, some thousand at a time.

    Raises:
        ApiError: `transfer.unreadable_file`, naming the line.
    """

    def __init__(self, file: BinaryIO, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._file = file
        self._block_bytes = block_bytes

    def __iter__(self) -> Iterator[Lines]:
        done, empty, rest, ended = 0, 0, b"", False
        while not ended:
            block = self._file.read(self._block_bytes)
            ended = not block
            if not done and not rest and block.startswith(BOM):
                block = block[len(BOM) :]
            whole = rest + block
            read = exact.read if exact.is_inexact(whole) else orjson.loads
            texts = whole.split(b"\n")
            rest = b"" if ended else texts.pop()
            if len(rest) > ROW_MAX:
                raise fault(
                    done + len(texts) + 1,
                    f"a line of more than {ROW_MAX // 2**20} MiB.",
                    "Each line holds one object.",
                )
            found = _read(texts, done, read)
            done += len(texts)
            empty += len(texts) - len(found.rows)
            if empty > EMPTY_MAX:
                raise crowded(done)
            if found.rows:
                yield found


def _read(texts: list[bytes], before: int, read: Callable[[bytes], Any]) -> Lines:
    """Read whole lines; `before` is how many came before them."""
    try:
        rows = list(map(read, texts))
    except ValueError:
        return _one_by_one(texts, before)
    if set(map(type, rows)) - {dict}:
        return _one_by_one(texts, before)
    return Lines(rows, range(before + 1, before + 1 + len(texts)))


def _one_by_one(texts: list[bytes], before: int) -> Lines:
    """Read lines some of which are empty, or name the first that is not an object."""
    rows, numbers = [], []
    for number, text in enumerate(texts, before + 1):
        if not text.strip():
            continue
        try:
            row = exact.read(text)
        except ValueError as error:
            raise _unreadable(text, number, error) from None
        if not isinstance(row, dict):
            hint = "Not a list of objects." if isinstance(row, list) else ""
            raise fault(number, "is not a JSON object: one object a line.", hint)
        rows.append(row)
        numbers.append(number)
    return Lines(rows, numbers)


def _unreadable(text: bytes, number: int, error: ValueError) -> ApiError:
    try:
        text.decode()
    except UnicodeDecodeError:
        return fault(number, "not UTF-8.")
    if "surrogate" in str(error):
        return fault(number, "holds half of a surrogate pair, not a character.")
    is_open = text.strip() in {b"{", b"["}
    where = (
        f" (character {error.pos + 1})" if isinstance(error, JSONDecodeError) else ""
    )
    return fault(
        number, f"is not JSON{where}.", "One whole object a line." if is_open else ""
    )
