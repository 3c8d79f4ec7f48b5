"""Redis Streams: a group of consumers, each with a list of what it has in hand.

A message is removed from the stream once it is settled. What a dead consumer had in
hand is claimed by another one after `config_queue_lease_sec`. What Redis has confirmed
it keeps as well as its own persistence does (`appendonly yes`).
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson

from atom.backoff import Backoff
from atom.client import needed
from atom.client.redis import PRODUCER
from atom.config.view import view
from atom.errors import Unavailable
from atom.queue.broker import (
    NO_HEADERS,
    BrokerConfig,
    ChannelState,
    DeadLetter,
    Delivery,
)

log = logging.getLogger(__name__)

GROUP = "atom"
BLOCK_MS = 1000  # less than the timeout of the client
CLAIM_SECONDS = 5.0  # between two looks for what others left
IDLE_MS = 86_400_000  # a consumer that has not been seen so long is removed
CHUNK = 500
HEADER = "h:"

# Only what is still in our hand: another consumer may have claimed it meanwhile.
EXTEND = """
for i = 3, #ARGV do
  local held = redis.call('xpending', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if held[1] and held[1][2] == ARGV[2] then
    redis.call('xclaim', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'justid')
  end
end
"""
RELEASE = """
for i = 4, #ARGV do
  local held = redis.call('xpending', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if held[1] and held[1][2] == ARGV[2] then
    redis.call('xclaim', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'idle', ARGV[3],
               'justid')
  end
end
"""
# Without anything in hand; else what it holds would never be claimed.
LEAVE = """
for _, each in ipairs(redis.call('xinfo', 'consumers', KEYS[1], ARGV[1])) do
  local name, pending, idle
  for i = 1, #each, 2 do
    if each[i] == 'name' then name = each[i + 1] end
    if each[i] == 'pending' then pending = each[i + 1] end
    if each[i] == 'idle' then idle = each[i + 1] end
  end
  if pending == 0 and (name == ARGV[2] or idle > tonumber(ARGV[3])) then
    redis.call('xgroup', 'delconsumer', KEYS[1], ARGV[1], name)
  end
end
"""


def dead_of(channel: str) -> str:
    """Return where the dead letters of a channel are."""
    return f"{channel}_dead"


class RedisBroker:
    """The streams of one Redis."""

    name = "redis"

    def __init__(self, client: Any, lease: float) -> None:
        self.client = client
        self.lease = lease

    async def send(
        self,
        channel: str,
        body: bytes,
        *,
        message_id: str,
        key: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Append a message to the stream."""
        fields = _fields(body, message_id, key, headers)
        with _available():
            await self.client.xadd(channel, fields)

    @asynccontextmanager
    async def subscribe(
        self, channel: str, *, prefetch: int
    ) -> AsyncIterator["RedisSubscription"]:
        """Join the group under a name of its own; leave it at the end."""
        found = RedisSubscription(self.client, channel, prefetch, self.lease)
        try:
            yield found
        finally:
            await found.leave()

    async def setup(self, channel: str) -> list[str]:
        """Create the stream and its group."""
        with _available():
            return [f"group {GROUP} of stream {channel}"] * await _join(
                self.client, channel
            )

    async def state(self, channel: str) -> ChannelState:
        """Count entries; those in hand are entries of the stream as well."""
        with _available():
            total = await self.client.xlen(channel)
            groups = await _groups(self.client, channel)
            dead = await self.client.xlen(dead_of(channel))
        in_hand = sum(int(each["pending"]) for each in groups)
        return ChannelState(channel, max(0, total - in_hand), in_hand, dead)

    async def dead(self, channel: str, limit: int) -> list[DeadLetter]:
        """Return the oldest dead letters."""
        with _available():
            found = await self.client.xrange(dead_of(channel), count=limit)
        return [_letter(_text(name), fields) for name, fields in found]

    async def replay(self, channel: str, ids: Sequence[str] | None) -> int:
        """Move dead letters back, each in one transaction."""
        done, source = 0, dead_of(channel)
        with _available():
            async for name, fields in self._letters(source, ids):
                kept = {
                    each: value
                    for each, value in fields.items()
                    if each not in (b"reason", b"attempts", b"died_at")
                }
                async with self.client.pipeline(transaction=True) as pipe:
                    pipe.xadd(channel, kept)
                    pipe.xdel(source, name)
                    await pipe.execute()
                done += 1
        return done

    async def _letters(
        self, source: str, ids: Sequence[str] | None
    ) -> AsyncIterator[tuple[Any, Mapping[bytes, bytes]]]:
        """Yield the dead letters that are there now."""
        if ids is not None:
            for each in ids:
                for found in await self.client.xrange(source, each, each):
                    yield found
            return
        newest = await self.client.xrevrange(source, count=1)
        start, last = "-", newest[0][0] if newest else None
        while last is not None:
            found = await self.client.xrange(source, start, last, count=CHUNK)
            if not found:
                return
            for each in found:
                yield each
            start = f"({_text(found[-1][0])}"

    async def purge(self, channel: str, *, dead: bool) -> int:
        """Delete entries: all dead letters, or those that no consumer has in hand."""
        with _available():
            if dead:
                return int(
                    await self.client.xtrim(dead_of(channel), 0, approximate=False)
                )
            groups = await _groups(self.client, channel)
            start = max((_text(g["last-delivered-id"]) for g in groups), default="0-0")
            done = 0
            while found := await self.client.xrange(channel, f"({start}", count=CHUNK):
                done += await self.client.xdel(channel, *(name for name, _ in found))
            return done


class RedisSubscription:
    """One consumer of the group."""

    def __init__(self, client: Any, channel: str, prefetch: int, lease: float) -> None:
        self._client = client
        self._lease_ms = int(lease * 1000)
        self._channel = channel
        self._prefetch = prefetch
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._held: set[str] = set()
        self._freed = asyncio.Event()
        self._claimed_at = 0.0
        self._cursor: Any = "0-0"

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        """Yield what others left, then what is new."""
        backoff = Backoff(0.1, 5.0)
        while True:
            while (room := self._prefetch - len(self._held)) <= 0:
                self._freed.clear()
                await self._freed.wait()
            try:
                found = await self._claim(room) or await self._new(room)
            except Exception as error:
                if not _is_lost(error):
                    raise
                if not backoff.seconds:
                    log.warning("redis: waiting for it: %s", error)
                await backoff.rest()
                continue
            backoff.succeeded()
            for each in found:
                self._held.add(each.token)
                yield each

    async def _claim(self, room: int) -> list[Delivery]:
        """Take over what consumers have held for longer than a lease."""
        now = time.monotonic()
        if now - self._claimed_at < min(CLAIM_SECONDS, self._lease_ms / 2000):
            return []
        try:
            answer = await self._client.xautoclaim(
                *(self._channel, GROUP, self._name, self._lease_ms),
                start_id=self._cursor,
                count=room,
            )
        except Exception as error:
            if not _is_ungrouped(error):
                raise
            await _join(self._client, self._channel)
            return []
        self._cursor = answer[0]
        if _text(self._cursor) == "0-0":
            self._claimed_at = now
        entries = [each for each in answer[1] if each[1]]
        return [
            _delivery(name, fields, await self._count(name)) for name, fields in entries
        ]

    async def _count(self, name: Any) -> int | None:
        """Return how often an entry was delivered."""
        found = await self._client.xpending_range(
            self._channel, GROUP, min=name, max=name, count=1
        )
        return int(found[0]["times_delivered"]) if found else None

    async def _new(self, room: int) -> list[Delivery]:
        """Wait for entries that were never delivered."""
        try:
            answer = await self._client.xreadgroup(
                GROUP, self._name, {self._channel: ">"}, count=room, block=BLOCK_MS
            )
        except Exception as error:
            if not _is_ungrouped(error):
                raise
            await _join(self._client, self._channel)
            return []
        entries = [entry for _, found in answer or () for entry in found]
        return [_delivery(name, fields, 1) for name, fields in entries if fields]

    def _let_go(self, deliveries: Sequence[Delivery]) -> list[str]:
        names = [each.token for each in deliveries]
        self._held.difference_update(names)
        self._freed.set()
        return names

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge and remove entries."""
        names = self._let_go(deliveries)
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.xack(self._channel, GROUP, *names)
            pipe.xdel(self._channel, *names)
            await pipe.execute()

    async def reject(self, delivery: Delivery, reason: str, attempts: int) -> None:
        """Move an entry to the dead letters, in one transaction."""
        (name,) = self._let_go([delivery])
        fields: dict[Any, Any] = _fields(
            delivery.body, delivery.message_id or "", delivery.key, delivery.headers
        )
        fields |= {
            "reason": reason,
            "attempts": attempts,
            "died_at": datetime.now(UTC).isoformat(),
        }
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.xadd(dead_of(self._channel), fields)
            pipe.xack(self._channel, GROUP, name)
            pipe.xdel(self._channel, name)
            await pipe.execute()

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Let others claim entries at once."""
        idle = self._lease_ms + 1
        names = self._let_go(deliveries)
        given = (GROUP, self._name, idle, *names)
        await self._client.eval(RELEASE, 1, self._channel, *given)

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Begin the lease of entries again."""
        names = [each.token for each in deliveries]
        given = (GROUP, self._name, *names)
        await self._client.eval(EXTEND, 1, self._channel, *given)

    async def leave(self) -> None:
        """Remove this consumer from the group, and those that are long gone."""
        try:
            given = (GROUP, self._name, IDLE_MS)
            await self._client.eval(LEAVE, 1, self._channel, *given)
        except Exception as error:
            log.info("redis: the name of this consumer is kept: %s", error)


def broker(clients: Mapping[str, Any], config: Mapping[str, Any]) -> RedisBroker:
    """Return the broker.

    Raises:
        Unavailable: `client.missing` or `client.silent`.
    """
    given = view(BrokerConfig, config)
    client = needed(clients, PRODUCER.name, *PRODUCER.needs)
    return RedisBroker(client, given.queue_lease_sec)


@contextmanager
def _available() -> Iterator[None]:
    """Raise Unavailable when the connection is lost."""
    try:
        yield
    except Exception as error:
        if not _is_lost(error):
            raise
        raise Unavailable(
            "Redis does not answer at the moment.",
            code="client.silent",
            hint="Try again in a moment.",
        ) from error


def _is_lost(error: BaseException) -> bool:
    from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError

    return isinstance(
        error, ConnectionError | TimeoutError | BusyLoadingError | OSError
    )


def _is_ungrouped(error: Exception) -> bool:
    """Whether Redis does not know the stream or its group."""
    return str(error).startswith("NOGROUP")


async def _join(client: Any, channel: str) -> bool:
    """Create the group, from the first entry on. Return False when it is there."""
    from redis.exceptions import ResponseError

    try:
        await client.xgroup_create(channel, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
        return False
    return True


async def _groups(client: Any, channel: str) -> list[Mapping[str, Any]]:
    from redis.exceptions import ResponseError

    try:
        found: list[Mapping[str, Any]] = await client.xinfo_groups(channel)
    except ResponseError:  # there is no such stream
        return []
    return found


def _fields(
    body: bytes, message_id: str, key: str | None, headers: Mapping[str, str]
) -> dict[Any, Any]:
    found: dict[Any, Any] = {"body": body, "message_id": message_id}
    if key is not None:
        found["key"] = key
    return found | {HEADER + name: value for name, value in headers.items()}


def _delivery(name: Any, fields: Mapping[bytes, bytes], count: int | None) -> Delivery:
    token = _text(name)
    named = {_text(each): value for each, value in fields.items()}
    key = named.get("key")
    message_id = _text(named.get("message_id", b""))
    body = named.get("body")
    if body is None:  # sent by another program; a dead letter keeps all of it
        body = orjson.dumps({each: _text(value) for each, value in named.items()})
    return Delivery(
        body,
        token,
        message_id or f"redis {token}",
        None if key is None else _text(key),
        count,
        {
            each.removeprefix(HEADER): _text(value)
            for each, value in named.items()
            if each.startswith(HEADER)
        },
    )


def _letter(name: str, fields: Mapping[bytes, bytes]) -> DeadLetter:
    died_at = datetime.fromisoformat(_text(fields[b"died_at"]))
    return DeadLetter(
        name,
        fields[b"body"],
        _text(fields[b"reason"]),
        int(fields[b"attempts"]),
        died_at,
    )


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
