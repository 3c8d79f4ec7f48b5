"""Rows as they are stored: for hooks, and for callers who want what they wrote."""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from dataclasses import replace
from functools import lru_cache

from atom.datatype import geography
from atom.datatype.datatype import PLACES
from atom.postgres.catalog import Table
from atom.postgres.identifier import public, quote
from atom.row.sql.filter import Shape, render
from atom.row.sql.statement import (
    ANSWER_MAX,
    Marks,
    RowSet,
    json_text,
    key,
    reached,
    select_list,
    where,
)
from atom.row.sql.write import found_by


def _columns(table: Table) -> str:
    """Build the columns of a row, each in the datatype that it is sent as.

    The driver cannot read every value of the others: PostgreSQL's calendar is longer.
    """
    parts = []
    for name, column in table.columns.items():
        kind, part = column.kind, f"t.{quote(name)}"
        if kind.family in PLACES:
            part = f"({geography.as_geojson(kind.family, part)})::text"
        elif kind.family != "bytes":
            part = f"{part}::{kind.sent_as}"
        parts.append(f"{part} as {quote(name)}")
    return ", ".join(parts)


@lru_cache(256)
def held(row_set: RowSet, lock: str) -> str:
    """Build the select of rows by a list of ids; locked, in the order of their keys.

    `lock` is `update`, or `no key update` where foreign keys to the rows may be made
    meanwhile.
    """
    taken, table = Marks(row_set.rule.takes), row_set.table
    parts, name = reached(row_set, "t", taken), f"t.{quote(table.key)}"
    parts.append(f"{name} = any({key(table, next(taken), many=True)})")
    return (
        f"select {_columns(table)} from {public(table.name)} as t"
        f"{where(parts)} order by {name} for {lock} of t"
    )


@lru_cache(256)
def returned(row_set: RowSet, view: Table) -> str:
    """Build the select of rows by a list of keys, in its order, as JSON; and a count.

    A row that is not reached is left out.
    """
    table, taken = row_set.table, Marks(row_set.rule.takes)
    parts = reached(row_set, "t", taken)
    given = f"unnest({key(table, next(taken), many=True)})"
    parts.append(f"t.{quote(table.key)} = x.c1")
    source = f"{given} with ordinality as x(c1, place), {public(table.name)} as t"
    rows = f"{select_list(view, tuple(view.columns))} from {source}{where(parts)}"
    body = json_text(
        f"select {rows} order by x.place", "", replace(ANSWER_MAX, exact=True)
    )
    counted = f"(select count(*) from {source}{where(parts)})"
    return f"select {body} as body, {counted} as count"


@lru_cache(256)
def present(table: Table) -> str:
    """Build the select of rows by a list of ids, whoever reaches them."""
    return (
        f"select {_columns(table)} from {public(table.name)} as t"
        f" where t.{quote(table.key)} = any({key(table, '$1', many=True)})"
    )


@lru_cache(256)
def chosen(row_set: RowSet, conditions: tuple[Shape, ...]) -> str:
    """Build the select of the ids of rows that meet conditions, as one array.

    The last parameter is how many there are at most.
    """
    taken, value_checks = Marks(found_by(row_set, conditions)), list[str]()
    parts = reached(row_set, "t", taken)
    parts += [render(each, "t", taken, value_checks) for each in conditions]
    return (
        f"with found as materialized (select t.{quote(row_set.table.key)} as id"
        f" from {public(row_set.table.name)} as t{where(parts)}"
        f" limit {next(taken)}::bigint)"
        f" select coalesce((select array_agg(id) from found), '{{}}')"
        f"{where(value_checks)}"
    )
