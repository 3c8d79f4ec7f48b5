"""The readers of one table, by what one statement can ask for all of them at once.

What they have in common is kept as they come and go, so that a change costs nothing
for readers whom it does not concern.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from atom.realtime.request import Asked
from atom.realtime.statement import Followed
from atom.realtime.subscriber import Subscriber
from atom.row.scope import RowScope

CALLERS_MAX = 2_000  # of one statement


@dataclass(eq=False)
class Reader:
    """One subscriber to one table, and how it is fitted again."""

    subscriber: Subscriber
    scope: RowScope
    raw: bytes
    asked: Asked

    @property
    def table(self) -> str:
        """The table that is followed."""
        return self.asked.followed.row_set.table.name


@dataclass
class Callers:
    """Some callers of one kind, as a statement takes them: a list for each value."""

    followed: Followed
    columns: list[list[Any]]
    readers: list[set[Reader]]  # of each caller, in the order of the columns


@dataclass
class Kind:
    """Readers who follow the same rows but for the values of each."""

    readers: dict[tuple[Any, ...], set[Reader]] = field(default_factory=dict)
    made: list[Callers] = field(default_factory=list)  # empty: to be made


class Audience:
    """The readers of one table."""

    def __init__(self) -> None:
        self._kinds: dict[Followed, Kind] = {}

    def __iter__(self) -> Iterator[Reader]:
        for kind in self._kinds.values():
            for readers in kind.readers.values():
                yield from readers

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(self, reader: Reader) -> None:
        """Take a reader in, under what it asked for."""
        kind = self._kinds.setdefault(reader.asked.followed, Kind())
        same = kind.readers.setdefault(reader.asked.values, set())
        if not same:
            kind.made = []
        same.add(reader)

    def discard(self, reader: Reader) -> None:
        """Forget a reader, if it is there."""
        followed, values = reader.asked.followed, reader.asked.values
        kind = self._kinds.get(followed, Kind())
        same = kind.readers.get(values, set())
        same.discard(reader)
        if values in kind.readers and not same:
            del kind.readers[values]
            kind.made = []
        if followed in self._kinds and not kind.readers:
            del self._kinds[followed]

    def callers(self) -> list[Callers]:
        """Return all callers, as many together as one statement asks for."""
        return [some for kind in self._kinds for some in self._made(kind)]

    def _made(self, followed: Followed) -> list[Callers]:
        kind = self._kinds[followed]
        if not kind.made:
            values, readers = list(kind.readers), list(kind.readers.values())
            for start in range(0, len(values), CALLERS_MAX):
                part = slice(start, start + CALLERS_MAX)
                kind.made.append(together(followed, values[part], readers[part]))
        return kind.made


def together(
    followed: Followed, values: list[tuple[Any, ...]], readers: list[set[Reader]]
) -> Callers:
    """Turn the values of callers into the columns of a statement."""
    return Callers(
        followed, [list(each) for each in zip(*values, strict=True)], readers
    )


def alone(reader: Reader) -> Callers:
    """Return one reader as callers."""
    return together(reader.asked.followed, [reader.asked.values], [{reader}])
