"""What a reader asks to follow, fitted to the table and to the caller's rule."""

from dataclasses import dataclass
from typing import Any

from atom.errors import ApiError
from atom.postgres.catalog import Catalog
from atom.realtime.statement import Followed, as_text
from atom.row.scope import RowScope, ScopedRelatives
from atom.row.sql import query_string, read_plan
from atom.row.sql.statement import column, require_key

PARAMETERS = ("table", "column")
CLOSED = "stream.closed_table"


@dataclass(frozen=True, slots=True)
class Asked:
    """One reader's rows: what many have in common, and what is the reader's own."""

    followed: Followed
    values: tuple[Any, ...]  # of the caller, then of the filters


def fitted(
    catalog: Catalog, scope: RowScope, raw: bytes, tables: tuple[str, ...]
) -> Asked:
    """Fit a query string of `column` and filters to the rows that a caller may read.

    Raises:
        Forbidden: `row.table_not_allowed`.
        NotFound: `sql.unknown_table`.
        ApiError: `stream.closed_table`, or naming the parameter that is wrong.
    """
    text = query_string.decoded(raw)
    named, filters = query_string.split(text, PARAMETERS)
    table = named["table"]
    row_set = scope.readable(catalog, table)
    if table not in tables:
        raise ApiError(
            f"Table '{table}' is not followed.",
            code=CLOSED,
            hint="config_stream_table_list opens it.",
        )
    view = scope.visible_columns(catalog, table)
    if require_key(row_set.table) not in view.columns:
        raise ApiError(
            f"Table '{table}' is not followed: its key is not shown.", code=CLOSED
        )
    names = query_string.names(named, "column")
    columns = tuple(column(view, name).name for name in names) or tuple(view.columns)
    relatives = ScopedRelatives(scope, catalog)
    shapes, values = read_plan.conditions(view, filters, relatives)
    followed = Followed(
        row_set, view, columns, shapes, len(values), in_text=scope.bigint_text
    )
    mine = tuple(map(scope.value, followed.takes))
    return Asked(followed, (*mine, *map(as_text, values)))
