"""The effect of a message and the mark that it was done, in one transaction.

A message that is delivered again finds its mark, and does nothing. How often one has
failed is counted in the database, so that a restart forgets nothing.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atom.errors import ApiError
from atom.port import Ports
from atom.postgres.database import Database
from atom.postgres.errors import DatabaseAway
from atom.queue.handler import Handler
from atom.queue.message import Message, Rejected

log = logging.getLogger(__name__)

MARK = """
insert into atom.inbox (consumer, message_id) values ($1, $2) on conflict do nothing
"""
MARK_ALL = """
insert into atom.inbox (consumer, message_id)
select $1, message_id from unnest($2::text[]) as each (message_id)
on conflict do nothing returning message_id
"""
FAIL = """
insert into atom.message_failure as f (consumer, message_id, error) values ($1, $2, $3)
on conflict (consumer, message_id) do update
set attempts = f.attempts + 1, error = excluded.error, failed_at = now()
returning attempts
"""
FORGET = "delete from atom.message_failure where consumer = $1 and message_id = $2"
PURGE = (
    "delete from atom.inbox where created_at < now() - make_interval(days => $1)",
    "delete from atom.message_failure "
    "where failed_at < now() - make_interval(days => $1)",
)
# What another try may cure: a lock, or a row that another message is about to make.
PASSING = frozenset(
    {"rate.exceeded", "row.busy", "row.missing", "row.referenced", "sql.changed"}
)
ERROR_MAX = 500  # characters of an error that are kept


@dataclass(frozen=True, slots=True)
class Failed:
    """A message that was not done: `reason` why, after so many attempts.

    It is tried again after `seconds`; None: never. `is_away` when not the message but
    the database is to blame, which counts as no attempt.
    """

    reason: str
    attempts: int
    seconds: float | None
    is_away: bool = False


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often a message is tried, and how long one try may take."""

    retry_sec: tuple[float, ...]
    timeout_sec: float

    async def run(
        self, app: Any, handlers: Sequence[Handler], message: Message
    ) -> Failed | None:
        """Try a message once. Return None once every effect of it is committed."""
        for handler in handlers:
            try:
                async with asyncio.timeout(self.timeout_sec):
                    await apply(app, handler, message)
            except Exception as error:
                return await self._failed(app.state.ports, handler, message, error)
        return None

    async def _failed(
        self, ports: Ports, handler: Handler, message: Message, error: Exception
    ) -> Failed:
        """Count a failure, unless the database could not be reached."""
        reason = worded(error)
        if is_away(error):
            return Failed(reason, 0, self.retry_sec[0], is_away=True)
        try:
            attempts = await ports.database.value(
                FAIL, handler.consumer, message.id, reason
            )
        except ApiError as late:
            return Failed(worded(late), 0, self.retry_sec[0], is_away=True)
        is_last = is_final(error) or attempts > len(self.retry_sec)
        log.log(
            logging.ERROR if is_last else logging.WARNING,
            "message %s for %s failed, attempt %d: %s",
            *(message.id, handler.name, attempts, reason),
            exc_info=None if isinstance(error, Rejected | ApiError) else error,
        )
        if is_last:
            return Failed(reason, attempts, None)
        return Failed(reason, attempts, self.retry_sec[attempts - 1])


async def apply(app: Any, handler: Handler, message: Message) -> bool:
    """Call a handler once for a message. Return False when it was done before.

    Raises:
        Rejected: when its arguments do not fit.
    """
    arguments = handler.arguments(message)
    database: Database = app.state.ports.database
    async with database.transaction() as connection:
        if not await connection.run(MARK, handler.consumer, message.id):
            return False
        await handler.call(arguments, app.state.client_postgres, app)
        return True


async def apply_together(
    app: Any, handler: Handler, messages: Sequence[Message]
) -> int:
    """Do the effect of several messages in one transaction. Return how many were new.

    Raises:
        Exception: when any of them fails; then none is done.
    """
    assert handler.batch is not None
    database: Database = app.state.ports.database
    async with database.transaction() as connection:
        ids = [message.id for message in messages]
        marked = await connection.rows(MARK_ALL, handler.consumer, ids)
        new = {row["message_id"] for row in marked}
        fresh = {each.id: each for each in messages if each.id in new}
        found = [handler.arguments(message) for message in fresh.values()]
        if found:
            await handler.batch(app, found)
        return len(found)


async def forget(ports: Ports, handlers: Sequence[Handler], message: Message) -> None:
    """Remove the count of failures of a message that is settled."""
    for handler in handlers:
        await ports.database.run(FORGET, handler.consumer, message.id)


async def purge(ports: Ports, days: int) -> None:
    """Remove marks and counts that are older than any redelivery."""
    for statement in PURGE:
        await ports.database.run(statement, days)


def is_away(error: Exception) -> bool:
    """Whether an error is the database's, not the message's."""
    return isinstance(error, DatabaseAway)


def is_final(error: Exception) -> bool:
    """Whether the next attempt would fail the same way.

    >>> is_final(ApiError("'id' takes a number.")), is_final(OSError())
    (True, False)
    """
    if isinstance(error, ApiError):
        return error.status < 500 and error.code not in PASSING
    return isinstance(error, Rejected)


def worded(error: Exception) -> str:
    """Return an error as a dead letter keeps it, with its code if it has one."""
    if isinstance(error, ApiError):
        text = f"{error.code}: {error.message}"
    elif isinstance(error, Rejected):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}"
    return text[:ERROR_MAX].replace("\0", "")
