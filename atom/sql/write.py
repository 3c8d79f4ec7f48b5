"""Statements that change rows: insert, update, delete. Each by shape, written once."""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from functools import lru_cache
from itertools import count

from atom.sql import filter as filters
from atom.sql.catalog import LiveColumn, Table
from atom.sql.datatype import datatype
from atom.sql.filter import Condition, Either
from atom.sql.identifier import public, quote
from atom.sql.statement import KEY, Target, marks, reached, where

PARAMETERS_MAX = 32_767


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(quote(name) for name in columns)


def _cast(column: LiveColumn, mark: str) -> str:
    return datatype(column.datatype).cast(mark)


@lru_cache(1024)
def insert(table: Table, columns: tuple[str, ...]) -> str:
    """Write the insert of one row, one parameter for each column."""
    taken = marks()
    values = ", ".join(_cast(table.columns[name], next(taken)) for name in columns)
    return (
        f"insert into {public(table.name)} ({_names(columns)})"
        f" values ({values}) returning {quote(KEY)}"
    )


@lru_cache(1024)
def insert_many(table: Table, columns: tuple[str, ...]) -> str:
    """Write the insert of any number of rows, one parameter (a list) for each column.

    Lists of arrays travel as array literals: unnest would take them apart.
    """
    lists, values = [], []
    for number, name in enumerate(columns, 1):
        kind = datatype(table.columns[name].datatype)
        travels = "text" if kind.element is not None else kind.travels
        lists.append(f"${number}::{travels}[]")
        is_plain = travels == kind.name or (
            kind.family == "text" and kind.name != "citext"
        )
        values.append(f"x.c{number}" + ("" if is_plain else f"::{kind.name}"))
    given = ", ".join(f"c{number}" for number in range(1, len(columns) + 1))
    return (
        f"insert into {public(table.name)} ({_names(columns)})"
        f" select {', '.join(values)} from unnest({', '.join(lists)})"
        f" with ordinality as x({given}, place) order by x.place"
        f" returning {quote(KEY)}"
    )


def insert_mixed(
    table: Table, columns: tuple[str, ...], present: tuple[frozenset[str], ...]
) -> str:
    """Write the insert of rows that do not all have the same columns.

    What a row leaves out gets its default, as it would in an insert of its own.
    """
    taken = marks()
    rows = []
    for given in present:
        cells = [
            _cast(table.columns[name], next(taken)) if name in given else "default"
            for name in columns
        ]
        rows.append(f"({', '.join(cells)})")
    return (
        f"insert into {public(table.name)} ({_names(columns)})"
        f" values {', '.join(rows)} returning {quote(KEY)}"
    )


def _assigned(table: Table, columns: tuple[str, ...], start: int) -> str:
    return ", ".join(
        f"{quote(name)} = {_cast(table.columns[name], f'${number}')}"
        for name, number in zip(columns, count(start), strict=False)
    )


@lru_cache(1024)
def update(target: Target, columns: tuple[str, ...]) -> str:
    """Write the update of one row: its id, then a value for each column."""
    taken = marks()
    parts = [*reached(target, "t", taken), f"t.{quote(KEY)} = {next(taken)}::bigint"]
    start = 3 if target.owned else 2
    return (
        f"update {public(target.table.name)} as t"
        f" set {_assigned(target.table, columns, start)}{where(parts)}"
        f" returning t.{quote(KEY)}"
    )


@lru_cache(1024)
def update_ids(target: Target, columns: tuple[str, ...]) -> str:
    """Write the update of rows by a list of ids, then a value for each column."""
    which = _by_ids(target)
    start = 3 if target.owned else 2
    return (
        f"update {public(target.table.name)} as t"
        f" set {_assigned(target.table, columns, start)}{which}"
    )


@lru_cache(1024)
def delete_ids(target: Target) -> str:
    """Write the delete of rows by a list of ids."""
    return f"delete from {public(target.table.name)} as t{_by_ids(target)}"


@lru_cache(1024)
def delete_any(target: Target, conditions: tuple[Condition | Either, ...]) -> str:
    """Write the delete of the rows that meet conditions, at least one.

    Raises:
        ValueError: without a condition.
    """
    if not conditions:
        raise ValueError("a delete needs a condition")
    taken = marks()
    parts = reached(target, "t", taken)
    parts += [filters.render(each, "t", taken) for each in conditions]
    return f"delete from {public(target.table.name)} as t{where(parts)}"


def _by_ids(target: Target) -> str:
    taken = marks()
    parts = reached(target, "t", taken)
    return where([*parts, f"t.{quote(KEY)} = any({next(taken)}::bigint[])"])
