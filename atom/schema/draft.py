"""A plan in the making: what is compared, and what has come of it so far."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from atom.postgres.identifier import public, quote
from atom.schema.declaration import Declaration
from atom.schema.entry import Column
from atom.schema.entry_index import Composite
from atom.schema.live import Live, TableState
from atom.schema.live_view import ViewState
from atom.schema.plan import EXCLUSIVE, Step

MARK = "atom:"  # begins the comment on a constraint of Atom


def same_datatype(wanted: str, found: str) -> bool:
    """Compare a datatype with that of format_type, without schema and case."""
    bare = re.sub(r'^(?:"[^"]+"|\w+)\.', "", found)
    return wanted.lower() == bare.lower()


@dataclass(frozen=True)
class Part:
    """One column of an index."""

    column: str
    operator_class: str = ""


@dataclass(frozen=True)
class Index:
    """An index as it should be."""

    name: str
    table: str
    method: str
    parts: tuple[Part, ...]
    unique: bool = False
    entry: Composite | None = None  # of one with an expression or a condition


@dataclass
class Draft:
    """What `plan` gathers while it goes through the phases."""

    declared: Declaration
    live: Live
    destructive: bool
    # The declaration as this server can carry it out: datatypes by table and column,
    # indexes by name, and the extensions to install for them.
    chosen: dict[str, dict[str, str]] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    extensions: list[str] = field(default_factory=list)
    before: Live = field(default_factory=Live)  # as it was, with names not renamed
    steps: list[Step] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    # Tables that lost their triggers, and indexes dropped, in an earlier step.
    untriggered: set[str] = field(default_factory=set)
    unindexed: set[str] = field(default_factory=set)
    unruled: set[tuple[str, str]] = field(default_factory=set)
    # Columns that are not declared and stay: under an old name, or made by a query.
    kept: set[tuple[str, str]] = field(default_factory=set)
    renamed: set[tuple[str, str]] = field(default_factory=set)  # their new names
    # Columns that a data migration of this plan fills, and those added without a value.
    filled: set[tuple[str, str]] = field(default_factory=set)
    unfilled: set[tuple[str, str]] = field(default_factory=set)
    # Generated columns dropped in an earlier step, each with the column it uses.
    uncomputed: dict[tuple[str, str], str] = field(default_factory=dict)
    # Triggers that are not declared, dropped in an earlier step, by what makes them.
    retriggered: dict[tuple[str, str], str] = field(default_factory=dict)
    # Views dropped in an earlier step, to be made again.
    unviewed: dict[str, ViewState] = field(default_factory=dict)
    viewed: set[str] = field(default_factory=set)  # and those made in this plan

    def __post_init__(self) -> None:
        self.before = self.live

    def add(self, sql: str, kind: str, table: str = "", **cost: Any) -> None:
        """Add a step; the row estimate is that of its table."""
        state = self.live.tables.get(table)
        rows = state.rows if state is not None else 0
        self.steps.append(Step(sql, kind, table, rows=rows, **cost))

    def note(self, text: str) -> None:
        """Note once what this server or role cannot do."""
        if text not in self.notes:
            self.notes.append(text)

    def drop_constraint(self, table: str, name: str) -> None:
        """Drop a rule of Atom; a later phase may create it again."""
        self.unruled.add((table, name))
        sql = f"alter table {public(table)} drop constraint {quote(name)}"
        self.add(sql, "constraint", table, name=name, lock=EXCLUSIVE)

    def may_go(self, name: str) -> bool:
        """Whether a table, an index or a column (table.column) may be dropped."""
        return self.destructive or name in self.declared.drop

    def state(self, table: str) -> TableState | None:
        """Return a table as it is, or None."""
        return self.live.tables.get(table)

    def existing(self) -> Iterator[tuple[str, TableState]]:
        """Yield the declared tables that exist, each as it is."""
        for table in self.declared.tables:
            if (state := self.live.tables.get(table)) is not None:
                yield table, state

    def new_tables(self) -> list[str]:
        """Name the tables this plan makes."""
        return [name for name in self.declared.tables if name not in self.live.tables]

    def declared_columns(self, table: str) -> Mapping[str, Column]:
        """Return a table's columns as declared."""
        return self.declared.tables[table]

    def has_declared(self, table: str, names: Iterable[str]) -> bool:
        """Whether columns that exist are all declared; expressions do not count."""
        state, declared = self.state(table), self.declared_columns(table)
        there = set(state.columns) if state is not None else set()
        return all(n == "id" or n in declared for n in names if n in there)

    def settled(self, table: str, column: str) -> bool:
        """Whether a column will have the datatype it is declared with."""
        state = self.state(table)
        found = state.columns.get(column) if state is not None else None
        wanted = self.chosen[table].get(column, "bigint")
        return (
            found is None or self.destructive or same_datatype(wanted, found.datatype)
        )

    def datatypes(self, table: str) -> dict[str, str]:
        """Return a table's columns as they will be, undeclared ones included."""
        state = self.state(table)
        if state is None or self.destructive:
            return self.chosen[table]
        # What is there stays as it is unless the plan changes it.
        kept = {name: column.datatype for name, column in state.columns.items()}
        return {**self.chosen[table], **kept}
