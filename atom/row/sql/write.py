"""Statements that change rows: insert, update, delete. Each by shape, written once."""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from functools import lru_cache
from itertools import count

from atom.datatype.datatype import datatype
from atom.postgres.catalog import LiveColumn, Table
from atom.postgres.identifier import public, quote, quote_all
from atom.row.sql.filter import Shape, render
from atom.row.sql.statement import RowSet, key, marks, reached, where


def _cast(column: LiveColumn, mark: str) -> str:
    return datatype(column.datatype).cast(mark)


@lru_cache(1024)
def insert(table: Table, columns: tuple[str, ...]) -> str:
    """Build the insert of one row, one parameter for each column."""
    taken = marks()
    values = ", ".join(_cast(table.columns[name], next(taken)) for name in columns)
    return (
        f"insert into {public(table.name)} ({quote_all(columns)})"
        f" values ({values}) returning {quote(table.key)}"
    )


def unnested(
    table: Table, columns: tuple[str, ...], start: int
) -> tuple[list[str], str]:
    """Build the rows of a from clause of lists, one parameter for each column.

    Return the values to select (x.c1, x.c2, …, cast to their columns) and the lists.
    Lists of arrays travel as array literals: unnest would take them apart.
    """
    lists, values = [], []
    for number, name in enumerate(columns, start):
        kind = datatype(table.columns[name].datatype)
        travels = "text" if kind.element is not None else kind.sent_as
        lists.append(f"${number}::{travels}[]")
        is_plain = travels == kind.name or (
            kind.family == "text" and kind.name != "citext"
        )
        values.append(f"x.c{number}" + ("" if is_plain else f"::{kind.bare}"))
    return values, ", ".join(lists)


def cell_names(columns: tuple[str, ...], start: int) -> str:
    """Name what `unnested` selects from: c1, c2, …"""
    return ", ".join(f"c{number}" for number, _ in enumerate(columns, start))


def rows_in_order(
    table: Table, columns: tuple[str, ...], start: int
) -> tuple[list[str], str]:
    """Build rows as `unnested` does. Return the values, and where to take them from.

    That also has `x.place`, the number of the row in the list.
    """
    values, lists = unnested(table, columns, start)
    names = cell_names(columns, start)
    return values, f"unnest({lists}) with ordinality as x({names}, place)"


@lru_cache(1024)
def insert_many(table: Table, columns: tuple[str, ...]) -> str:
    """Build the insert of any number of rows, one parameter (a list) for each column.

    It returns one array of ids, in the order of the rows. If a trigger leaves a row
    out, ids could not be matched to rows: a division by zero undoes the statement.
    """
    values, source = rows_in_order(table, columns, 1)
    return (
        f"with made as (insert into {public(table.name)} ({quote_all(columns)})"
        f" select {', '.join(values)} from {source} order by x.place"
        f" returning {quote(table.key)} as id)"
        " select array_agg(id), 1 / (count(*) = cardinality($1))::int from made"
    )


def _assigned(table: Table, columns: tuple[str, ...], start: int) -> str:
    return ", ".join(
        f"{quote(name)} = {_cast(table.columns[name], f'${number}')}"
        for name, number in zip(columns, count(start), strict=False)
    )


@lru_cache(1024)
def update(row_set: RowSet, columns: tuple[str, ...]) -> str:
    """Build the update of one row: its id, then a value for each column."""
    taken = marks()
    table, parts = row_set.table, reached(row_set, "t", taken)
    parts.append(f"t.{quote(table.key)} = {key(table, next(taken))}")
    start = 3 if row_set.owned else 2
    return (
        f"update {public(table.name)} as t"
        f" set {_assigned(table, columns, start)}{where(parts)}"
        f" returning t.{quote(table.key)}"
    )


@lru_cache(1024)
def update_many(
    row_set: RowSet,
    columns: tuple[str, ...],
    partial: tuple[str, ...],
    same: tuple[str, ...],
) -> str:
    """Build the update of rows, each with values of its own.

    Parameters: a list of ids; a list for each column; for each of the `partial` ones a
    list of flags for the rows that have it (the others keep theirs); a value for each
    of the `same`. It returns one array of the ids that exist.
    """
    taken = marks()
    parts = reached(row_set, "t", taken)
    start = 2 if row_set.owned else 1
    table, names = row_set.table, (row_set.table.key, *columns)
    written, first = unnested(table, names, start)
    cells = dict(zip(names, written, strict=True))
    after = start + len(names)
    lists = [first, *(f"${after + n}::boolean[]" for n in range(len(partial)))]
    assigned = []
    for name in columns:
        cell = cells[name]
        if name in partial:
            held = f"x.p{partial.index(name)}"
            cell = f"case when {held} then {cell} else t.{quote(name)} end"
        assigned.append(f"{quote(name)} = {cell}")
    if same:
        assigned.append(_assigned(table, same, after + len(partial)))
    held_names = "".join(f", p{n}" for n in range(len(partial)))
    parts.append(f"t.{quote(table.key)} = {cells[table.key]}")
    return (
        f"with done as (update {public(table.name)} as t set {', '.join(assigned)}"
        f" from unnest({', '.join(lists)}) as x({cell_names(names, start)}{held_names})"
        f"{where(parts)} returning t.{quote(table.key)} as id)"
        " select array_agg(id) from done"
    )


@lru_cache(1024)
def update_ids(row_set: RowSet, columns: tuple[str, ...]) -> str:
    """Build the update of rows by a list of ids, then a value for each column."""
    which = _by_ids(row_set)
    start = 3 if row_set.owned else 2
    return (
        f"update {public(row_set.table.name)} as t"
        f" set {_assigned(row_set.table, columns, start)}{which}"
    )


@lru_cache(1024)
def delete_ids(row_set: RowSet) -> str:
    """Build the delete of rows by a list of ids."""
    return f"delete from {public(row_set.table.name)} as t{_by_ids(row_set)}"


@lru_cache(1024)
def delete_any(row_set: RowSet, conditions: tuple[Shape, ...]) -> str:
    """Build the delete of the rows that meet conditions, at least one.

    The last parameter is how many are too many: then none is deleted. It returns how
    many were `found`, counted no further than that, and how many are `gone`.

    Raises:
        ValueError: without a condition.
    """
    if not conditions:
        raise ValueError("a delete needs a condition")
    taken, value_checks = marks(), list[str]()
    parts = reached(row_set, "t", taken)
    parts += [render(each, "t", taken, value_checks) for each in conditions]
    condition, too_many = where(parts), f"{next(taken)}::bigint"
    name = public(row_set.table.name)
    return (
        f"with found as materialized"
        f" (select 1 from {name} as t{condition} limit {too_many}),"
        f" gone as (delete from {name} as t{condition}"
        f" and (select count(*) from found) < {too_many} returning 1)"
        " select (select count(*) from found) as found,"
        f" (select count(*) from gone) as gone{where(value_checks)}"
    )


def _by_ids(row_set: RowSet) -> str:
    taken = marks()
    parts = reached(row_set, "t", taken)
    table = row_set.table
    which = key(table, next(taken), many=True)
    return where([*parts, f"t.{quote(table.key)} = any({which})"])
