"""The statements on `atom.outbox`: claim, settle, list, replay, purge."""

# ruff: noqa: S608 - SQL is written here, of constants alone.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from atom.event.envelope import Event, written_at
from atom.postgres.database import Database

COLUMNS = (
    "id, event_id::text as event_id, target, event_type, aggregate_type, aggregate_id,"
    " occurred_at, version, metadata, payload, attempts"
)
# Two relays claim one after another: each sees what the other has in hand. A table that
# grows from nothing has no statistics: what is pending is read in its order, by the
# index, without them too.
BEGIN = """
select set_config('enable_sort', 'off', true),
  set_config('enable_bitmapscan', 'off', true),
  pg_advisory_xact_lock(1635020397, hashtext($1))
"""
# An aggregate with an event in hand, or one that is tried later, waits as a whole.
CLAIM = f"""
with waiting as materialized (
  select aggregate_type, aggregate_id from atom.outbox
  where state = 'pending' and target = $1 and due_at > now()
    and aggregate_id is not null
), chosen as materialized (
  select o.ctid from atom.outbox o
  where o.state = 'pending' and o.target = $1 and o.due_at <= now()
    and (o.aggregate_id is null or (o.aggregate_type, o.aggregate_id) not in
      (select w.aggregate_type, w.aggregate_id from waiting w))
  order by o.id + 0 limit $2 for update skip locked
)
update atom.outbox set attempts = attempts + 1,
  due_at = now() + make_interval(secs => $3)
where ctid = any(array(select ctid from chosen))
returning {COLUMNS}
"""
# What was claimed with so many attempts is still in hand: nothing else settles it.
HELD = """
from unnest($2::bigint[], $3::integer[]) as g (id, attempts)
where o.target = $1 and o.id = g.id and o.state = 'pending'
  and o.attempts = g.attempts and o.due_at > now()
"""
DONE = f"""
update atom.outbox o set state = 'done', settled_at = now(), error = null {HELD}
"""
# Of a mail that was sent the address alone is kept: its words may hold a secret.
SENT = f"""
update atom.outbox o set state = 'done', settled_at = now(), error = null,
  payload = jsonb_build_object('to', o.payload -> 'to') {HELD}
"""
EXTEND = f"""
update atom.outbox o set due_at = now() + make_interval(secs => $4) {HELD}
"""
RELEASE = f"""
update atom.outbox o set due_at = now(), attempts = o.attempts - 1 {HELD}
"""
RETRY = f"""
update atom.outbox o set due_at = now() + make_interval(secs => $4), error = $5 {HELD}
"""
DEAD = f"""
update atom.outbox o set state = 'dead', settled_at = now(), error = $4 {HELD}
"""
REPLAY = """
with again as (
  update atom.outbox set state = 'pending', attempts = 0, due_at = now(),
    settled_at = null, error = null
  where state = 'dead' and ($1::uuid[] is null or event_id = any($1))
    and ($2::text is null or target = $2)
  returning 1
) select count(*) from again
"""
PURGE = """
delete from atom.outbox where ctid = any(array(
  select ctid from atom.outbox where state <> 'pending' and state in ('done', 'dead')
    and settled_at < now() - make_interval(secs => $1) limit 5000
))
"""
LIST = """
select event_id::text as event_id, target, event_type, aggregate_type, aggregate_id,
  occurred_at, state, attempts, due_at, settled_at, error
from atom.outbox where ($1::text is null or state = $1)
  and ($2::text is null or event_type = $2)
order by id desc limit $3
"""
STATE = """
select target, count(*) as pending,
  count(*) filter (where attempts > 0) as tried,
  coalesce(extract(epoch from now() - min(occurred_at)), 0)::float8 as lag_sec
from atom.outbox where state = 'pending' group by target order by target
"""
DEAD_COUNT = """
select target, count(*) as dead from atom.outbox where state = 'dead' group by target
"""
PURGE_AT_ONCE = 5000
MAIL = "mail"  # the target, and the type, of the events that are mails


@dataclass(frozen=True, slots=True)
class Claimed:
    """An event in hand of this relay, for one target."""

    id: int
    target: str
    attempts: int
    event: Event

    @property
    def order(self) -> tuple[str, str] | int:
        """What comes one after another: the events of an aggregate."""
        event = self.event
        if event.aggregate_id is None:
            return self.id
        return event.aggregate_type, event.aggregate_id


def _claimed(row: Mapping[str, Any]) -> Claimed:
    occurred: datetime = row["occurred_at"]
    event = Event(
        row["event_id"],
        row["event_type"],
        row["aggregate_type"],
        row["aggregate_id"],
        written_at(occurred),
        row["version"],
        row["metadata"],
        row["payload"],
    )
    return Claimed(row["id"], row["target"], row["attempts"], event)


DUE = """
select exists (
  select from atom.outbox where state = 'pending' and target = $1 and due_at <= now()
)
"""


async def claim(
    database: Database, target: str, most: int, lease: float
) -> list[Claimed]:
    """Take events that are due into hand for `lease` seconds, oldest first."""
    if not await database.value(DUE, target):
        return []
    async with database.transaction() as connection:
        await connection.value(BEGIN, target)
        found = await connection.rows(CLAIM, target, most, lease)
    return sorted((_claimed(row) for row in found), key=lambda one: one.id)


def _given(claimed: Sequence[Claimed]) -> tuple[str, list[int], list[int]]:
    ids, attempts = [one.id for one in claimed], [one.attempts for one in claimed]
    return claimed[0].target, ids, attempts


async def settle(database: Database, claimed: Sequence[Claimed]) -> int:
    """Mark events as delivered. Return how many were still in hand."""
    done = SENT if claimed[0].target == MAIL else DONE
    return await database.run(done, *_given(claimed))


async def extend(database: Database, claimed: Sequence[Claimed], lease: float) -> None:
    """Keep events in hand for another lease."""
    await database.run(EXTEND, *_given(claimed), lease)


async def release(database: Database, claimed: Sequence[Claimed]) -> None:
    """Return events to the outbox; this try does not count."""
    await database.run(RELEASE, *_given(claimed))


async def retry(database: Database, one: Claimed, seconds: float, error: str) -> None:
    """Try an event again after so many seconds."""
    await database.run(RETRY, *_given([one]), seconds, error)


async def bury(database: Database, one: Claimed, error: str) -> None:
    """Mark an event as dead for this target; `replay` revives it."""
    await database.run(DEAD, *_given([one]), error)


async def replay(
    database: Database, event_ids: Sequence[str] | None, target: str | None = None
) -> int:
    """Deliver dead events again, all for None. Return how many there were."""
    ids = None if event_ids is None else list(event_ids)
    count: int = await database.value(REPLAY, ids, target)
    return count


async def purge(database: Database, seconds: float) -> int:
    """Delete events that were settled so many seconds ago. Return how many."""
    total = 0
    while gone := await database.run(PURGE, seconds):
        total += gone
        if gone < PURGE_AT_ONCE:
            break
    return total


async def state(database: Database) -> dict[str, dict[str, float]]:
    """Count by target what waits, what is dead, and how old the oldest is."""
    found: dict[str, dict[str, float]] = {}
    for row in await database.rows(STATE):
        found[row["target"]] = {
            "pending": row["pending"],
            "tried": row["tried"],
            "lag_sec": round(row["lag_sec"], 3),
            "dead": 0,
        }
    for row in await database.rows(DEAD_COUNT):
        empty = {"pending": 0, "tried": 0, "lag_sec": 0.0}
        found.setdefault(row["target"], {**empty})["dead"] = row["dead"]
    return found


async def listed(
    database: Database, *, state: str | None, event_type: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return events, the newest first, without their payloads."""
    return [dict(row) for row in await database.rows(LIST, state, event_type, limit)]
