"""Parent rows of the caller's own rows: what may be asked, and its statement."""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from dataclasses import dataclass
from functools import lru_cache

from atom.datatype.datatype import datatype
from atom.errors import ApiError
from atom.postgres.catalog import Table, unknown_column
from atom.postgres.identifier import public, quote
from atom.row.sql import query_string, read_plan, statement
from atom.row.sql.query_string import LIMIT_DEFAULT
from atom.row.sql.statement import KEY, Order, RowSet, Statement, marks

FIXED = ("table", "parent_table", "parent_column", "order", "limit", "page")


@dataclass(frozen=True, slots=True)
class ParentQuery:
    """The parents asked for: of which table, by which column, and which of them."""

    table: str
    parent_table: str
    parent_column: str
    order: tuple[Order, ...]
    limit: int
    page: int


def parse(raw: str, limit_max: int) -> ParentQuery:
    """Read the query string.

    Raises:
        ApiError: naming the parameter that is missing, unknown or cannot be read.
    """
    named, filters = query_string.split(raw, FIXED)
    if filters:
        raise ApiError(
            "This route takes no filters.", hint="It takes " + ", ".join(FIXED)
        )
    for name in ("parent_table", "parent_column"):
        if not named.get(name):
            raise query_string.invalid(name, f"the name of a {name.partition('_')[2]}")
    return ParentQuery(
        named["table"],
        named["parent_table"],
        named["parent_column"],
        query_string.order(named["order"]) if "order" in named else (),
        query_string.whole(named, "limit", LIMIT_DEFAULT, limit_max),
        query_string.whole(named, "page", 1, query_string.PAGE_MAX),
    )


def read(
    query: ParentQuery, row_set: RowSet, child: Table, parent: RowSet
) -> Statement:
    """Make the statement; `child` and `parent` hold the columns that may be used.

    An owned parent is shown only to its owner: anyone can write a row that refers to
    another, so referring grants nothing.

    Raises:
        ApiError: when a column is unknown or does not hold ids.
    """
    column = read_plan.column(child, query.parent_column)
    if datatype(column.datatype).family != "integer":
        raise ApiError(f"Column '{column.name}' does not hold ids.")
    if KEY not in parent.table.columns:
        raise unknown_column(parent.table.name, KEY, ())
    order = read_plan.order(parent.table, query.order)
    text = _text(row_set, column.name, parent, order)
    values = (query.limit, (query.page - 1) * query.limit)
    return Statement(text, values, row_set.owned)


@lru_cache(256)
def _text(
    row_set: RowSet, column: str, parent: RowSet, order: tuple[Order, ...]
) -> str:
    taken = marks()
    mine = (
        f"select c.{quote(column)} from {public(row_set.table.name)} c"
        f"{statement.where(statement.reached(row_set, 'c', taken))}"
    )
    found = [f"t.{quote(KEY)} in ({mine})"]
    if parent.owned and row_set.owned:  # by the same owner, who is bound first
        found += statement.reached(parent, "t", marks())
    rows = (
        f"select {statement.select_list(parent.table, tuple(parent.table.columns))}"
        f" from {public(parent.table.name)} t{statement.where(found)}"
        f"{statement.ordered(order)} limit {next(taken)}::bigint"
        f" offset {next(taken)}::bigint"
    )
    return f"select {statement.json_text(rows)}"
