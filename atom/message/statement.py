"""Statements on messages: those received, the last of each talk, one whole talk.

Each answers with the rows as one JSON text and the number of rows it marked as read.
Rows are shown as they were before.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from functools import lru_cache

from atom.errors import ApiError
from atom.postgres.catalog import Table
from atom.postgres.identifier import quote_all
from atom.row.sql.query import Order
from atom.row.sql.statement import json_text, ordered, select_list

TABLE = "message"
NEEDED = ("id", "created_by_id", "user_id", "is_read")

UNREAD = {
    None: "true",
    True: "t.is_read is distinct from 1",
    False: "t.is_read = 1",
}

RECEIVED = "t.user_id = $1"

# Either way, so that a talk has one last message whoever wrote it.
LAST = """t.id in (
  select max(id) from (
    select id, user_id as other from public.message where created_by_id = $1
    union all
    select id, created_by_id from public.message where user_id = $1
  ) as talk
  group by other
)"""

THREAD = """(
  (t.created_by_id = $1 and t.user_id = $4) or (t.created_by_id = $4 and t.user_id = $1)
)"""

MARK = """
update public.message m set is_read = 1 from page
where m.id = page.id and m.user_id = $1 and m.is_read is distinct from 1
returning m.id
"""


def require(table: Table) -> None:
    """Refuse a table of messages that lacks what messages need.

    Raises:
        ApiError: `sql.unknown_column`.
    """
    for name in NEEDED:
        if name not in table.columns:
            raise ApiError(
                f"Table '{TABLE}' has no column '{name}', which messages need.",
                code="sql.unknown_column",
            )


@lru_cache(256)
def read(
    view: Table, which: str, unread: bool | None, order: tuple[Order, ...], mark: bool
) -> str:
    """Write a read of messages. $1 is the caller, $2 the limit, $3 the offset.

    `which` is RECEIVED, LAST or THREAD (there $4 is the other person).
    """
    names = quote_all(view.columns)
    inner = (
        f"select {select_list(view, tuple(view.columns))} from public.message t"
        f" where {which} and {UNREAD[unread]}{ordered(order)}"
        " limit $2::bigint offset $3::bigint"
    )
    if not mark:
        return f"select {json_text(inner)} as body, 0 as marked"
    return (
        f"with page as materialized ({inner}), marked as ({MARK})"
        f" select {json_text(f'select {names} from page')} as body,"
        " (select count(*) from marked) as marked"
    )
