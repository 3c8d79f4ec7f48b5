"""Rows that stand in relation to a row, as expressions of the statement that reads it.

One statement reads them all: each relation is a subquery on the row it hangs on, kept
to the rows that its own table lets this caller scope.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from atom.postgres.catalog import Table
from atom.postgres.identifier import public, quote
from atom.row.sql import clause
from atom.row.sql.statement import KEY, RowSet

OWNER_MARK = "$1"  # an owned statement takes its owner first


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation fitted to the catalog: everything but its values."""

    key: str  # its name in the answer
    kind: str  # parent, children or count
    target: RowSet
    view: Table  # the columns that may be shown
    here: str  # column of the row it hangs on
    there: str  # column of the related rows
    columns: tuple[str, ...] = ()
    limit: int | None = None  # of children; None: a parameter
    relations: tuple["Relation", ...] = ()


def render(
    relations: tuple[Relation, ...], row: str, taken: Iterator[str]
) -> list[tuple[Relation, str]]:
    """Write each relation of the row called `row` as one expression."""
    aliases = (f"r{number}" for number in count(1))
    return [(each, _one(each, row, taken, aliases)) for each in relations]


def _one(
    relation: Relation, row: str, taken: Iterator[str], aliases: Iterator[str]
) -> str:
    alias = next(aliases)
    parts = clause.reached(relation.target, alias, iter((OWNER_MARK,)))
    parts.append(f"{alias}.{quote(relation.there)} = {row}.{quote(relation.here)}")
    source = f" from {public(relation.view.name)} {alias}{clause.where(parts)}"
    if relation.kind == "count":
        return f"(select count(*){source})"
    limit = "1" if relation.kind == "parent" else str(relation.limit)
    if relation.kind == "children" and relation.limit is None:
        limit = f"{next(taken)}::bigint"
    output = clause.select_list(relation.view, relation.columns, alias)
    for each in relation.relations:
        output += f", {_one(each, alias, taken, aliases)} as {quote(each.key)}"
    if relation.kind == "parent":
        return f"(select to_json(r) from (select {output}{source} limit {limit}) r)"
    ordered = f" order by {alias}.{quote(KEY)} desc limit {limit}"
    return f"(select {clause.json_array(f'select {output}{source}{ordered}')})"
