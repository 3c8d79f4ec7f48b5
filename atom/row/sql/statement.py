"""What every statement is made of: the rows it may reach, its text, its values."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from atom.errors import ApiError
from atom.postgres.catalog import Table

OWNER = "created_by_id"
KEY = "id"


@dataclass(frozen=True, slots=True)
class RowSet:
    """Rows of a table: all of them, or the caller's own.

    Every statement takes one and asks it for its first condition, so a statement on
    owned rows cannot be written without the owner.
    """

    table: Table
    owned: bool

    def __post_init__(self) -> None:
        if KEY not in self.table.columns:
            raise ApiError(
                f"Table '{self.table.name}' has no column '{KEY}', which every route"
                " here needs.",
                code="sql.unknown_column",
            )
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


def marks() -> Iterator[str]:
    """Yield the parameters of one statement: $1, $2, …"""
    return (f"${number}" for number in count(1))
