"""The condition that a row comes after another: paging, as fast at any depth."""

from collections.abc import Iterator

from atom.datatype.datatype import datatype
from atom.postgres.catalog import LiveColumn, Table
from atom.postgres.identifier import quote
from atom.row.sql.query import Order


def suits(keys: tuple[str | None, ...], order: tuple[Order, ...], view: Table) -> bool:
    """Whether a row of the table could have these keys."""
    return len(keys) == len(order) and not any(
        key is None and view.columns[by.column].not_null
        for key, by in zip(keys, order, strict=True)
    )


def after(
    view: Table, order: tuple[Order, ...], nulls: tuple[bool, ...], taken: Iterator[str]
) -> str:
    """Write the condition that a row comes after the last row of the page before."""
    columns = [view.columns[by.column] for by in order]
    keys = [
        "null" if null else _key(column, next(taken))
        for column, null in zip(columns, nulls, strict=True)
    ]
    ways = {by.descending for by in order}
    if len(ways) == 1 and all(column.not_null for column in columns):
        left = ", ".join(f"t.{quote(column.name)}" for column in columns)
        return f"({left}) {'<' if ways == {True} else '>'} ({', '.join(keys)})"
    written = ""
    for by, column, key, null in reversed(
        list(zip(order, columns, keys, nulls, strict=True))
    ):
        strictly = _beyond(by, column, key, null=null)
        name = f"t.{quote(column.name)}"
        equal = f"{name} is null" if null else f"{name} = {key}"
        written = f"({strictly} or ({equal} and {written}))" if written else strictly
    return f"({written})"


def _key(column: LiveColumn, mark: str) -> str:
    kind = datatype(column.datatype)
    if kind.family == "text" and kind.name != "citext":
        return f"{mark}::text"
    return f"{mark}::text::{kind.name}"


def _beyond(by: Order, column: LiveColumn, key: str, *, null: bool) -> str:
    """Write that a column sorts strictly after a key, with nulls in their place."""
    name = f"t.{quote(column.name)}"
    nulls_first = by.descending if by.nulls_first is None else by.nulls_first
    if null:
        return f"{name} is not null" if nulls_first else "false"
    strictly = f"{name} {'<' if by.descending else '>'} {key}"
    if nulls_first or column.not_null:
        return strictly
    return f"({strictly} or {name} is null)"
