"""Counter and Store on Redis, shared by every worker. Without it they step aside."""

import logging
import time
from collections.abc import Callable, Iterable
from math import ceil
from secrets import token_hex
from typing import Any

from atom.adapter import Patience
from atom.adapter.memory import MemoryCounter
from atom.adapter.script import (
    BEGIN,
    CLEAR,
    DROP,
    FORGET,
    GET,
    HIT,
    LOCK,
    PEEK,
    SET,
    UNLOCK,
    ask,
)

log = logging.getLogger(__name__)


def failures() -> tuple[type[Exception], ...]:
    """Return what a Redis that cannot be relied on raises."""
    from redis.exceptions import RedisError

    return (RedisError, OSError, TimeoutError)


class RedisCounter:
    """Counts in Redis; while it is silent, in the memory of this process.

    `client` may be None at first and be set when the connection comes.
    """

    def __init__(
        self,
        client: Any,
        *,
        prefix: str = "atom:count:",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self._prefix = prefix
        self._instead = MemoryCounter(clock=clock)
        self._failures = failures()
        self._patience = Patience(
            "Redis for rate limits", "each process counts for itself", clock=clock
        )

    async def hit(self, key: str, seconds: int, *, times: int = 0) -> tuple[int, int]:
        """Count one hit. Return the hits in this window and its seconds left."""
        answer = await self._ask(HIT, key, seconds * 1000, times)
        if answer is None:
            return await self._instead.hit(key, seconds, times=times)
        return int(answer[0]), max(1, ceil(answer[1] / 1000))

    async def peek(self, key: str) -> tuple[int, int]:
        """Return the hits and the seconds left, counting nothing."""
        answer = await self._ask(PEEK, key)
        if answer is None:
            return await self._instead.peek(key)
        hits, left = int(answer[0]), int(answer[1])
        return (hits, max(1, ceil(left / 1000))) if hits else (0, 0)

    async def clear(self, key: str) -> None:
        """Forget a count, here and there."""
        await self._instead.clear(key)
        await self._ask(FORGET, key)

    async def _ask(self, script: str, key: str, *values: int) -> Any:
        if self.client is None:
            self._patience.failed()
            return None
        if not self._patience.may_ask():
            return None
        try:
            answer = await ask(self.client, script, (self._prefix + key,), *values)
        except self._failures as error:
            self._patience.failed(error)
            return None
        self._patience.answered()
        return answer


class RedisStore:
    """Keeps answers in Redis; while it is silent, keeps nothing.

    A drop takes the same time however many answers it concerns: a kept answer carries
    its mark and tags, and reading it compares them. A drop that Redis may have missed
    is made good before anything is read again, by forgetting everything.

    A lock belongs to this store object, so to a worker.
    """

    def __init__(
        self,
        client: Any,
        *,
        prefix: str = "{atom:cache}:",
        tags_max: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self._prefix = prefix
        self._state = prefix + "state"
        self._tags_max = tags_max
        self._missed = 0  # drops Redis may not have heard of
        self._tokens: dict[str, str] = {}
        self._failures = failures()
        self._patience = Patience(
            "Redis for cached answers", "nothing is cached there", clock=clock
        )

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

    async def _ask(self, script: str, keys: tuple[str, ...], *values: Any) -> Any:
        if self.client is None:
            self._patience.failed()
            return None
        if not self._patience.may_ask():
            return None
        try:
            if self._missed:
                await self._make_good()
            answer = await ask(self.client, script, keys, *values)
        except self._failures as error:
            self._patience.failed(error)
            return None
        self._patience.answered()
        return answer

    async def _make_good(self) -> None:
        missed = self._missed
        await ask(self.client, CLEAR, (self._state,))
        self._missed -= missed
        log.info("cached answers forgotten: Redis missed %s writes", missed)
