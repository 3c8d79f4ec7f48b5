"""Messages between users: received, the last of each talk, one talk, deletion."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from atom.errors import ApiError
from atom.message import statement as message
from atom.port import Ports
from atom.row.scope import visible_columns
from atom.row.sql import query_string, read_plan

DELETE = {
    "all": "delete from message where created_by_id = $1 or user_id = $1",
    "created": "delete from message where created_by_id = $1",
    "received": "delete from message where user_id = $1",
}
DELETE_ONE = (
    "delete from message where id = $2 and (created_by_id = $1 or user_id = $1)"
)


async def read_received(
    ports: Ports, me: int, page: Mapping[str, Any], *, is_unread: int | None = None
) -> bytes:
    """Return a page of what others wrote to me, as JSON, and mark it read.

    `page` may hold order, limit and page. Unread is whatever is not marked as read.
    """
    return await _read(ports, message.RECEIVED, me, page, is_unread, mark=True)


async def read_inbox(
    ports: Ports, me: int, page: Mapping[str, Any], *, is_unread: int | None = None
) -> bytes:
    """Return the last message of each talk I am in, as JSON; marks nothing.

    With `is_unread`, talks with a last message that is unread (1) or read (0).
    """
    return await _read(ports, message.LAST, me, page, is_unread, mark=False)


async def read_thread(
    ports: Ports,
    me: int,
    user_id: int,
    page: Mapping[str, Any],
    *,
    is_unread: int | None = None,
) -> bytes:
    """Return a page of the talk between me and another, and mark theirs as read."""
    return await _read(ports, message.THREAD, me, page, is_unread, user_id, mark=True)


async def _read(
    ports: Ports,
    which: str,
    me: int,
    page: Mapping[str, Any],
    is_unread: int | None,
    *others: int,
    mark: bool,
) -> bytes:
    table = visible_columns(ports, message.TABLE)
    message.require(table)
    wanted = {name: value for name, value in page.items() if value is not None}
    asked = query_string.parse(
        urlencode({"table": message.TABLE, **wanted}),
        ports.config["config_limit_read_max"],
    )
    text = message.read(
        table,
        which,
        None if is_unread is None else bool(is_unread),
        read_plan.order(table, asked.order),
        mark,
    )
    offset = (asked.page - 1) * asked.limit
    row = await ports.database.row(text, me, asked.limit, offset, *others)
    assert row is not None  # an aggregate: always one row
    if row["marked"]:
        ports.database.written(message.TABLE)
    return bytes(row["body"], "utf-8")


async def delete_messages(ports: Ports, me: int, mode: str) -> int:
    """Delete messages I wrote, received, or both. Return how many.

    Raises:
        ApiError: `inbox.unknown_mode`.
    """
    if mode not in DELETE:
        raise ApiError(
            f"mode must be one of {', '.join(DELETE)}", code="inbox.unknown_mode"
        )
    return await _run(ports, DELETE[mode], me)


async def delete_message(ports: Ports, me: int, message_id: int) -> int:
    """Delete one message I wrote or received. Return 0 when there is none such."""
    return await _run(ports, DELETE_ONE, me, message_id)


async def _run(ports: Ports, text: str, *values: int) -> int:
    deleted: int = await ports.database.run(text, *values)
    if deleted:
        ports.database.written(message.TABLE)
    return deleted
