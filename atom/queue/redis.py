"""Redis Streams: a group of consumers, each with a list of what it has in hand.

A message is removed from the stream once it is settled. What a dead consumer had in
hand is claimed by another one after `config_queue_lease_sec`. What Redis has confirmed
it keeps as well as its own persistence does (`appendonly yes`).
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

from atom.client import needed
from atom.client.redis import PRODUCER
from atom.config.view import view
from atom.errors import Unavailable
from atom.queue.broker import (
    NO_HEADERS,
    BrokerConfig,
    ChannelState,
    DeadLetter,
    dead_of,
)
from atom.queue.redis_subscription import (
    GROUP,
    RedisSubscription,
    is_lost,
    join,
    text,
    written,
)

CHUNK = 500


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
        values = written(body, message_id, key, headers)
        with _available():
            await self.client.xadd(channel, values)

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
            return [f"group {GROUP} of stream {channel}"] * await join(
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

    async def waiting(self, channel: str) -> int | None:
        """Count the messages that wait."""
        return (await self.state(channel)).waiting

    async def dead(self, channel: str, limit: int) -> list[DeadLetter]:
        """Return the oldest dead letters."""
        with _available():
            found = await self.client.xrange(dead_of(channel), count=limit)
        return [_letter(text(name), fields) for name, fields in found]

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
            start = f"({text(found[-1][0])}"

    async def purge(self, channel: str, *, dead: bool) -> int:
        """Delete entries: all dead letters, or those that no consumer has in hand."""
        with _available():
            if dead:
                return int(
                    await self.client.xtrim(dead_of(channel), 0, approximate=False)
                )
            groups = await _groups(self.client, channel)
            start = max((text(g["last-delivered-id"]) for g in groups), default="0-0")
            done = 0
            while found := await self.client.xrange(channel, f"({start}", count=CHUNK):
                done += await self.client.xdel(channel, *(name for name, _ in found))
            return done


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
        if not is_lost(error):
            raise
        raise Unavailable(
            "Redis does not answer at the moment.",
            code="client.silent",
            hint="Try again in a moment.",
        ) from error


async def _groups(client: Any, channel: str) -> list[Mapping[str, Any]]:
    from redis.exceptions import ResponseError

    try:
        found: list[Mapping[str, Any]] = await client.xinfo_groups(channel)
    except ResponseError:  # there is no such stream
        return []
    return found


def _letter(name: str, fields: Mapping[bytes, bytes]) -> DeadLetter:
    died_at = datetime.fromisoformat(text(fields[b"died_at"]))
    return DeadLetter(
        name,
        fields[b"body"],
        text(fields[b"reason"]),
        int(fields[b"attempts"]),
        died_at,
    )
