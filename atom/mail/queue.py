"""The mails of the queue: listed, and sent again. They are rows of `atom.outbox`."""

from typing import Any

from atom.postgres.database import Database

LIST = """
select event_id::text as id, aggregate_type as template, payload ->> 'to' as "to",
  occurred_at, state, attempts, due_at, settled_at, error
from atom.outbox where target = 'mail' and ($1::text is null or state = $1)
order by outbox.id desc limit $2
"""


async def listed(
    database: Database, *, state: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return mails, the newest first, without their words."""
    return [dict(row) for row in await database.rows(LIST, state, limit)]
