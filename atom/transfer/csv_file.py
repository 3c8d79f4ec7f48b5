"""Reads a CSV file in blocks: never whole in memory, every row with its line.

As PostgreSQL reads CSV: an empty cell is NULL, `""` is the empty text. Lines that hold
nothing are passed over, but where a file has one column that takes a NULL: then such a
line is a row. Blocking: run it in a thread.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from atom.errors import ApiError

BLOCK_BYTES = 256 * 1024
AGAIN_BYTES = 4 * 1024 * 1024
ROW_MAX = 16 * 1024 * 1024  # characters of one row
LINES_MAX = 500_000  # of one row
GAPS_MAX = 10_000  # places where lines are empty
EMPTY_MAX = 1_000_000  # lines that are; a small gzip file may hold billions
# Stands for `""`, which is a text where an empty cell is NULL. No file may hold a NUL,
# so no cell can look like it.
EMPTY = "\0"
# One cell as it is written, and what ends it.
WRITTEN = re.compile(r'("(?:[^"]|"")*"|[^,\r\n]*)(,|\r?\n|\Z)')

csv.field_size_limit(max(ROW_MAX, csv.field_size_limit()))


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a file, each as long as the header."""

    rows: list[list[str]]
    lines: Sequence[int]  # where each row ends, counted from 1
    text: str | None  # the same rows as they stand in the file, where nothing is quoted
    holds_empty: bool  # whether a cell is EMPTY


def fault(line: int, what: str, hint: str = "") -> ApiError:
    """Return the error for a line."""
    return ApiError(f"line {line}: {what}", code="transfer.unreadable_file", hint=hint)


def crowded(line: int) -> ApiError:
    """Return the error for too many empty lines."""
    return fault(line, "there are too many empty lines.")


class Reader:
    """Reads the header at once, then the rows.

    Raises:
        ApiError: `transfer.unreadable_file`, naming the line.
    """

    def __init__(self, file: BinaryIO, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._file = file
        self._block_bytes = block_bytes
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._rest = ""
        self._line = 0  # lines that have been read, those of the rest not counted
        self._ended = False
        self._gaps: list[list[int]] = []  # first empty line, how many there are
        self._empty = 0  # lines, of all gaps
        self.keeps_empty = False  # a line that holds nothing is a row
        self.header = self._read_header()
        self._header_line = self._line

    def line(self, copied: int) -> int:
        """Return the line of the file, given it without header and empty lines."""
        line = copied + self._header_line
        for first, count in self._gaps:
            if first > line:
                break
            line += count
        return line

    def _skip(self, line: int) -> None:
        """Note an empty line."""
        self._empty += 1
        if self._empty > EMPTY_MAX:
            raise crowded(line)
        if self._gaps and sum(self._gaps[-1]) == line:
            self._gaps[-1][1] += 1
            return
        if len(self._gaps) == GAPS_MAX:
            raise crowded(line)
        self._gaps.append([line, 1])

    def _read_header(self) -> list[str]:
        while True:
            lines = self._lines()
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    header = next(csv.reader([line], strict=True))
                except csv.Error as error:
                    raise self._malformed(error, number, number) from None
                self._line += number
                self._rest = "".join(lines[number:]) + self._rest
                return [name.strip() for name in header]
            self._line += len(lines)
            if self._line > EMPTY_MAX:
                raise crowded(self._line)
            if self._ended:
                raise ApiError(
                    "The file is empty.",
                    code="transfer.unreadable_file",
                    hint="Its first line names the columns.",
                )

    def _lines(self) -> list[str]:
        """Return the next whole lines, each with its end."""
        # What is there of a row is read again with its end: a long one not for each
        # block.
        more = min(len(self._rest), AGAIN_BYTES)
        block = self._file.read(max(self._block_bytes, more))
        self._ended = not block
        try:
            text = self._decode.decode(block, self._ended)
        except UnicodeDecodeError as error:
            whole = self._rest.count("\n") + block[: error.start].count(b"\n")
            hint = "Save it as CSV in UTF-8."
            raise fault(self._line + whole + 1, "not UTF-8.", hint) from None
        text = self._rest + text
        if "\0" in text:
            before = text[: text.index("\0")].count("\n")
            raise fault(self._line + before + 1, "holds a NUL.")
        if self._ended:
            self._rest = ""
            return _split(text)
        cut = text.rfind("\n") + 1
        self._rest = text[cut:]
        if len(self._rest) > ROW_MAX:
            raise self._endless()
        return _split(text[:cut])

    def _endless(
        self, before: int = 0, size: str = f"{ROW_MAX // 2**20} MiB"
    ) -> ApiError:
        return fault(
            self._line + before + 1,
            f"a row of more than {size}.",
            "Is a quote left open?",
        )

    def __iter__(self) -> Iterator[Rows]:
        """Yield the rows, some thousand at a time."""
        while not self._ended or self._rest:
            lines = self._lines()
            if not lines:
                continue
            if any('"' in line for line in lines):
                yield from self._quoted(lines)
            else:
                yield from self._plain(lines)

    def _plain(self, lines: list[str]) -> Iterator[Rows]:
        """Read lines without a quote, where one line is one row."""
        first = self._line + 1
        self._line += len(lines)
        numbers: Sequence[int] = range(first, first + len(lines))
        text = "".join(lines)
        if "\r" in text:
            text = text.replace("\r\n", "\n")
            lines = _split(text)
            for number, line in zip(numbers, lines, strict=True):
                if "\r" in line.rstrip("\r\n"):
                    raise fault(number, "a carriage return without quotes.")
            text = text.replace("\r", "\n")
            lines = _split(text)
        if not self.keeps_empty and ("\n\n" in text or text[0] == "\n"):
            for number, line in zip(numbers, lines, strict=True):
                if line == "\n":
                    self._skip(number)
            numbers = [
                n for n, line in zip(numbers, lines, strict=True) if line != "\n"
            ]
            lines = [line for line in lines if line != "\n"]
            text = "".join(lines)
        if not lines:
            return
        reader = csv.reader(lines)
        try:
            rows = list(reader)
        except csv.Error as error:
            place = numbers[reader.line_num - 1] - self._line
            raise self._malformed(error, place, place) from None
        if self.keeps_empty:
            rows = [row or [""] for row in rows]
        self._check(rows, numbers)
        # A backslash may be COPY's own end of data.
        whole = text if text[-1] == "\n" else text + "\n"
        yield Rows(rows, numbers, None if "\\" in text else whole, holds_empty=False)

    def _quoted(self, lines: list[str]) -> Iterator[Rows]:
        """Read lines some of which hold quotes, so that a row may take several."""
        rows: list[list[str]] = []
        numbers: list[int] = []
        holds_empty, done = False, 0
        reader = csv.reader(lines, strict=True)
        try:
            for row in reader:
                start, done = done, reader.line_num
                if not row and self.keeps_empty:
                    row = [""]
                elif not row:
                    self._skip(self._line + done)
                    continue
                if "" in row and '""' in (raw := "".join(lines[start:done])):
                    row = _marked(row, raw)
                    holds_empty = holds_empty or EMPTY in row
                rows.append(row)
                numbers.append(self._line + done)
        except csv.Error as error:
            if self._ended or reader.line_num < len(lines):
                raise self._malformed(error, done + 1, reader.line_num) from None
            # The last row may go on in the next block.
            self._rest = "".join(lines[done:]) + self._rest
            if len(self._rest) > ROW_MAX:
                raise self._endless(done) from None
            if len(lines) - done > LINES_MAX:
                raise self._endless(done, f"{LINES_MAX:,} lines") from None
        self._line += done
        self._check(rows, numbers)
        if rows:
            yield Rows(rows, numbers, None, holds_empty)

    def _malformed(self, error: csv.Error, first: int, last: int) -> ApiError:
        """Return the error for the row in these lines, which csv refuses."""
        if "larger than field limit" in str(error):
            return self._endless(first - 1)
        if "unexpected end" in str(error):
            return fault(self._line + first, "a quote is left open.")
        if "new-line" in str(error):
            return fault(self._line + last, "a carriage return without quotes.")
        return fault(
            self._line + last,
            "cannot be read as CSV.",
            "Inside quotes, a quote is written twice.",
        )

    def _check(self, rows: list[list[str]], lines: Sequence[int]) -> None:
        """Refuse a row that is longer or shorter than the header."""
        width = len(self.header)
        if set(map(len, rows)) <= {width}:
            return
        for row, line in zip(rows, lines, strict=True):
            if len(row) != width:
                raise fault(
                    line,
                    f"{len(row)} cells where the header has {width}.",
                    "A comma inside a cell needs quotes around it.",
                )


def _split(text: str) -> list[str]:
    """Split at line feeds alone, which stay: a cell may hold any other separator."""
    lines = text.split("\n")
    last = lines.pop()
    lines = [line + "\n" for line in lines]
    return [*lines, last] if last else lines


def _marked(row: list[str], raw: str) -> list[str]:
    """Mark the cells that are written `""`; csv reads them as any other empty one."""
    written: list[str] = []
    place = 0
    while len(written) < len(row):
        found = WRITTEN.match(raw, place)
        if found is None:
            return row  # csv was more generous than the grammar
        written.append(found[1])
        place = found.end()
    return [
        EMPTY if cell == "" and raw_cell == '""' else cell
        for cell, raw_cell in zip(row, written, strict=True)
    ]
