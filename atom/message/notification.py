"""Notifications of users: written by code, read and marked by whom they are for."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from atom.errors import ApiError
from atom.event.publish import write
from atom.postgres.database import Database

SUBJECT_MAX, MESSAGE_MAX, LINK_MAX = 200, 4_000, 2_000
UNREAD_MAX = 1_000  # counted no further
KIND = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
# A browser drops control characters and reads a backslash as a slash.
UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")

WRITE = """
insert into atom.notification (user_id, kind, subject, message, link)
select u.id, $2, $3, $4, $5 from users u where u.id = any($1::bigint[])
"""
READ = """
select id, created_at, kind, subject, message, link, read_at,
  read_at is not null as is_read
from atom.notification
where user_id = $1 and ($2::bigint is null or id < $2)
  and ($3::boolean is null or (read_at is null) = $3)
  and ($4::text is null or kind = $4)
order by id desc limit $5
"""
UNREAD = """
select count(*) from (
  select from atom.notification where user_id = $1 and read_at is null limit $2) n
"""
MARK = """
update atom.notification set read_at = case when $3 then now() end
where user_id = $1 and ($2::bigint[] is null or id = any($2))
  and (read_at is not null) <> $3
"""
DELETE = """
delete from atom.notification
where user_id = $1 and ($2::bigint[] is null or id = any($2))
"""


async def notify(
    source: Any,
    user_ids: int | Iterable[int],
    subject: str,
    message: str = "",
    *,
    link: str | None = None,
    kind: str = "notice",
) -> None:
    """Write a notification for a user, or for each of several, on the transaction.

    `source` is an app, a request, a hook or ports, or a connection. Of users who are
    not there nothing is written.

    Raises:
        ApiError: `notification.unreadable` for a text that is too long, and a link that
            a browser could run.
    """
    ids = [user_ids] if isinstance(user_ids, int) else list(user_ids)
    is_fit = 0 < len(subject) <= SUBJECT_MAX and len(message) <= MESSAGE_MAX
    if not is_fit or "\x00" in subject + message:
        raise _unreadable(
            f"It takes a subject of at most {SUBJECT_MAX:,} characters, and a message"
            f" of at most {MESSAGE_MAX:,}."
        )
    if KIND.fullmatch(kind) is None:
        raise _unreadable("Its kind is a name of small letters, digits and ._-")
    if link is not None and not is_link(link):
        raise _unreadable("Its link begins with https://, http:// or one /.")
    await write(source, WRITE, ids, kind, subject, message, link, wakes=False)


def is_link(text: str) -> bool:
    """Whether a text is an address of the web, or a path of the site itself.

    >>> [is_link(each) for each in ("https://a.example/b", "/order/7?a=b#c")]
    [True, True]
    >>> [is_link(each) for each in ("javascript:x", "//a.example", "/\\\\a", "a b", "")]
    [False, False, False, False, False]
    """
    if len(text) > LINK_MAX or UNSAFE.search(text):
        return False
    if text.startswith("/"):
        return not text.startswith("//")
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _unreadable(hint: str) -> ApiError:
    return ApiError(
        "The notification cannot be written.", code="notification.unreadable", hint=hint
    )


async def read_notifications(
    database: Database,
    me: int,
    *,
    is_unread: int | None = None,
    kind: str | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> tuple[list[dict[str, Any]], int]:
    """Return notifications of a user, the newest first, and how many are unread.

    `cursor` is the last id seen. The count ends at UNREAD_MAX.
    """
    unread = None if is_unread is None else bool(is_unread)
    rows = await database.rows(READ, me, cursor, unread, kind, limit)
    count: int = await database.value(UNREAD, me, UNREAD_MAX)
    return [dict(row) for row in rows], count


async def mark_notifications(
    database: Database, me: int, ids: list[int] | None, *, is_read: bool
) -> int:
    """Mark notifications of a user, all for None. Return how many were changed."""
    return await database.run(MARK, me, ids, is_read)


async def delete_notifications(
    database: Database, me: int, ids: list[int] | None
) -> int:
    """Delete notifications of a user, all for None. Return how many there were."""
    return await database.run(DELETE, me, ids)
