"""A consumer of a stream of Redis, in the group that all consumers of Atom share.

Redis delivers the entries of a stream in order, and knows which consumer has which of
them in hand. So an entry with a key waits here while an earlier one of its key is in
the hand of another consumer, dead or alive.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from atom.backoff import Backoff
from atom.queue.broker import Delivery, dead_of
from atom.queue.message import key_of

log = logging.getLogger(__name__)

GROUP = "atom"
BLOCK_MS = 1000  # less than the timeout of the client
CLAIM_SECONDS = 5.0  # between two looks for what others left
PATIENCE = (0.02, 0.25)  # seconds until the hands of others are looked at again
IDLE_MS = 86_400_000  # a consumer that has not been seen so long is removed
CHUNK = 500
HEADER = "h:"
KEYED = (b"key", b"aggregate_id")  # a body with a key has one of them

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


class RedisSubscription:
    """One consumer of the group."""

    def __init__(self, client: Any, channel: str, prefetch: int, lease: float) -> None:
        self._client = client
        self._lease = lease
        self._lease_ms = int(lease * 1000)
        self._channel = channel
        self._prefetch = prefetch
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._held: set[str] = set()  # what was taken and is not settled
        self._waiting: list[Delivery] = []  # of these, behind another consumer's
        self._keys: dict[str, str | None] = {}  # of entries that were looked at
        self._freed = asyncio.Event()
        self._claimed_at = 0.0
        self._extended_at = 0.0
        self._cursor: Any = "0-0"
        self._is_sure = True  # False: Redis may count more as ours than we took

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        """Yield what others left, then what is new."""
        backoff = Backoff(0.1, 5.0)
        patience = Backoff(*PATIENCE)
        while True:
            if not self._waiting:
                patience.succeeded()
            try:
                ready = await self._next(patience)
            except Exception as error:
                if not is_lost(error):
                    raise
                self._is_sure = False
                if not backoff.seconds:
                    log.warning("redis: waiting for it: %s", error)
                await backoff.rest()
                continue
            backoff.succeeded()
            for each in ready:
                patience.succeeded()
                yield each

    async def _next(self, patience: Backoff) -> list[Delivery]:
        """Take entries in hand; return those that may be handled now."""
        while (room := self._prefetch - len(self._held)) <= 0 and not self._waiting:
            self._freed.clear()
            await self._freed.wait()
        found = await self._regain() or await self._claim(room)
        if not found:
            found = await self._new(room, patience.failed() if self._waiting else None)
        self._held.update(each.token for each in found)
        # Until it is known that they are ready: an error may come in between.
        self._waiting = sorted([*self._waiting, *found], key=_place)
        await self._extend_waiting()
        ready = await self._in_order()
        left = {each.token for each in self._waiting} - {each.token for each in ready}
        self._waiting = [each for each in self._waiting if each.token in left]
        return ready

    async def _regain(self) -> list[Delivery]:
        """Take what Redis delivered to us while the connection was lost."""
        if self._is_sure:
            return []
        self._is_sure = True
        try:
            names = await self._pending("+", self._prefetch + CHUNK, self._name)
            lost = [name for name in names if name not in self._held]
            given = (self._channel, GROUP, self._name, 0, lost)
            answer = await self._client.xclaim(*given) if lost else []
        except Exception as error:
            self._is_sure = False
            if not _is_ungrouped(error):
                raise
            await join(self._client, self._channel)
            return []
        return await self._counted(answer)

    async def _claim(self, room: int) -> list[Delivery]:
        """Take over what consumers have held for longer than a lease.

        Those that wait may wait for one of these: then there is room for it.
        """
        now = time.monotonic()
        pause = min(CLAIM_SECONDS, self._lease / 2)
        if not self._waiting and now - self._claimed_at < pause:
            return []
        try:
            answer = await self._client.xautoclaim(
                *(self._channel, GROUP, self._name, self._lease_ms),
                start_id=self._cursor,
                count=max(room, CHUNK if self._waiting else 1),
            )
        except Exception as error:
            if not _is_ungrouped(error):
                raise
            await join(self._client, self._channel)
            return []
        self._cursor = answer[0]
        if text(self._cursor) == "0-0":
            self._claimed_at = now
        return await self._counted(answer[1])

    async def _counted(self, entries: Sequence[Any]) -> list[Delivery]:
        """Return entries that were delivered before, with how often."""
        return [
            _delivery(name, fields, await self._count(name))
            for name, fields in entries
            if fields and text(name) not in self._held
        ]

    async def _count(self, name: Any) -> int | None:
        """Return how often an entry was delivered."""
        found = await self._client.xpending_range(
            self._channel, GROUP, min=name, max=name, count=1
        )
        return int(found[0]["times_delivered"]) if found else None

    async def _new(self, room: int, pause: float | None) -> list[Delivery]:
        """Wait for entries that were never delivered, not long if others wait here."""
        if room <= 0:
            self._freed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._freed.wait()
            return []
        block = BLOCK_MS if pause is None else max(1, int(pause * 1000))
        try:
            answer = await self._client.xreadgroup(
                GROUP, self._name, {self._channel: ">"}, count=room, block=block
            )
        except Exception as error:
            if not _is_ungrouped(error):
                raise
            await join(self._client, self._channel)
            return []
        entries = [entry for _, found in answer or () for entry in found]
        return [_delivery(name, fields, 1) for name, fields in entries if fields]

    # The order of a key

    async def _in_order(self) -> list[Delivery]:
        """Return those that wait for no earlier entry of their key.

        Whatever comes before an entry in the stream was delivered before it, and is
        settled or in a consumer's hand. What is in our own is handled in order.
        """
        waiting = self._waiting
        if not any(map(_may_have_key, waiting)):
            return waiting
        state = await self._client.xpending(self._channel, GROUP)
        if all(text(each["name"]) == self._name for each in state["consumers"]):
            return waiting
        names = await self._pending(waiting[-1].token, state["pending"])
        others = [name for name in names if name not in self._held]
        await self._read_keys(others)
        first: dict[str | None, tuple[int, ...]] = {}
        for name in others:  # they come in order
            first.setdefault(self._keys[name], _numbers(name))
        first.pop(None, None)
        return [
            each
            for each in waiting
            if (before := first.get(self._keys[each.token])) is None
            or before > _place(each)
        ]

    async def _pending(self, last: str, count: int, name: str = "") -> list[str]:
        """Return the entries in hand, up to one; those of one consumer, or of all."""
        only = {"consumername": name} if name else {}
        found = await self._client.xpending_range(
            self._channel, GROUP, min="-", max=last, count=count, **only
        )
        return [text(each["message_id"]) for each in found]

    async def _read_keys(self, others: Sequence[str]) -> None:
        """Know the keys of entries, and forget those of all that are gone."""
        waiting = {each.token: each for each in self._waiting}
        known, self._keys = self._keys, {}
        for name, each in waiting.items():
            self._keys[name] = known[name] if name in known else key_of(each)
        unknown = [name for name in others if name not in known]
        self._keys |= {name: known[name] for name in others if name in known}
        for start in range(0, len(unknown), CHUNK):
            some = unknown[start : start + CHUNK]
            async with self._client.pipeline(transaction=False) as pipe:
                for name in some:
                    pipe.xrange(self._channel, name, name)
                answers = await pipe.execute()
            for name, found in zip(some, answers, strict=True):
                # Gone meanwhile, or deleted by hand: nothing is behind it.
                read = [key_of(_delivery(at, fields, None)) for at, fields in found]
                self._keys[name] = read[0] if read else None

    async def _extend_waiting(self) -> None:
        """Keep those that wait in hand."""
        now = time.monotonic()
        if self._waiting and now - self._extended_at > self._lease / 3:
            await self.extend(self._waiting)
            self._extended_at = now

    # Settling

    @contextmanager
    def _settling(self, deliveries: Sequence[Delivery]) -> Iterator[list[str]]:
        """Let go of deliveries once the block has ended, however it ends."""
        names = [each.token for each in deliveries]
        try:
            yield names
        except BaseException:
            self._is_sure = False
            raise
        finally:
            self._held.difference_update(names)
            self._freed.set()

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge and remove entries."""
        with self._settling(deliveries) as names:
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.xack(self._channel, GROUP, *names)
                pipe.xdel(self._channel, *names)
                await pipe.execute()

    async def reject(self, delivery: Delivery, reason: str, attempts: int) -> None:
        """Move an entry to the dead letters, in one transaction."""
        values: dict[Any, Any] = written(
            delivery.body, delivery.message_id or "", delivery.key, delivery.headers
        )
        values |= {
            "reason": reason,
            "attempts": attempts,
            "died_at": datetime.now(UTC).isoformat(),
        }
        with self._settling([delivery]) as (name,):
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.xadd(dead_of(self._channel), values)
                pipe.xack(self._channel, GROUP, name)
                pipe.xdel(self._channel, name)
                await pipe.execute()

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Let others claim entries at once."""
        with self._settling(deliveries) as names:
            await self._release(names)

    async def _release(self, names: Collection[str]) -> None:
        given = (GROUP, self._name, self._lease_ms + 1, *names)
        await self._client.eval(RELEASE, 1, self._channel, *given)

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Begin the lease of entries again."""
        names = [each.token for each in deliveries]
        given = (GROUP, self._name, *names)
        await self._client.eval(EXTEND, 1, self._channel, *given)

    async def leave(self) -> None:
        """Release what is left; remove this consumer, and those that are long gone."""
        try:
            if self._held:
                await self._release(self._held)
            given = (GROUP, self._name, IDLE_MS)
            await self._client.eval(LEAVE, 1, self._channel, *given)
        except Exception as error:
            log.info("redis: the name of this consumer is kept: %s", error)


def is_lost(error: BaseException) -> bool:
    """Whether Redis does not answer at the moment."""
    from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError

    return isinstance(
        error, ConnectionError | TimeoutError | BusyLoadingError | OSError
    )


def _is_ungrouped(error: Exception) -> bool:
    """Whether Redis does not know the stream or its group."""
    return str(error).startswith("NOGROUP")


async def join(client: Any, channel: str) -> bool:
    """Create the group, from the first entry on. Return False when it is there."""
    from redis.exceptions import ResponseError

    try:
        await client.xgroup_create(channel, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise
        return False
    return True


def written(
    body: bytes, message_id: str, key: str | None, headers: Mapping[str, str]
) -> dict[Any, Any]:
    """Return the fields of an entry."""
    found: dict[Any, Any] = {"body": body, "message_id": message_id}
    if key is not None:
        found["key"] = key
    return found | {HEADER + name: value for name, value in headers.items()}


def _delivery(name: Any, fields: Mapping[bytes, bytes], count: int | None) -> Delivery:
    token = text(name)
    named = {text(each): value for each, value in fields.items()}
    key = named.get("key")
    message_id = text(named.get("message_id", b""))
    body = named.get("body")
    if body is None:  # sent by another program; a dead letter keeps all of it
        body = orjson.dumps({each: text(value) for each, value in named.items()})
    return Delivery(
        body,
        token,
        message_id or f"redis {token}",
        None if key is None else text(key),
        count,
        {
            each.removeprefix(HEADER): text(value)
            for each, value in named.items()
            if each.startswith(HEADER)
        },
    )


def _may_have_key(delivery: Delivery) -> bool:
    """Whether a delivery has a key, without reading its body."""
    return delivery.key is not None or any(word in delivery.body for word in KEYED)


def _place(delivery: Delivery) -> tuple[int, ...]:
    return _numbers(delivery.token)


def _numbers(name: str) -> tuple[int, ...]:
    """Return the id of an entry as it is ordered: milliseconds, then a number."""
    return tuple(map(int, name.split("-")))


def text(value: Any) -> str:
    """Return what Redis answers as text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
