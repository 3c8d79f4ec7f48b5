"""Reads a file of JSON lines in blocks: one object a line, every row with its line.

Never whole in memory. Lines that hold nothing are passed over. Blocking: run it in a
thread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any, BinaryIO

import orjson

from atom.errors import ApiError
from atom.feature.transfer.csv import ROW_MAX, fault

BLOCK_BYTES = 256 * 1024
BOM = b"\xef\xbb\xbf"
BLANK = " \t\r\n"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lines:
    """Some objects of a file, and where each stands."""

    rows: list[Object]
    numbers: Sequence[int]  # counted from 1
    texts: list[bytes]


class Reader:
    """Gives the objects, some thousand at a time.

    Raises:
        ApiError: `transfer.unreadable_file`, naming the line.
    """

    def __init__(self, file: BinaryIO, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._file = file
        self._block_bytes = block_bytes

    def __iter__(self) -> Iterator[Lines]:
        done, rest, ended = 0, b"", False
        while not ended:
            block = self._file.read(self._block_bytes)
            ended = not block
            if not done and not rest and block.startswith(BOM):
                block = block[len(BOM) :]
            texts = (rest + block).split(b"\n")
            rest = b"" if ended else texts.pop()
            if len(rest) > ROW_MAX:
                raise fault(
                    done + len(texts) + 1,
                    f"a line of more than {ROW_MAX // 2**20} MiB.",
                    "Each line holds one object.",
                )
            found = _read(texts, done)
            done += len(texts)
            if found.rows:
                yield found


def _read(texts: list[bytes], before: int) -> Lines:
    """Read whole lines; `before` is how many came before them."""
    try:
        rows = list(map(orjson.loads, texts))
    except orjson.JSONDecodeError:
        return _one_by_one(texts, before)
    if set(map(type, rows)) - {dict}:
        return _one_by_one(texts, before)
    return Lines(rows, range(before + 1, before + 1 + len(texts)), texts)


def _one_by_one(texts: list[bytes], before: int) -> Lines:
    """Read lines some of which are empty, or name the first that is no object."""
    rows, numbers, kept = [], [], []
    for number, text in enumerate(texts, before + 1):
        if not text.strip():
            continue
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise _unreadable(text, number, error) from None
        if not isinstance(row, dict):
            hint = "Not a list of objects." if isinstance(row, list) else ""
            raise fault(number, "is not a JSON object: one object a line.", hint)
        rows.append(row)
        numbers.append(number)
        kept.append(text)
    return Lines(rows, numbers, kept)


def _unreadable(text: bytes, number: int, error: orjson.JSONDecodeError) -> ApiError:
    try:
        text.decode()
    except UnicodeDecodeError:
        return fault(number, "not UTF-8.")
    is_open = text.strip() in {b"{", b"["}
    return fault(
        number,
        f"is no JSON (character {error.pos + 1}).",
        "One whole object a line." if is_open else "",
    )


_decoder = JSONDecoder()


def spelt(text: bytes) -> dict[str, str]:
    """Return the values of an object as they are written, every digit of a number.

    For a line that has been read already.

    >>> spelt(b'{"a": 0.10000000000000000001, "b": [1, 2]}')
    {'a': '0.10000000000000000001', 'b': '[1, 2]'}
    """
    line = text.decode()
    found: dict[str, str] = {}
    place = _after(line, line.index("{") + 1)
    while line[place] != "}":
        name, place = _decoder.raw_decode(line, _after(line, place))
        start = _after(line, line.index(":", place) + 1)
        _, place = _decoder.raw_decode(line, start)
        found[name] = line[start:place]
        place = _after(line, place)
        if line[place] == ",":
            place = _after(line, place + 1)
    return found


def _after(line: str, place: int) -> int:
    """Return the next place that is not blank."""
    while line[place] in BLANK:
        place += 1
    return place
