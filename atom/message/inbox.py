"""Messages between users: received, the last of each talk, one talk, deletion."""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from atom.errors import ApiError
from atom.port import Ports
from atom.postgres.catalog import Table
from atom.postgres.identifier import quote_all
from atom.row.scope import visible_columns
from atom.row.sql import query_string, read_plan
from atom.row.sql.statement import Bound, Order, json_text, ordered, select_list

TABLE = "message"
NEEDED = ("id", "created_by_id", "user_id", "is_read")

UNREAD = {
    None: "true",
    True: "t.is_read is distinct from 1",
    False: "t.is_read = 1",
}

RECEIVED = "t.user_id = $1"
LIMIT = "$2::bigint"

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
where m.id = page.id::bigint and m.user_id = $1 and m.is_read is distinct from 1
returning m.id
"""
DELETE = {
    "all": "created_by_id = $1 or user_id = $1",
    "created": "created_by_id = $1",
    "received": "user_id = $1",
}
DELETE_ONE = "id = $2 and (created_by_id = $1 or user_id = $1)"


async def read_received(
    ports: Ports,
    me: int,
    page: Mapping[str, Any],
    *,
    is_unread: int | None = None,
    bigint_text: bool = False,
) -> bytes:
    """Return a page of what others wrote to me, as JSON, and mark it read.

    `page` may hold order, limit and page. Unread is whatever is not marked as read.
    """
    view = _view(ports, bigint_text)
    return await _read(ports, view, RECEIVED, me, page, is_unread, mark=True)


async def read_inbox(
    ports: Ports,
    me: int,
    page: Mapping[str, Any],
    *,
    is_unread: int | None = None,
    bigint_text: bool = False,
) -> bytes:
    """Return the last message of each talk I am in, as JSON; marks nothing.

    With `is_unread`, talks with a last message that is unread (1) or read (0).
    """
    view = _view(ports, bigint_text)
    return await _read(ports, view, LAST, me, page, is_unread, mark=False)


async def read_thread(
    ports: Ports,
    me: int,
    user_id: int,
    page: Mapping[str, Any],
    *,
    is_unread: int | None = None,
    bigint_text: bool = False,
) -> bytes:
    """Return a page of the talk between me and another, and mark theirs as read."""
    view = _view(ports, bigint_text)
    return await _read(ports, view, THREAD, me, page, is_unread, user_id, mark=True)


def _view(ports: Ports, bigint_text: bool) -> Table:
    """Return the columns of messages.

    Raises:
        ApiError: `sql.unknown_column` when one that messages need is not there.
    """
    table = visible_columns(ports, TABLE, bigint_text=bigint_text)
    for name in NEEDED:
        if name not in table.columns:
            raise ApiError(
                f"Table '{TABLE}' has no column '{name}', which messages need.",
                code="sql.unknown_column",
            )
    return table


async def _read(
    ports: Ports,
    view: Table,
    which: str,
    me: int,
    page: Mapping[str, Any],
    is_unread: int | None,
    *others: int,
    mark: bool,
) -> bytes:
    wanted = {name: value for name, value in page.items() if value is not None}
    asked = query_string.parse(
        urlencode({"table": TABLE, **wanted}),
        ports.rules.limit_max,
    )
    text = _statement(
        view,
        which,
        None if is_unread is None else bool(is_unread),
        read_plan.order(view, asked.order),
        mark,
        replace(ports.rules.answer_max, exact=True),
    )
    offset = (asked.page - 1) * asked.limit
    row = await ports.database.row(text, me, asked.limit, offset, *others)
    assert row is not None  # an aggregate: always one row
    if row["marked"]:
        ports.database.written(TABLE)
    return bytes(row["body"], "utf-8")


@lru_cache(256)
def _statement(
    view: Table,
    which: str,
    unread: bool | None,
    order: tuple[Order, ...],
    mark: bool,
    bound: Bound,
) -> str:
    """Build a read of messages. $1 is the caller, $2 the limit, $3 the offset.

    `which` is RECEIVED, LAST or THREAD (there $4 is the other person). It returns the
    rows as they were, as one JSON text, and the number of rows it marked as read.
    """
    names = quote_all(view.columns)
    inner = (
        f"select {select_list(view, tuple(view.columns))} from public.message t"
        f" where {which} and {UNREAD[unread]}{ordered(order)}"
        f" limit {LIMIT} offset $3::bigint"
    )
    if not mark:
        return f"select {json_text(inner, LIMIT, bound)} as body, 0 as marked"
    body = json_text(f"select {names} from page", LIMIT, bound)
    return (
        f"with page as materialized ({inner}), marked as ({MARK})"
        f" select {body} as body,"
        " (select count(*) from marked) as marked"
    )


async def delete_messages(ports: Ports, me: int, mode: str) -> int:
    """Delete messages I wrote, received, or both. Return how many.

    Raises:
        ApiError: `inbox.unknown_mode`.
    """
    if mode not in DELETE:
        raise ApiError(
            f"mode must be one of {', '.join(DELETE)}", code="inbox.unknown_mode"
        )
    return await _delete(ports, DELETE[mode], me)


async def delete_message(ports: Ports, me: int, message_id: int) -> int:
    """Delete one message I wrote or received. Return 0 when there is none such."""
    return await _delete(ports, DELETE_ONE, me, message_id)


async def _delete(ports: Ports, which: str, me: int, *others: int) -> int:
    hooked = ports.rules.hooks.get((TABLE, "delete"))
    if hooked is None:
        text = f"delete from message where {which}"
        deleted: int = await ports.database.run(text, me, *others)
    else:
        text = f"select id from message where {which} order by id"
        ids = [row["id"] for row in await ports.database.rows(text, me, *others)]
        scope = ports.rules.trusted(me)
        rows = scope.changeable(ports.database.catalog, TABLE, "delete")
        deleted = await hooked.delete(ports.database, scope, rows, ids)
    if deleted:
        ports.database.written(TABLE)
    return deleted
