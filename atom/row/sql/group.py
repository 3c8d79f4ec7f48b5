"""`group_by=type,created_at:month` and `aggregate=count,sum(x)`: one row for a group.

Groups are ordered by what is answered: `order=count desc,created_at:month`.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from atom.datatype.families import having
from atom.errors import ApiError, nearest
from atom.postgres.catalog import Table
from atom.postgres.identifier import quote
from atom.row.sql.statement import (
    Bound,
    Cell,
    Order,
    column,
    is_sorted,
    json_text,
    nulls,
    select_list,
    split_words,
)

FUNCTIONS = ("count", "sum", "avg", "min", "max")
UNITS = ("minute", "hour", "day", "week", "month", "quarter", "year")
OF_DATE = UNITS[2:]
ITEMS = frozenset({"min", "max"})  # functions that answer a value of the column
ZONED = "timestamp with time zone"
MOMENTS = {ZONED: UNITS, "timestamp without time zone": UNITS, "date": OF_DATE}
SUMMED, RANKED = having("summed"), having("ranked")
AGGREGATE = re.compile(r"(?P<function>[a-z]+)(?:\((?P<column>[^()]*)\))?")
ZONE = re.compile(r"[A-Za-z0-9_+\-/]{1,64}")


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A function over the rows of a group."""

    function: str
    column: str  # "" for count of rows

    @property
    def name(self) -> str:
        """Its name in the answer."""
        return "_".join(filter(None, (self.function, self.column)))[:63]


@dataclass(frozen=True, slots=True)
class Grouping:
    """A column to group by, or the unit of time that its values are in."""

    column: str
    unit: str = ""

    @property
    def name(self) -> str:
        """Its name in the answer."""
        return "_".join(filter(None, (self.column, self.unit)))[:63]

    @property
    def written(self) -> str:
        """Its name in the query string."""
        return ":".join(filter(None, (self.column, self.unit)))


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups fitted to a table: everything but their values."""

    by: tuple[Grouping, ...]
    aggregates: tuple[Aggregate, ...]
    order: tuple[tuple[int, Order], ...]  # the place of what is answered, from 1
    is_zoned: bool = False  # takes the name of a time zone


def parse_groups(names: Sequence[str]) -> tuple[Grouping, ...]:
    """Parse the columns to group by.

    >>> parse_groups(["type", "created_at:month"])[1]
    Grouping(column='created_at', unit='month')
    """
    found = (name.partition(":") for name in names)
    return tuple(Grouping(name, unit) for name, _, unit in found)


def parse_aggregates(text: str) -> tuple[Aggregate, ...]:
    """Parse functions over columns.

    Raises:
        ApiError: when it is not that.
    """
    aggregates = []
    for part in split_words(text, ","):
        found = AGGREGATE.fullmatch(part.strip())
        if found is None or found["function"] not in FUNCTIONS:
            raise ApiError(
                "'aggregate' takes count, sum(x), avg(x), min(x) and max(x).",
                hint=nearest(part.partition("(")[0].strip()[:60], FUNCTIONS),
            )
        name = (found["column"] or "").strip()
        if not name and found["function"] != "count":
            raise ApiError(
                f"'aggregate' takes a column for {found['function']}(…).",
                code="request.invalid",
            )
        aggregates.append(Aggregate(found["function"], name))
    return tuple(dict.fromkeys(aggregates))


def parse_zone(text: str) -> str:
    """Parse the name of a time zone. Whether there is one, PostgreSQL knows.

    Raises:
        ApiError: when it cannot be one.
    """
    if not ZONE.fullmatch(text):
        raise unknown_zone()
    return text


def unknown_zone() -> ApiError:
    """Return the error for a time zone that does not exist."""
    return ApiError(
        "'timezone' takes the name of a time zone.",
        code="request.invalid",
        hint="For example Europe/Berlin.",
    )


def fit(
    view: Table,
    by: Sequence[Grouping],
    aggregates: tuple[Aggregate, ...],
    order: tuple[Order, ...],
    zone: str | None,
) -> Groups:
    """Fit groups to a table.

    Raises:
        ApiError: naming the column, unit or function that does not fit.
    """
    by = tuple(_grouping(view, each) for each in by)
    for aggregate in aggregates:
        _suits(view, aggregate)
    names = [each.name for each in by] + [each.name for each in aggregates]
    if len(set(names)) < len(names):
        raise ApiError(f"A group would have two '{max(names, key=names.count)}'.")
    zoned = any(
        each.unit and view.columns[each.column].kind.name == ZONED for each in by
    )
    if zone is not None and not zoned:
        raise ApiError(
            "'timezone' goes with a unit of a timestamptz.",
            hint="For example group_by=created_at:day.",
        )
    return Groups(by, aggregates, _order(view, by, names, order), zoned)


def _grouping(view: Table, each: Grouping) -> Grouping:
    if each.written in view.columns or not each.unit:
        each = Grouping(each.written)
        if not is_sorted(column(view, each.column)):
            raise ApiError(f"Rows cannot be grouped by column '{each.column}'.")
        return each
    units = MOMENTS.get(column(view, each.column).kind.name)
    if units is None:
        raise ApiError(f"Column '{each.column}' does not hold times.")
    if each.unit not in units:
        raise ApiError(
            f"Column '{each.column}' is grouped by {', '.join(units)}.",
            hint=nearest(each.unit[:60], units),
        )
    return each


def _suits(view: Table, aggregate: Aggregate) -> None:
    """Check that a function can be applied to its column."""
    if not aggregate.column:
        return
    family = column(view, aggregate.column).kind.family
    fits = {
        "count": True,
        "sum": family in SUMMED,
        "avg": family in SUMMED,
        "min": family in RANKED,
        "max": family in RANKED,
    }
    if not fits[aggregate.function]:
        raise ApiError(
            f"'{aggregate.function}' does not suit column '{aggregate.column}'."
        )


def _order(
    view: Table, by: Sequence[Grouping], names: Sequence[str], wanted: tuple[Order, ...]
) -> tuple[tuple[int, Order], ...]:
    """Order by what is answered; groups that are equal then by their columns."""
    places = {name: place for place, name in enumerate(names, 1)}
    written = {each.written: place for place, each in enumerate(by, 1)}
    found = {}
    for each in wanted:
        place = places.get(each.column) or written.get(each.column)
        if place is None:
            name = column(view, each.column).name
            raise ApiError(
                f"Grouped rows cannot be ordered by '{name}'.",
                hint="Order by what is answered: " + ", ".join(names) + ".",
            )
        found[place] = each
    for place, grouping in enumerate(by, 1):
        found.setdefault(place, Order(grouping.name))
    return tuple(found.items())


def render(
    view: Table,
    groups: Groups,
    source: str,
    tail: tuple[str, str],
    zone: str,
    bound: Bound,
    *,
    counted: bool,
) -> str:
    """Build the statement of groups: rows of `source`, and of its groups a page.

    `tail` is the clause of the page and the limit in it, `zone` the parameter that
    holds the time zone.
    """
    keys = [_key(view, each, zone) for each in groups.by]
    parts = [
        f"{key} as {quote(each.name)}"
        if each.unit
        else select_list(view, (each.column,))
        for key, each in zip(keys, groups.by, strict=True)
    ]
    sorts = list(keys)
    for one in groups.aggregates:
        of = f"t.{quote(one.column)}" if one.column else "*"
        sorts.append(f"{one.function}({of})")
        is_text = one.function in ITEMS and view.columns[one.column].in_text
        shown = f"{sorts[-1]}::text" if is_text else sorts[-1]
        parts.append(f"{shown} as {quote(one.name)}")
    by = f" group by {', '.join(keys)}" if keys else ""
    order = [
        f"{sorts[place - 1]}{' desc' if each.descending else ''}{nulls(each)}"
        for place, each in groups.order
    ]
    listed = f" order by {', '.join(order)}" if order else ""
    rows = f"select {', '.join(parts)}{source}{by}{listed}"
    body = json_text(rows + tail[0], tail[1], bound, _cells(view, groups))
    if not counted:
        return f"select {body} as body"
    counting = f"(select count(*) from (select 1{source}{by}) g)"
    return f"select {body} as body, {counting} as count"


def _cells(view: Table, groups: Groups) -> list[Cell]:
    """Return the cells of a group that may be long: keys, and items of a column."""
    by = [(each.name, each.column) for each in groups.by if not each.unit]
    by += [
        (each.name, each.column) for each in groups.aggregates if each.function in ITEMS
    ]
    return [(name, view.columns[column]) for name, column in by]


def _key(view: Table, each: Grouping, zone: str) -> str:
    name = f"t.{quote(each.column)}"
    if not each.unit:
        return name
    kind = view.columns[each.column].kind.name
    if kind == ZONED:
        return f"date_trunc('{each.unit}', {name}, {zone})"
    truncated = f"date_trunc('{each.unit}', {name})"
    return f"{truncated}::date" if kind == "date" else truncated


def zone_check(zone: str) -> Iterator[str]:
    """Yield a condition that fails for an unknown zone, whatever rows there are."""
    if zone:
        yield f"(now() at time zone {zone}) is not null"
