"""A read fitted to the catalog, and its statement.

`read` looks up every name and parses every value; `select` writes the text. A `Select`
is hashable and holds no value, so the text of each shape is written once.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from atom.datatype import geography
from atom.datatype.datatype import PLACES
from atom.errors import ApiError
from atom.postgres.catalog import Reference, Table, unknown_column
from atom.postgres.condition import Form
from atom.postgres.identifier import public, quote, quote_all
from atom.row.sql import cursor, group, near, relation
from atom.row.sql.filter import (
    Filter,
    Group,
    Shape,
    fit,
    is_regular,
    render,
    through,
)
from atom.row.sql.group import Groups
from atom.row.sql.query_string import Query
from atom.row.sql.relation import Fitting, Relation, Relatives, unreadable
from atom.row.sql.statement import (
    ANSWER_MAX,
    DISTANCE,
    OWNER,
    USUAL_LIMITS,
    Bound,
    Marks,
    Order,
    RowSet,
    Statement,
    cells,
    column,
    is_sorted,
    json_text,
    ordered,
    reached,
    select_list,
    takes,
    where,
)

METERS = "m.meters"  # how far away a row is, where that is asked
COUNTED_MAX = 10_000  # with is_count=planned: more than these are estimated
# Rows that refer to others, their columns, and the columns that these lead to.
Referring = tuple[RowSet, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Select:
    """The shape of a read: everything but its values."""

    row_set: RowSet
    view: Table  # the columns that may be shown
    columns: tuple[str, ...]
    conditions: tuple[Shape, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None  # None: a parameter
    offset: bool = False
    counted: bool = False
    keyed: bool = False
    after: tuple[bool, ...] | None = None  # for each key of the cursor: is it null
    users: RowSet | None = None  # creators
    creators: tuple[str, ...] = ()
    near: str | None = None  # the column that is measured
    boxes: int = 0  # how many hold what is near, where it is not a column of PostGIS
    groups: Groups | None = None
    planned: bool = False  # counted no further than COUNTED_MAX
    relations: tuple[Relation, ...] = ()
    referring: Referring | None = None  # the rows and columns that refer here
    bound: Bound = ANSWER_MAX
    form: Form = Form.ARRAY

    @property
    def row_sets(self) -> Iterator[RowSet]:
        """All the rows that it reads; what their rules take comes in this order."""
        yield self.row_set
        if self.creators and self.users is not None:
            yield self.users
        for each in self.relations:
            yield from each.row_sets
        yield from through(self.conditions)
        if self.referring is not None:
            yield self.referring[0]


def referring(
    row_set: RowSet, view: Table, name: str, parent: Table, known: Reference | None
) -> Referring:
    """Return the rows and the columns that refer to the rows of a parent.

    `known` is what the column refers to.

    Raises:
        ApiError: when the column is unknown or does not hold keys of the parent.
    """
    there = parent.columns.keys()
    if known and known.table == parent.name and there >= {*known.to}:
        return row_set, known.columns, known.to
    kinds = (column(view, name), parent.columns.get(parent.key))
    families = {each and each.kind.family for each in kinds}
    if len(families) > 1:
        raise ApiError(f"Column '{name}' does not hold ids.")
    return row_set, (name,), (parent.key,)


def conditions(
    view: Table, filters: Iterable[Filter | Group], relatives: Relatives | None = None
) -> tuple[tuple[Shape, ...], tuple[Any, ...]]:
    """Fit filters to a table: what decides the text, and all values in order."""
    fitted = [fit(view, each, relatives) for each in filters]
    values = tuple(value for _, read in fitted for value in read)
    return tuple(shape for shape, _ in fitted), values


def order(
    view: Table, wanted: tuple[Order, ...], *, measured: bool = False
) -> tuple[Order, ...]:
    """Fit an order to a table: `id desc` by default, `id` to settle what is equal.

    Where places are `measured`, rows may be ordered by their distance too.
    """
    for by in wanted:
        if measured and by.column == DISTANCE:
            continue
        if not is_sorted(column(view, by.column)):
            raise ApiError(f"Rows cannot be ordered by column '{by.column}'.")
    key = view.key
    if not wanted:
        return (Order(key, descending=True),) if key in view.columns else ()
    if key not in view.columns or any(by.column == key for by in wanted):
        return wanted
    return (*wanted, Order(key, descending=wanted[-1].descending))


@dataclass(frozen=True, slots=True)
class Read:
    """A read that can be run: its statement, and what goes with it."""

    query: Query
    statement: Statement
    belongs: str  # the order a cursor is made for
    tables: frozenset[str]
    plan: Select
    estimate: Statement | None = None  # asks the planner, if rows are too many to count
    # Whether it has a regular expression, which may take long for each row.
    is_regular: bool = field(init=False)
    # Whether its rule has a scope, which can be asked for in several forms.
    has_forms: bool = field(init=False)
    wants_more: bool = field(init=False)  # fields next to the rows

    def __post_init__(self) -> None:
        plan, where = self.plan, self.plan.row_set.rule.where
        for name, found in (
            ("is_regular", any(is_regular(each) for each in plan.conditions)),
            ("has_forms", where is not None and where.has_sets and plan.groups is None),
            ("wants_more", self.query.is_count or self.query.cursor is not None),
        ):
            object.__setattr__(self, name, found)


def read(
    query: Query,
    row_set: RowSet,
    view: Table,
    users: RowSet | None = None,
    relatives: Relatives | None = None,
    referring: Referring | None = None,
    bound: Bound = ANSWER_MAX,
) -> Read:
    """Build the statement of a read.

    `users` holds the columns of creators that may be shown, `relatives` what is reached
    of other tables; of `referring` rows only those are read that their column names.

    Raises:
        ApiError: naming the column, value or parameter that does not fit.
    """
    if query.planned and row_set.rule.where is not None:
        raise ApiError(
            "'is_count=planned' is an estimate over the rows of everybody.",
            hint="Write is_count=1: the rows you reach are counted exactly.",
        )
    shapes, values = conditions(view, query.filters, relatives)
    place, boxes, point = near.fit(query, view) if query.near else (None, 0, ())
    columns = tuple(column(view, name).name for name in query.columns)
    creators = _creators(query, view, users)
    relations, limits, tables = _related(query, view, creators, relatives)
    tables |= {each.table.name for each in through(shapes)}
    order_by = (
        () if query.aggregates else _order(query, view, measured=place is not None)
    )
    plan = Select(
        row_set,
        view,
        columns or tuple(view.columns),
        shapes,
        order_by,
        limit=query.limit if query.limit in USUAL_LIMITS else None,
        offset=query.page > 1,
        counted=query.is_count,
        keyed=query.cursor is not None,
        users=users,
        creators=creators,
        near=place,
        boxes=boxes,
        planned=query.planned,
        relations=relations,
        referring=referring,
        bound=bound,
    )
    zone: tuple[str, ...] = ()
    if query.aggregates:
        by = query.groups, query.aggregates, query.order, query.zone
        groups = group.fit(view, *by)
        plan = replace(plan, groups=groups)
        zone = (query.zone or "UTC",) if groups.is_zoned else ()
    if referring is not None:
        tables |= {referring[0].table.name}
    belongs = f"{view.name}:{ordered(plan.order)}"
    plan, keys = _after(plan, query, belongs)
    tail: tuple[int, ...] = () if plan.limit is not None else (query.limit,)
    if plan.offset:
        tail += ((query.page - 1) * query.limit,)
    sent = (*point, *limits, *values, *zone, *keys, *tail)
    made = Statement(select(plan), sent, takes(plan.row_sets))
    tables |= {name for each in plan.row_sets for name in each.rule.names}
    guess = None
    if query.planned:
        unpaged = replace(plan, after=None)
        guess = Statement(estimate(unpaged), (*point, *values), _guessed(plan))
    return Read(query, made, belongs, tables, plan, guess)


def _related(
    query: Query, view: Table, creators: tuple[str, ...], relatives: Relatives | None
) -> tuple[tuple[Relation, ...], tuple[int, ...], frozenset[str]]:
    """Fit the relations. Return them, their limits, and every table that is read."""
    tables = {view.name, "users"} if query.creator_keys else {view.name}
    if not query.relations or relatives is None:
        return (), (), frozenset(tables)
    fitting = Fitting(relatives)
    relations = fitting.fit(query.relations, view, query.limit)
    others = {f"creator_{name}" for name in creators} | {DISTANCE}
    for each in relations:
        if each.key in others:
            raise unreadable(f"A row would have two '{each.key}'.", "")
    return relations, tuple(fitting.limits), frozenset(tables | fitting.tables)


def _after(plan: Select, query: Query, belongs: str) -> tuple[Select, tuple[str, ...]]:
    """Parse the cursor. Return the plan, and the keys of the last row before."""
    if not query.cursor:
        return plan, ()
    keys = cursor.decode(query.cursor, belongs)
    if not cursor.suits(keys, plan.order, plan.view):
        raise ApiError("'cursor' cannot be read.", code="filter.unreadable")
    plan = replace(plan, after=tuple(key is None for key in keys))
    return plan, tuple(key for key in keys if key is not None)


def _order(query: Query, view: Table, *, measured: bool) -> tuple[Order, ...]:
    keyed = query.cursor is not None
    if keyed and view.key not in view.columns:
        raise ApiError(f"'cursor' needs the key of table '{view.name}'.")
    if DISTANCE not in view.columns and any(
        by.column == DISTANCE for by in query.order
    ):
        if not measured:
            raise ApiError(f"'{DISTANCE}' needs 'location_filter'.")
        if keyed:
            raise ApiError(
                f"'cursor' does not go with an order by '{DISTANCE}'.",
                hint="Use 'page', or order by columns of the table.",
            )
    return order(view, query.order, measured=measured)


def _creators(query: Query, view: Table, users: RowSet | None) -> tuple[str, ...]:
    if not query.creator_keys:
        return ()
    if users is None or OWNER not in view.columns:
        raise ApiError(f"Rows of table '{view.name}' have no creator.")
    names = tuple(column(users.table, name).name for name in query.creator_keys)
    for name in names:
        if f"creator_{name}" in view.columns:
            raise ApiError(f"Table '{view.name}' has its own 'creator_{name}'.")
        if users.table.columns[name].kind.family in PLACES:
            raise unknown_column(users.table.name, name, ())
    return names


def _tail(plan: Select, taken: Iterator[str]) -> tuple[str, str]:
    """Build the limit and offset clause. Return it, and how the limit is written."""
    limit = f"{next(taken)}::bigint" if plan.limit is None else str(plan.limit)
    offset = f" offset {next(taken)}::bigint" if plan.offset else ""
    return f" limit {limit}{offset}", limit


@lru_cache(1024)
def select(plan: Select) -> str:
    """Build the statement of a read: its rows as one JSON text, and what was asked.

    The text begins with select (or with a `with` that only selects) and names no
    function that writes.
    """
    taken, value_checks = Marks(takes(plan.row_sets)), list[str]()
    return _rows(plan, taken, value_checks) + where(value_checks)


def _rows(plan: Select, taken: Marks, value_checks: list[str]) -> str:
    source, parts = _reached(plan, taken)
    output, names = select_list(plan.view, plan.columns), list(plan.columns)
    row = cells(plan.view, plan.columns)
    if plan.near is not None:
        output += f", {METERS} as {quote(DISTANCE)}"
        names.append(DISTANCE)
    if plan.creators and plan.users is not None:
        made = reached(plan.users, "u", taken)
        of_row = where([*made, f"u.{quote(plan.users.table.key)} = t.{quote(OWNER)}"])
        one = f"from {public(plan.users.table.name)} u{of_row}"
        for name in plan.creators:
            shown = select_list(plan.users.table, (name,), "u")
            output += f", (select {shown} {one}) as {quote('creator_' + name)}"
            names.append("creator_" + name)
            row.append((names[-1], plan.users.table.columns[name]))
    if plan.relations:
        related = relation.render(plan.relations, "t", taken, plan.bound)
        for each, text in related:
            output += f", {text} as {quote(each.key)}"
            names.append(each.key)
            row.append((each.key, None))
    parts += [render(each, "t", taken, value_checks) for each in plan.conditions]
    condition = where(parts)
    if plan.groups is not None:
        zone = f"{next(taken)}::text" if plan.groups.is_zoned else ""
        value_checks += group.zone_check(zone)
        source += condition
        cut, counted = _tail(plan, taken), plan.counted
        return group.render(
            plan.view, plan.groups, source, cut, zone, plan.bound, counted=counted
        )
    counting = _counting(plan, source + condition)
    if plan.after is not None:
        parts.append(cursor.after(plan.view, plan.order, plan.after, taken))
        condition = where(parts)
    if not plan.keyed:
        by = ordered(plan.order, METERS if plan.near is not None else "")
        rows = f"select {output}{source}{condition}{by}"
        tail, limit = _tail(plan, taken)
        body = json_text(rows + tail, limit, plan.bound, row)
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
    page_rows = f"select {quote_all(names)} from page"
    body = json_text(page_rows, limit, plan.bound, row)
    last = f"(select {quote(key)} from page offset {limit} - 1 limit 1)"
    return (
        f"with page as materialized ({page})"
        f" select {body} as body, {last} as next, {counting} as count"
    )


def _guessed(plan: Select) -> tuple[str, ...]:
    return takes((plan.row_set, *through(plan.conditions)))


@lru_cache(1024)
def estimate(plan: Select) -> str:
    """Build the question to the planner: how many rows does it expect to match?"""
    taken = Marks(_guessed(plan))
    source, parts = _reached(plan, taken)
    parts += [render(each, "t", taken) for each in plan.conditions]
    return f"explain (format json) select 1{source}{where(parts)}"


def _reached(plan: Select, taken: Marks) -> tuple[str, list[str]]:
    """Build the from clause, and the conditions of the rows that may be reached.

    Each row comes with its distance, if that is asked.
    """
    source = f" from {public(plan.view.name)} t"
    parts = reached(plan.row_set, "t", taken, plan.form)
    if plan.referring is not None:
        rows, names, to = plan.referring
        mine = where(reached(rows, "c", taken))
        given, found = (
            ", ".join(f"{alias}.{quote(name)}" for name in each)
            for alias, each in (("c", names), ("t", to))
        )
        ids = f"select {given} from {public(rows.table.name)} c{mine}"
        parts.append(f"({found}) in ({ids})")
    if plan.near is None:
        return source, parts
    family = plan.view.columns[plan.near].kind.family
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
