"""A read fitted to the catalog: every name looked up, every value read."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from atom.datatype import geography
from atom.datatype.datatype import PLACES, datatype
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn, Table, unknown_column
from atom.row.sql import clause, cursor, group, keyset, select
from atom.row.sql.clause import DISTANCE, USUAL_LIMITS
from atom.row.sql.filter import Filter
from atom.row.sql.group import Group, Shape
from atom.row.sql.query import Aggregate, Order, Query
from atom.row.sql.relation import Fitting, Relatives, unreadable
from atom.row.sql.select import Select
from atom.row.sql.statement import KEY, OWNER, RowSet, Statement

SUMMED = frozenset({"integer", "number", "float"})
UNSORTED = PLACES | {"json", "bytes"}


def column(view: Table, name: str) -> LiveColumn:
    """Return a column of a table, one that may be shown.

    Raises:
        ApiError: `sql.unknown_column`.
    """
    found = view.columns.get(name)
    if found is None:
        raise unknown_column(view.name, name, view.columns)
    return found


def conditions(
    view: Table, filters: Iterable[Filter | Group]
) -> tuple[tuple[Shape, ...], tuple[Any, ...]]:
    """Fit filters to a table: what decides the text, and all values in order."""
    fitted = [group.fit(view, each) for each in filters]
    values = tuple(value for _, read in fitted for value in read)
    return tuple(shape for shape, _ in fitted), values


def _is_sorted(found: LiveColumn) -> bool:
    """Whether rows can be ordered and grouped by a column."""
    kind = datatype(found.datatype)
    return not kind.is_opaque and kind.family not in UNSORTED


def order(
    view: Table, wanted: tuple[Order, ...], *, measured: bool = False
) -> tuple[Order, ...]:
    """Fit an order to a table: `id desc` by default, `id` to settle what is equal.

    Where places are `measured`, rows may be ordered by their distance too.
    """
    for by in wanted:
        if measured and by.column == DISTANCE:
            continue
        if not _is_sorted(column(view, by.column)):
            raise ApiError(f"Rows cannot be ordered by column '{by.column}'.")
    if not wanted:
        return (Order(KEY, descending=True),) if KEY in view.columns else ()
    if KEY not in view.columns or any(by.column == KEY for by in wanted):
        return wanted
    return (*wanted, Order(KEY, descending=wanted[-1].descending))


@dataclass(frozen=True, slots=True)
class Read:
    """A read that can be run: its statement, and what goes with it."""

    statement: Statement
    belongs: str  # the order a cursor is made for
    tables: frozenset[str]
    estimate: Statement | None = None  # asks the planner, if rows are too many to count


def read(
    query: Query,
    target: RowSet,
    view: Table,
    users: Table | None = None,
    relatives: Relatives | None = None,
) -> Read:
    """Make the statement of a read.

    `users` holds the columns of creators that may be shown, `relatives` what is reached
    of other tables.

    Raises:
        ApiError: naming the column, value or parameter that does not fit.
    """
    if query.planned and target.owned:
        raise ApiError(
            "'is_count=planned' is an estimate over the rows of everybody.",
            hint="Write is_count=1: your own rows are counted exactly.",
        )
    shapes, values = conditions(view, query.filters)
    near, boxes, place = _near(query, view)
    plan = Select(
        target,
        view,
        tuple(column(view, name).name for name in query.columns) or tuple(view.columns),
        shapes,
        limit=query.limit if query.limit in USUAL_LIMITS else None,
        offset=query.page > 1,
        counted=query.is_count,
        creators=_creators(query, view, users),
        near=near,
        boxes=boxes,
        planned=query.planned,
    )
    plan, limits, tables = _related(plan, query, relatives)
    plan = _groups(plan, query) if query.aggregates else _sorted(plan, query)
    belongs = f"{view.name}:{clause.ordered(plan.order)}"
    plan, keys = _after(plan, query, belongs)
    tail: tuple[int, ...] = () if plan.limit is not None else (query.limit,)
    if plan.offset:
        tail += ((query.page - 1) * query.limit,)
    bound = (*place, *limits, *values, *keys, *tail)
    made = Statement(select.select(plan), bound, target.owned)
    guess = None
    if query.planned:
        unpaged = replace(plan, after=None)
        guess = Statement(select.estimate(unpaged), (*place, *values), target.owned)
    return Read(made, belongs, tables, guess)


def _related(
    plan: Select, query: Query, relatives: Relatives | None
) -> tuple[Select, tuple[int, ...], frozenset[str]]:
    """Fit the relations. Return the plan, their limits, and every table it reads."""
    tables = {plan.view.name, "users"} if query.creator_keys else {plan.view.name}
    if not query.relations or relatives is None:
        return plan, (), frozenset(tables)
    fitting = Fitting(relatives)
    relations = fitting.fit(query.relations, plan.view, query.limit)
    plan = replace(plan, relations=relations)
    _distinct(plan)
    return plan, tuple(fitting.limits), frozenset(tables | fitting.tables)


def _after(plan: Select, query: Query, belongs: str) -> tuple[Select, tuple[str, ...]]:
    """Read the cursor. Return the plan, and the keys of the last row before."""
    if not query.cursor:
        return plan, ()
    keys = cursor.decode(query.cursor, belongs)
    if not keyset.suits(keys, plan.order, plan.view):
        raise ApiError("'cursor' cannot be read.", code="filter.unreadable")
    plan = replace(plan, after=tuple(key is None for key in keys))
    return plan, tuple(key for key in keys if key is not None)


def _distinct(plan: Select) -> None:
    """Check that no relation has the name of another part of the row."""
    others = {f"creator_{name}" for name in plan.creators} | {DISTANCE}
    for each in plan.relations:
        if each.key in others:
            raise unreadable(f"A row would have two '{each.key}'.", "")


def _sorted(plan: Select, query: Query) -> Select:
    keyed = query.cursor is not None
    if keyed and KEY not in plan.view.columns:
        raise ApiError(f"'cursor' needs column '{KEY}'.")
    measured = plan.near is not None
    if DISTANCE not in plan.view.columns and any(
        by.column == DISTANCE for by in query.order
    ):
        if not measured:
            raise ApiError(f"'{DISTANCE}' needs 'location_filter'.")
        if keyed:
            raise ApiError(
                f"'cursor' does not go with an order by '{DISTANCE}'.",
                hint="Use 'page', or order by columns of the table.",
            )
    settled = order(plan.view, query.order, measured=measured)
    return replace(plan, order=settled, keyed=keyed)


def _groups(plan: Select, query: Query) -> Select:
    for name in query.groups:
        if not _is_sorted(column(plan.view, name)):
            raise ApiError(f"Rows cannot be grouped by column '{name}'.")
    for by in query.order:
        if by.column not in query.groups:
            name = column(plan.view, by.column).name
            raise ApiError(
                f"Grouped rows cannot be ordered by '{name}'.",
                hint="Order by columns of 'group_by'.",
            )
    for aggregate in query.aggregates:
        _suits(plan.view, aggregate)
    return replace(
        plan,
        columns=query.groups,
        order=query.order or tuple(Order(name) for name in query.groups),
        aggregates=query.aggregates,
    )


def _suits(view: Table, aggregate: Aggregate) -> None:
    """Check that a function can be applied to its column."""
    if not aggregate.column:
        return
    family = datatype(column(view, aggregate.column).datatype).family
    fits = {
        "count": True,
        "sum": family in SUMMED,
        "avg": family in SUMMED,
        "min": family in {*SUMMED, "text", "moment", "date", "time"},
        "max": family in {*SUMMED, "text", "moment", "date", "time"},
    }
    if not fits[aggregate.function]:
        raise ApiError(
            f"'{aggregate.function}' does not suit column '{aggregate.column}'."
        )


def _creators(query: Query, view: Table, users: Table | None) -> tuple[str, ...]:
    if not query.creator_keys:
        return ()
    if users is None or OWNER not in view.columns:
        raise ApiError(f"Rows of table '{view.name}' have no creator.")
    names = tuple(column(users, name).name for name in query.creator_keys)
    for name in names:
        if f"creator_{name}" in view.columns:
            raise ApiError(f"Table '{view.name}' has its own 'creator_{name}'.")
        if datatype(users.columns[name].datatype).family in PLACES:
            raise unknown_column(users.name, name, ())
    return names


def _near(query: Query, view: Table) -> tuple[str | None, int, tuple[float, ...]]:
    """Return the column that is measured, the number of boxes, and all values."""
    if query.near is None:
        return None, 0, ()
    places = [
        name
        for name, found in view.columns.items()
        if datatype(found.datatype).family in PLACES
    ]
    if not places:
        raise ApiError(f"Table '{view.name}' has no column that holds a place.")
    if DISTANCE in view.columns:
        raise ApiError(f"Table '{view.name}' has its own '{DISTANCE}'.")
    near = query.near
    name = "location" if "location" in places else places[0]
    place = (near.longitude, near.latitude, near.least_meters, near.most_meters)
    if datatype(view.columns[name].datatype).family == "geography":
        return name, 0, place
    sides = geography.boxes(near.longitude, near.latitude, near.most_meters)
    return name, len(sides) // 4, (*place, *sides)
