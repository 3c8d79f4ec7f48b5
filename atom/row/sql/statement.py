"""What every statement is made of: the rows it reaches, its values, shared clauses.

The owner is always the first value.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from atom.datatype.answer import answered
from atom.datatype.datatype import datatype
from atom.datatype.families import having
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn, Table, unknown_column
from atom.postgres.identifier import quote

OWNER = "created_by_id"
OWNER_MARK = "$1"
SORTED = having("sorted")


@dataclass(frozen=True, slots=True)
class Order:
    """One column to sort by; `nulls_first` None leaves it to PostgreSQL's habit."""

    column: str
    descending: bool = False
    nulls_first: bool | None = None


def split_words(text: str, separator: str) -> list[str]:
    """Split a list at a separator; a backslash before one makes it part of a word.

    >>> split_words("a" + chr(92) + ",b,c", ",")
    ['a,b', 'c']
    """
    if "\\" not in text:
        return text.split(separator)
    words = re.split(rf"(?<!\\){re.escape(separator)}", text)
    return [word.replace("\\" + separator, separator) for word in words]


def column(view: Table, name: str) -> LiveColumn:
    """Return a column of a table, one that may be shown.

    Raises:
        ApiError: `sql.unknown_column`.
    """
    found = view.columns.get(name)
    if found is None:
        raise unknown_column(view.name, name, view.columns)
    return found


def is_sorted(found: LiveColumn) -> bool:
    """Whether rows can be ordered and grouped by a column."""
    kind = datatype(found.datatype)
    return not kind.is_opaque and kind.family in SORTED


def require_key(table: Table) -> str:
    """Return the key of a table.

    Raises:
        ApiError: when it has none.
    """
    if table.key not in table.columns:
        raise ApiError(
            f"Table '{table.name}' has no key, which every route here needs.",
            code="sql.unknown_column",
            hint="A key is a primary key of one column, or a column 'id', and holds"
            " whole numbers, text or uuid.",
        )
    return table.key


@dataclass(frozen=True, slots=True)
class RowSet:
    """Rows of a table: all of them, or the caller's own.

    Every statement takes one and asks it for its first condition, so a statement on
    owned rows cannot be written without the owner.
    """

    table: Table
    owned: bool

    def __post_init__(self) -> None:
        require_key(self.table)
        if self.owned and OWNER not in self.table.columns:
            raise ApiError(
                f"Table '{self.table.name}' has no column '{OWNER}', so no row of it"
                " is anybody's own.",
                code="sql.unknown_column",
            )


@dataclass(frozen=True, slots=True)
class Statement:
    """Text and values; with `owned`, the owner's id goes before the values."""

    text: str
    values: tuple[Any, ...]
    owned: bool

    def bound(self, owner: int | None) -> tuple[Any, ...]:
        """Return every value, in the order of the parameters.

        Raises:
            ValueError: when rows of an owner are asked for without one.
        """
        if not self.owned:
            return self.values
        if type(owner) is not int:
            raise ValueError("a statement on owned rows needs its owner")
        return (owner, *self.values)


def key(table: Table, mark: str, *, many: bool = False) -> str:
    """Build the parameter that finds a row by its key, or rows by a list of keys.

    A whole number too large for a smaller datatype is found nowhere, and no error.
    """
    kind = datatype(table.columns[table.key].datatype)
    if kind.family == "integer":
        return f"{mark}::bigint{'[]' * many}"
    return kind.cast_list(mark) if many else kind.cast(mark)


def marks() -> Iterator[str]:
    """Yield the parameters of one statement: $1, $2, …"""
    return (f"${number}" for number in count(1))


DISTANCE = "distance_meter"  # what location_filter adds to a row
# Written into the text, so that PostgreSQL may plan once for all; any other limit is a
# parameter, so that limits cannot fill the cache of prepared statements.
USUAL_LIMITS = frozenset({1, 5, 10, 20, 25, 30, 50, 100, 200, 500, 1000})


def reached(row_set: RowSet, alias: str, taken: Iterator[str]) -> list[str]:
    """Build the conditions of the rows a statement may reach; they come first."""
    if not row_set.owned:
        return []
    return [f"{alias}.{quote(OWNER)} = {next(taken)}::bigint"]


def where(parts: list[str]) -> str:
    """Build the where clause of conditions that must all hold."""
    return " where " + " and ".join(parts) if parts else ""


def select_list(view: Table, names: tuple[str, ...], alias: str = "t") -> str:
    """Build the columns of a row as they are answered."""
    return ", ".join(_answer(view.columns[name], alias) for name in names)


def _answer(column: LiveColumn, alias: str) -> str:
    plain, kind = f"{alias}.{quote(column.name)}", datatype(column.datatype)
    text = answered(kind, plain, in_text=column.composite or column.in_text)
    return plain if text == plain else f"{text} as {quote(column.name)}"


def nulls(by: Order) -> str:
    """Build where nulls go, if that was asked."""
    return {None: "", True: " nulls first", False: " nulls last"}[by.nulls_first]


def ordered(order: tuple[Order, ...], meters: str = "") -> str:
    """Build the order by clause; `meters` is the distance, where it is not a column."""
    if not order:
        return ""
    parts = []
    for by in order:
        key = f"t.{quote(by.column)}"
        if meters and by.column == DISTANCE:
            key = meters
        parts.append(f"{key}{' desc' if by.descending else ''}{nulls(by)}")
    return " order by " + ", ".join(parts)
