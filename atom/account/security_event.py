"""Security events: what happened to accounts, for their users, admins and the log.

`record` writes one on the caller's transaction: a change of rights is never without its
event. What anyone may cause is counted by `SecurityLog` off the path of requests, in a
bounded number of rows. No event holds what a caller typed: a password is typed into the
field of the name, too.
"""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import orjson

from atom.backoff import Backoff
from atom.errors import ApiError, Forbidden, Unauthenticated, Unavailable
from atom.http.address import network
from atom.observe.request_context import ADDRESS, CALLER, REQUEST_ID
from atom.port import Ports
from atom.postgres.database import Database
from atom.reply import dump
from atom.task import ended

log = logging.getLogger("atom.security")

# The user whom a login is about, as soon as it is known; and who has got a session.
ABOUT: ContextVar[int | None] = ContextVar("about", default=None)
ENTERED: ContextVar[int | None] = ContextVar("entered", default=None)

# What the routes of /auth are, by how their paths begin; the first two let users in.
ATTEMPTS = ("login", "signup", "token-refresh")

# Rows of one minute and process: beyond the first figure the user is left out for that
# network, beyond the second the network too.
OF_NETWORK, OF_MINUTE = 20, 1_000
WAITING_MAX = 10_000  # rows, while the database is away
GATHER, PAUSES = 0.5, (0.5, 5.0)  # seconds

RECORD = """
insert into atom.security_event
  (kind, reason, user_id, created_by_id, address, request_id, detail)
values ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
"""
COUNT = """
insert into atom.security_event as e (created_at, last_at, minute, kind, reason,
  user_id, address, request_id, count)
select to_timestamp(began), to_timestamp(ended), minute, kind, reason, user_id, address,
  request_id, count
from unnest($1::float8[], $2::float8[], $3::bigint[], $4::text[], $5::text[],
  $6::bigint[], $7::text[], $8::text[], $9::bigint[])
  as n (began, ended, minute, kind, reason, user_id, address, request_id, count)
on conflict (minute, kind, reason, coalesce(user_id, 0), coalesce(address, ''))
  where minute is not null
do update set count = e.count + excluded.count,
  last_at = greatest(e.last_at, excluded.last_at)
"""
SHOWN = """
select to_jsonb(page)::text as row from (
  select id, created_at, last_at, kind, reason, user_id, created_by_id, address,
    request_id, count, detail
  from atom.security_event
  where ($1::bigint is null or user_id = $1) and ($2::bigint is null or id < $2)
    and ($3::text is null or kind = $3) and ($4::text is null or address = $4)
    and ($5::text is null or reason = $5)
    and ($6::bigint is null or created_by_id = $6)
    and ($7::text is null or request_id = $7)
  order by id desc limit $8
) page
"""
MINE = """
select to_jsonb(page)::text as row from (
  select id, created_at, last_at, kind, reason, address, count,
    created_by_id is not null and created_by_id <> user_id as is_by_other, detail
  from atom.security_event
  where user_id = $1 and ($2::bigint is null or id < $2)
    and ($3::text is null or kind = $3)
  order by id desc limit $4
) page
"""


@dataclass(frozen=True, slots=True)
class Key:
    """What is counted in one row."""

    minute: int
    kind: str
    reason: str
    user_id: int | None
    address: str | None

    @property
    def order(self) -> tuple[int, str, str, int, str]:
        """Its place in a statement: two workers wait for each other in one order."""
        return (
            self.minute,
            self.kind,
            self.reason,
            self.user_id or 0,
            self.address or "",
        )


@dataclass(slots=True)
class Counted:
    """How often something happened since it was last written."""

    began: float
    ended: float
    request_id: str | None
    count: int = 1


class SecurityLog:
    """Counts events by minute and network, and writes them with its own task."""

    def __init__(
        self, database: Database, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._clock = clock
        self._minute = 0
        self._counts: Counter[Key] = Counter()  # of this minute
        self._networks: Counter[str | None] = Counter()  # rows of this minute
        self._waiting: dict[Key, Counted] = {}
        self._lost = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def note(
        self, kind: str, reason: str = "", *, user_id: int | None, address: str
    ) -> None:
        """Count an event. It is written within a second, or once the database is back.

        `kind` and `reason` are words of code: nothing that a caller sent.
        """
        now = self._clock()
        minute = int(now // 60)
        if minute != self._minute:
            self._turn(minute)
        key = self._key(minute, kind, reason, user_id, network(address) or None)
        self._counts[key] += 1
        request_id = REQUEST_ID.get() or None
        if self._counts[key] == 1:
            self._networks[key.address] += 1
            _log(kind, reason, key.user_id, None, key.address, request_id)
        if (counted := self._waiting.get(key)) is not None:
            counted.count += 1
            counted.ended = now
        elif len(self._waiting) < WAITING_MAX:
            self._waiting[key] = Counted(now, now, request_id)
        else:
            self._lost += 1
        self._wake.set()

    def _key(
        self,
        minute: int,
        kind: str,
        reason: str,
        user_id: int | None,
        place: str | None,
    ) -> Key:
        key = Key(minute, kind, reason, user_id, place)
        if key in self._counts:
            return key
        if user_id is not None and self._networks[place] >= OF_NETWORK:
            key = Key(minute, kind, reason, None, place)
        if key not in self._counts and len(self._counts) >= OF_MINUTE:
            key = Key(minute, kind, reason, None, None)
        return key

    def _turn(self, minute: int) -> None:
        """Begin a minute; log how often what happened in the last one did."""
        for key, count in self._counts.items():
            if count > 1:
                place = (key.kind, key.reason, key.user_id, None, key.address, None)
                _log(*place, count=count)
        self._minute = minute
        self._counts.clear()
        self._networks.clear()

    def start(self) -> None:
        """Start writing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="security events")

    async def close(self, seconds: float) -> None:
        """Write what is left, for at most so many seconds."""
        if self._task is None:
            return
        await ended([self._task])
        self._task = None
        self._turn(0)
        try:
            async with asyncio.timeout(seconds):
                await self._write()
        except (ApiError, TimeoutError) as error:
            self._lost += sum(each.count for each in self._waiting.values())
            log.warning("%s events are lost at the end: %s", self._lost, error)

    async def _run(self) -> None:
        backoff = Backoff(*PAUSES)
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(GATHER)
            try:
                await self._write()
            except Unavailable as error:
                log.warning("events wait: %s", error.message)
                self._wake.set()
                await backoff.rest()
            except ApiError as error:
                self._lost += len(self._waiting)
                self._waiting.clear()
                log.error("events cannot be written: %s", error.message)
            else:
                backoff.succeeded()
            if self._lost and not self._waiting:
                log.error("%s events are lost", self._lost)
                self._lost = 0

    async def _write(self) -> None:
        taken, self._waiting = self._waiting, {}
        if not taken:
            return
        rows = [(key, taken[key]) for key in sorted(taken, key=lambda key: key.order)]
        columns = zip(
            *(
                (
                    counted.began,
                    counted.ended,
                    key.minute,
                    key.kind,
                    key.reason,
                    key.user_id,
                    key.address,
                    counted.request_id,
                    counted.count,
                )
                for key, counted in rows
            ),
            strict=True,
        )
        try:
            await self._database.run(COUNT, *map(list, columns))
        except BaseException:
            self._restore(taken)
            raise

    def _restore(self, taken: Mapping[Key, Counted]) -> None:
        """Keep what was not written, with what came meanwhile."""
        for key, counted in taken.items():
            if (later := self._waiting.get(key)) is not None:
                later.count += counted.count
                later.began = counted.began
            else:
                self._waiting[key] = counted


@contextmanager
def attempted(ports: Ports, route: str, address: str) -> Iterator[None]:
    """Count what came of a route of /auth: that a user is let in, or is refused."""
    word = next((w for w in ATTEMPTS if route.startswith(f"/auth/{w}")), "account")
    ABOUT.set(None)
    ENTERED.set(None)
    try:
        yield
    except (Unauthenticated, Forbidden) as error:
        ports.security.note(
            f"{word}.refused", error.code or "", user_id=ABOUT.get(), address=address
        )
        raise
    if word in ATTEMPTS[:2] and (user_id := ENTERED.get()) is not None:
        ports.security.note(f"{word}.ok", user_id=user_id, address=address)


async def record(
    ports: Ports,
    kind: str,
    user_id: int | None,
    *,
    reason: str = "",
    **detail: Any,
) -> None:
    """Write an event of a user, on the caller's transaction; log it once committed.

    Who asked, from where and in which request is known by itself. Nothing in `detail`
    may be secret.
    """
    caller = CALLER.get().get("id")
    by = None if caller is None else int(caller)
    address, request_id = ADDRESS.get() or None, REQUEST_ID.get() or None
    text = dump(detail).decode()
    await ports.database.run(
        RECORD, kind, reason, user_id, by, address, request_id, text
    )
    place = (kind, reason, user_id, by, address, request_id)
    ports.database.after_commit(lambda: _log(*place, **detail))


def _log(
    kind: str,
    reason: str,
    user_id: int | None,
    by: int | None,
    address: str | None,
    request_id: str | None,
    **more: Any,
) -> None:
    """Log an event as one line of JSON, without what is not known."""
    found = {
        "kind": kind,
        "reason": reason,
        "user_id": user_id,
        "created_by_id": by,
        "address": address,
        "request_id": request_id,
        **more,
    }
    known = {name: value for name, value in found.items() if value not in (None, "")}
    log.info("%s", json.dumps(known, default=str))


async def read_events(
    ports: Ports,
    user: Mapping[str, Any],
    *,
    user_id: int | None,
    cursor: int | None,
    kind: str | None,
    address: str | None,
    reason: str | None,
    created_by_id: int | None,
    request_id: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return events of all users, the latest first; `cursor` is the last id seen.

    Raises:
        Forbidden: `row.table_not_allowed` for a caller who reads some users only.
    """
    scope, catalog = ports.rules.admin(user), ports.database.catalog
    if scope.readable(catalog, "users", with_deleted=True).rule.where is not None:
        raise Forbidden(
            "The events are not open to you.",
            code="row.table_not_allowed",
            hint="They are for those who read every user.",
        )
    place = (user_id, cursor, kind, address, reason, created_by_id, request_id, limit)
    found = await ports.database.rows(SHOWN, *place)
    return [orjson.loads(each["row"]) for each in found]


async def read_own_events(
    database: Database, me: int, *, cursor: int | None, kind: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return events of one user, the latest first, without who else caused them."""
    found = await database.rows(MINE, me, cursor, kind, limit)
    return [orjson.loads(each["row"]) for each in found]
