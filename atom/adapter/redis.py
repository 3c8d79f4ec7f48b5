"""Counter and Store on Redis, shared by every worker. Without it they step aside.

Redis is asked by Lua scripts, each done wholly or not at all.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from hashlib import sha1
from math import ceil
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from atom.adapter import Patience
from atom.adapter.memory import MemoryCounter

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

SECONDS = 0.3  # the longest one request waits for Redis

# A count beyond `times` is answered but not stored. A key that lost its end gets one.
HIT = """
local hits = tonumber(redis.call('GET', KEYS[1]) or '0')
local left = redis.call('PTTL', KEYS[1])
local times = tonumber(ARGV[2])
if times > 0 and hits >= times then
  hits = hits + 1
else
  hits = redis.call('INCR', KEYS[1])
end
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {hits, left}
"""
PEEK = "return {redis.call('GET', KEYS[1]) or '0', redis.call('PTTL', KEYS[1])}"
FORGET = "return redis.call('DEL', KEYS[1])"

# KEYS[1] holds the sequence, the floor below which every mark is stale, and for each
# tag the sequence at its last drop. It begins at the server's clock in microseconds:
# should it ever be lost, everything kept before is stale.
STATE = """
local function begin()
  local sequence = redis.call('HGET', KEYS[1], 'sequence')
  if not sequence then
    local now = redis.call('TIME')
    sequence = string.format('%.0f', tonumber(now[1]) * 1000000 + tonumber(now[2]))
    redis.call('HSET', KEYS[1], 'sequence', sequence, 'floor', sequence)
  end
  return sequence
end
local function clear()
  local sequence = string.format('%.0f', tonumber(begin()) + 1)
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'sequence', sequence, 'floor', sequence)
  return sequence
end
local function fresh(mark, tags)
  begin()
  mark = tonumber(mark)
  if mark < tonumber(redis.call('HGET', KEYS[1], 'floor')) then return false end
  for tag in string.gmatch(tags, '[^%z]+') do
    local dropped = redis.call('HGET', KEYS[1], 'tag:' .. tag)
    if dropped and tonumber(dropped) > mark then return false end
  end
  return true
end
"""
BEGIN = STATE + "return begin()"
CLEAR = STATE + "return clear()"
DROP = (
    STATE
    + """
local sequence = string.format('%.0f', tonumber(begin()) + 1)
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[2]) then sequence = clear() end
redis.call('HSET', KEYS[1], 'sequence', sequence, 'tag:' .. ARGV[1], sequence)
return sequence
"""
)
SET = (
    STATE
    + """
if not fresh(ARGV[1], ARGV[2]) then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'mark', ARGV[1], 'tags', ARGV[2], 'value', ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
"""
)
GET = (
    STATE
    + """
local kept = redis.call('HMGET', KEYS[2], 'mark', 'tags', 'value')
if not kept[3] then return false end
if fresh(kept[1], kept[2]) then return kept[3] end
redis.call('UNLINK', KEYS[2])
return false
"""
)
LOCK = "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0"
UNLOCK = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

HASHES = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (HIT, PEEK, FORGET, BEGIN, CLEAR, DROP, SET, GET, LOCK, UNLOCK)
}


class Scripts:
    """Runs scripts on a Redis that may be silent.

    `client` may be None at first and be set when the connection comes.
    """

    def __init__(
        self, client: "Redis | None", patience: Patience, seconds: float = SECONDS
    ) -> None:
        from redis.exceptions import NoScriptError, RedisError

        self.client = client
        self._patience = patience
        self._seconds = seconds
        self._unknown = NoScriptError
        self._failures = (RedisError, OSError, TimeoutError)

    async def _run(
        self, client: "Redis", script: str, keys: tuple[str, ...], *values: Any
    ) -> Any:
        """Run a script, sending its text only when the server does not know it yet."""
        async with asyncio.timeout(self._seconds):
            try:
                known = HASHES[script]
                return await client.evalsha(known, len(keys), *keys, *values)
            except self._unknown:
                return await client.eval(script, len(keys), *keys, *values)

    async def _catch_up(self, client: "Redis") -> None:
        """Do what has to come before any script."""

    async def _ask(self, script: str, keys: tuple[str, ...], *values: Any) -> Any:
        """Return what a script answers; None while Redis is silent."""
        if self.client is None:
            self._patience.failed()
            return None
        if not self._patience.may_ask():
            return None
        try:
            await self._catch_up(self.client)
            answer = await self._run(self.client, script, keys, *values)
        except self._failures as error:
            self._patience.failed(error)
            return None
        self._patience.answered()
        return answer


class RedisCounter(Scripts):
    """Counts in Redis; while it is silent, in the memory of this process."""

    def __init__(
        self,
        client: "Redis | None",
        *,
        prefix: str = "atom:count:",
        clock: Callable[[], float] = time.monotonic,
        seconds: float = SECONDS,
    ) -> None:
        instead = "each process counts for itself"
        patience = Patience("Redis for rate limits", instead, clock=clock)
        super().__init__(client, patience, seconds)
        self._prefix = prefix
        self._instead = MemoryCounter(clock=clock)

    async def hit(self, key: str, seconds: int, *, times: int = 0) -> tuple[int, int]:
        """Count one hit. Return the hits in this window and its seconds left."""
        answer = await self._ask(HIT, (self._prefix + key,), seconds * 1000, times)
        if answer is None:
            return await self._instead.hit(key, seconds, times=times)
        return int(answer[0]), max(1, ceil(answer[1] / 1000))

    async def peek(self, key: str) -> tuple[int, int]:
        """Return the hits and the seconds left, counting nothing."""
        answer = await self._ask(PEEK, (self._prefix + key,))
        if answer is None:
            return await self._instead.peek(key)
        hits, left = int(answer[0]), int(answer[1])
        return (hits, max(1, ceil(left / 1000))) if hits else (0, 0)

    async def clear(self, key: str) -> None:
        """Forget a count, here and there."""
        await self._instead.clear(key)
        await self._ask(FORGET, (self._prefix + key,))


class RedisStore(Scripts):
    """Keeps answers in Redis; while it is silent, keeps nothing.

    A drop takes the same time however many answers it concerns: a kept answer carries
    its mark and tags, and reading it compares them. A drop that Redis may have missed
    is made good before anything is read again, by forgetting everything.

    A lock belongs to this store object, so to a worker.
    """

    def __init__(
        self,
        client: "Redis | None",
        *,
        prefix: str = "{atom:cache}:",
        tags_max: int = 10_000,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        instead = "nothing is cached there"
        patience = Patience("Redis for cached answers", instead, clock=clock)
        super().__init__(client, patience, seconds)
        self._prefix = prefix
        self._state = prefix + "state"
        self._tags_max = tags_max
        self._missed = 0  # drops Redis may not have heard of
        self._tokens: dict[str, str] = {}

    async def get(self, key: str) -> bytes | None:
        """Return what is kept and still fresh."""
        value: bytes | None = await self._ask(GET, self._entry(key))
        return value

    async def begin(self) -> int:
        """Return a mark to hand to `set`: writes after it make the answer stale."""
        sequence = await self._ask(BEGIN, (self._state,))
        return -1 if sequence is None else int(sequence)

    async def set(
        self, key: str, value: bytes, seconds: float, *, tags: Iterable[str], mark: int
    ) -> bool:
        """Keep an answer, unless one of its tags was dropped after `mark`."""
        ms = int(seconds * 1000)
        if ms < 1 or mark < 0:
            return False
        text = "\0".join(tags)
        return bool(await self._ask(SET, self._entry(key), mark, text, ms, value))

    async def drop(self, tag: str) -> None:
        """Forget every answer made from this, also those being made now."""
        if await self._ask(DROP, (self._state,), tag, self._tags_max) is None:
            self._missed += 1

    async def clear(self) -> None:
        """Forget every answer."""
        if await self._ask(CLEAR, (self._state,)) is None:
            self._missed += 1

    async def lock(self, key: str, seconds: float) -> bool:
        """Become the one filler of a key. False: another one is.

        Without Redis every caller is.
        """
        token = token_hex(16)
        taken = await self._ask(LOCK, (self._lock(key),), token, int(seconds * 1000))
        if taken:
            self._tokens[key] = token
        return taken is None or bool(taken)

    async def unlock(self, key: str) -> None:
        """Stop being the filler of a key; only one's own lock is released."""
        token = self._tokens.pop(key, None)
        if token is not None:
            await self._ask(UNLOCK, (self._lock(key),), token)

    def _entry(self, key: str) -> tuple[str, str]:
        return (self._state, self._prefix + "kept:" + key)

    def _lock(self, key: str) -> str:
        return self._prefix + "lock:" + key

    async def _catch_up(self, client: "Redis") -> None:
        if missed := self._missed:
            await self._run(client, CLEAR, (self._state,))
            self._missed -= missed
            log.info("cached answers forgotten: Redis missed %s writes", missed)
