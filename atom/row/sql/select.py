"""The statement of a read, and the estimate of how many rows it has.

A plan is hashable and holds no value, so the text of each shape is written once.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from atom.datatype import geography
from atom.datatype.datatype import datatype
from atom.postgres.catalog import Table
from atom.postgres.identifier import public, quote, quote_all
from atom.row.sql import group, keyset, relation_text
from atom.row.sql.clause import (
    DISTANCE,
    json_text,
    ordered,
    reached,
    select_list,
    where,
)
from atom.row.sql.group import Shape
from atom.row.sql.query import Aggregate, Order
from atom.row.sql.relation_text import Relation
from atom.row.sql.statement import OWNER, RowSet, marks

METERS = "m.meters"  # how far away a row is, where that is asked
COUNTED_MAX = 10_000  # with is_count=planned: more than these are estimated


@dataclass(frozen=True, slots=True)
class Select:
    """The shape of a read: everything but its values."""

    target: RowSet
    view: Table  # the columns that may be shown
    columns: tuple[str, ...]
    conditions: tuple[Shape, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None  # None: a parameter
    offset: bool = False
    counted: bool = False
    keyed: bool = False
    after: tuple[bool, ...] | None = None  # for each key of the cursor: is it null
    creators: tuple[str, ...] = ()
    near: str | None = None  # the column that is measured
    boxes: int = 0  # how many hold what is near, where it is not a column of PostGIS
    aggregates: tuple[Aggregate, ...] = ()
    planned: bool = False  # counted no further than COUNTED_MAX
    relations: tuple[Relation, ...] = ()


def _tail(plan: Select, taken: Iterator[str]) -> tuple[str, str]:
    """Write limit and offset. Return them, and how the limit is written."""
    limit = f"{next(taken)}::bigint" if plan.limit is None else str(plan.limit)
    offset = f" offset {next(taken)}::bigint" if plan.offset else ""
    return f" limit {limit}{offset}", limit


@lru_cache(1024)
def select(plan: Select) -> str:
    """Write the statement of a read: its rows as one JSON text, and what was asked.

    The text begins with select (or with a `with` that only selects) and names no
    function that writes.
    """
    taken, value_checks = marks(), list[str]()
    text = _rows(plan, taken, value_checks)
    return text + where(value_checks)


def _rows(plan: Select, taken: Iterator[str], value_checks: list[str]) -> str:
    source, parts = _reached(plan, taken)
    output, names = select_list(plan.view, plan.columns), list(plan.columns)
    if plan.near is not None:
        output += f", {METERS} as {quote(DISTANCE)}"
        names.append(DISTANCE)
    for name in plan.creators:
        output += (
            f', (select u.{quote(name)} from "public"."users" u where u."id" ='
            f" t.{quote(OWNER)}) as {quote('creator_' + name)}"
        )
        names.append("creator_" + name)
    for relation, text in relation_text.render(plan.relations, "t", taken):
        output += f", {text} as {quote(relation.key)}"
        names.append(relation.key)
    parts += [group.render(each, "t", taken, value_checks) for each in plan.conditions]
    condition = where(parts)
    if plan.aggregates:
        return _grouped(plan, source + condition, taken)
    counting = _counting(plan, source + condition)
    if plan.after is not None:
        parts.append(keyset.after(plan.view, plan.order, plan.after, taken))
        condition = where(parts)
    if not plan.keyed:
        by = ordered(plan.order, METERS if plan.near is not None else "")
        rows = f"select {output}{source}{condition}{by}"
        body = json_text(rows + _tail(plan, taken)[0])
        return f"select {body} as body" + (
            f", {counting} as count" if plan.counted else ""
        )
    key = "key"
    while key in names:
        key += "_"
    keys = ", ".join(f"t.{quote(by.column)}::text" for by in plan.order)
    output += f", json_build_array({keys})::text as {quote(key)}"
    tail, limit = _tail(plan, taken)
    page = f"select {output}{source}{condition}{ordered(plan.order)}{tail}"
    body = json_text(f"select {quote_all(names)} from page")
    last = f"(select {quote(key)} from page offset {limit} - 1 limit 1)"
    return (
        f"with page as materialized ({page})"
        f" select {body} as body, {last} as next, {counting} as count"
    )


@lru_cache(1024)
def estimate(plan: Select) -> str:
    """Write the question to the planner: how many rows does it expect to match?"""
    taken = marks()
    source, parts = _reached(plan, taken)
    parts += [group.render(each, "t", taken) for each in plan.conditions]
    return f"explain (format json) select 1{source}{where(parts)}"


def _reached(plan: Select, taken: Iterator[str]) -> tuple[str, list[str]]:
    """Write where rows come from, and which of them may be reached.

    Each row comes with its distance, if that is asked.
    """
    source = f" from {public(plan.view.name)} t"
    parts = reached(plan.target, "t", taken)
    if plan.near is None:
        return source, parts
    family = datatype(plan.view.columns[plan.near].datatype).family
    place = f"t.{quote(plan.near)}"
    first, second, least, most = (f"{next(taken)}::double precision" for _ in range(4))
    sides = tuple(f"{next(taken)}::double precision" for _ in range(4 * plan.boxes))
    parts.append(geography.near(family, place, sides or (first, second, most)))
    parts.append(f"{METERS} between {least} and {most}")
    meters = geography.measured(family, place, first, second)
    return f"{source} cross join lateral ({meters}) m", parts


def _counting(plan: Select, matching: str) -> str:
    if not plan.counted:
        return "null"
    if plan.planned:
        return f"(select count(*) from (select 1{matching} limit {COUNTED_MAX + 1}) n)"
    return f"(select count(*){matching})"


def _grouped(plan: Select, source: str, taken: Iterator[str]) -> str:
    groups = ", ".join(f"t.{quote(name)}" for name in plan.columns)
    parts = [groups] if groups else []
    for each in plan.aggregates:
        column = f"t.{quote(each.column)}" if each.column else "*"
        name = f"{each.function}_{each.column}" if each.column else each.function
        parts.append(f"{each.function}({column}) as {quote(name[:63])}")
    by = f" group by {groups}" if groups else ""
    rows = f"select {', '.join(parts)}{source}{by}{ordered(plan.order)}"
    body = json_text(rows + _tail(plan, taken)[0])
    if not plan.counted:
        return f"select {body} as body"
    counting = f"(select count(*) from (select 1{source}{by}) g)"
    return f"select {body} as body, {counting} as count"
