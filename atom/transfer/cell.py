"""Cells of a CSV file, read by the datatype of their column and written for COPY.

A whole column of some thousand rows is looked at in one go: when all of it is plainly
what the datatype takes, it goes to PostgreSQL as it is. Only where it is not does
`atom.datatype.value` read cell by cell. Blocking: run it in a thread.
"""

import re
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from atom.account.name import validate
from atom.datatype import exact, value
from atom.datatype.datatype import UNPARSED, Datatype
from atom.datatype.families import FAMILIES
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn, shown
from atom.transfer.csv_file import EMPTY, Rows

PASSWORDS = frozenset({"password", "password_bigint"})
HASH = re.compile(r"\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[\w+/]+\$[\w+/]+")

# PostgreSQL reads all of these itself, and refuses what it cannot.
OPEN = UNPARSED | {"text", "json"}
LITERAL = re.compile(r"(?:(?:\[-?\d+:-?\d+\])+=)?\{.*\}", re.ASCII | re.DOTALL)
EWKB = re.compile(r"(?:[0-9a-fA-F]{2}){1,64}")
SPECIAL = re.compile(r'[",\r\n\\]')


def _every(pattern: str) -> re.Pattern[str]:
    """Make a pattern for a column: NUL between cells, each plain or empty."""
    return re.compile(rf"(?:(?:{pattern})?\0)*+", re.ASCII)


# By datatype, for a whole column; by family, for one cell.
PLAIN = {
    name: _every(pattern) for each in FAMILIES for name, pattern in each.plain.items()
}


class Target:
    """A column of the table that a file of either format fills."""

    def __init__(
        self, live: LiveColumn, *, filled: bool = False, is_name: bool = False
    ) -> None:
        self.name = live.name
        self._live = live
        self._kind = live.kind
        self._filled = filled  # a missing value is refused here, not by PostgreSQL
        self._plain = PLAIN.get(self._kind.name)
        self._is_password = live.name in PASSWORDS
        self._is_name = is_name  # kept in its normal form

    def fault(self, line: int, raw: Any, what: str = "") -> ApiError:
        """Return the error for a value that cannot be read, with what can be."""
        found = raw if isinstance(raw, str) else _written(raw)
        but = f"; not '{shown(found)}'" if found and not self._is_password else ""
        what = what or f"takes {value.expected(self._kind)}"
        return ApiError(
            f"line {line}, column {self.name}: {what}{but}.",
            code="transfer.unreadable_value",
        )

    def _rule(self, error: Exception) -> str:
        """Return the rule for usernames and addresses that a value breaks, if one."""
        return str(error).removeprefix(f"{self.name} ") if self._is_name else ""

    def _check_hashes(self, raws: Iterable[tuple[Any, int]]) -> None:
        for raw, line in raws:
            if not isinstance(raw, str) or not HASH.fullmatch(raw):
                raise self.fault(
                    line, "", "a password cannot be imported, only its Argon2id hash"
                )


def _written(raw: Any) -> str:
    """Write a value for a message; nothing when it is too deep or too long."""
    try:
        return exact.write(raw)
    except TypeError:
        return ""


class Column(Target):
    """One column of a CSV file, and how its cells reach COPY."""

    def written(self, cells: Sequence[str], rows: Rows) -> Sequence[str] | None:
        """Return the cells for COPY, None when they may go as they came.

        Raises:
            ApiError: `transfer.unreadable_value`, naming line, column and value.
        """
        if self._filled and not all(cells):
            raise self.fault(rows.lines[list(cells).index("")], "", "is empty")
        if self._is_password:
            given = zip(cells, rows.lines, strict=True)
            self._check_hashes(each for each in given if each[0])
        elif self._is_name or (rows.holds_empty and EMPTY in cells):
            return self._one_by_one(cells, rows)
        elif self._kind.name == "json":
            self._check_json(cells, rows)
        elif self._kind.family not in OPEN:
            joined = "\0".join(cells) + "\0"
            if self._plain is None or not self._plain.fullmatch(joined):
                return self._one_by_one(cells, rows)
        if rows.text is not None:
            return None
        if SPECIAL.search("\0".join(cells)):
            return [quoted(cell) if SPECIAL.search(cell) else cell for cell in cells]
        return cells

    def _check_json(self, cells: Sequence[str], rows: Rows) -> None:
        """Refuse a NUL and half a surrogate: json would keep what jsonb refuses."""
        for cell, line in zip(cells, rows.lines, strict=True):
            if "\\u" in cell:
                try:
                    value.from_text(self._live, cell)
                except ApiError:
                    raise self.fault(line, cell) from None

    def _one_by_one(self, cells: Sequence[str], rows: Rows) -> list[str]:
        made = []
        for cell, line in zip(cells, rows.lines, strict=True):
            if not cell:
                made.append("")
                continue
            try:
                made.append(quoted(self._read("" if cell == EMPTY else cell)))
            except (ApiError, ValueError) as error:
                shown_cell = cell.replace(EMPTY, '""')
                raise self.fault(line, shown_cell, self._rule(error)) from None
        return made

    def _read(self, cell: str) -> str:
        """Read a cell as rows are read everywhere, and as PostgreSQL writes it.

        Raises:
            ApiError: when it is neither.
            ValueError: the same.
        """
        kind = self._kind
        if self._is_name:
            return validate(self.name, cell)
        if kind.family in OPEN:
            return cell
        if self._plain is not None and cell and self._plain.fullmatch(f"{cell}\0"):
            return cell
        if kind.element is not None and LITERAL.fullmatch(cell):
            return cell
        if kind.element is not None and cell.startswith("["):
            return spelt(value.from_json(self._live, exact.read(cell.encode())), kind)
        if kind.family == "geography" and EWKB.fullmatch(cell):
            return cell
        return spelt(value.from_text(self._live, cell), kind)


def spelt(read: Any, kind: Datatype) -> str:
    """Write a value of a datatype as PostgreSQL reads it."""
    if isinstance(read, list):
        return value.literal(_rounded(read, kind)) or "{}"
    if isinstance(read, bytes):
        return f"\\x{read.hex()}"
    if isinstance(read, bool):
        return "true" if read else "false"
    return str(_rounded(read, kind))


def _rounded(read: Any, kind: Datatype) -> Any:
    """Return the number of four bytes next to one, as the driver would send it."""
    if kind.name.removesuffix("[]") != "real" or read is None:
        return read
    if isinstance(read, list):
        return [_rounded(item, kind) for item in read]
    return struct.unpack("f", struct.pack("f", read))[0]


def quoted(cell: str) -> str:
    """Write a cell that is not NULL.

    >>> quoted('a "b" c')
    '"a ""b"" c"'
    """
    return '"' + cell.replace('"', '""') + '"'


def for_copy(columns: Sequence[Column], rows: Rows) -> bytes:
    """Write rows as CSV for COPY.

    Raises:
        ApiError: `transfer.unreadable_value`, naming line, column and value.
    """
    cells: list[Sequence[str]] = list(zip(*rows.rows, strict=True))
    changed = False
    for place, column in enumerate(columns):
        made = column.written(cells[place], rows)
        if made is not None:
            cells[place], changed = made, True
    if not changed and rows.text is not None:
        return rows.text.encode()
    if rows.text is None and len(columns) == 1:
        # COPY takes the line \. for the end; such a cell has been quoted.
        return ("\n".join(cells[0]) + "\n").encode()
    return ("\n".join(map(",".join, zip(*cells, strict=True))) + "\n").encode()
