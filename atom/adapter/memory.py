"""Counter and Store kept in this process: for one worker, and for every test."""

import heapq
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil

ENTRY_BYTES = 400  # what Python itself takes for one kept answer, about
SWEEP = 100  # windows that ended and are forgotten by one hit: no hit pays for all


class MemoryCounter:
    """Counts in a dict; each process counts for itself.

    At most `limit` keys are known; beyond that the window that ends soonest is
    forgotten first.
    """

    def __init__(
        self, *, limit: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._counts: dict[str, tuple[int, float]] = {}  # hits, end of the window
        self._ends: list[tuple[float, str]] = []  # heap; may hold what was cleared

    def __len__(self) -> int:
        return len(self._counts)

    async def hit(self, key: str, seconds: int, *, times: int = 0) -> tuple[int, int]:
        """Count one hit. Return the hits in this window and its seconds left."""
        now = self._clock()
        if self._ends and self._ends[0][0] <= now:
            self._sweep(now)
        hits, end = self._counts.get(key, (0, 0.0))
        if end <= now:
            hits, end = 0, self._begin(key, now + seconds)
        if not 0 < times <= hits:
            self._counts[key] = (hits + 1, end)
        return hits + 1, max(1, ceil(end - now))

    async def peek(self, key: str) -> tuple[int, int]:
        """Return the hits and the seconds left, counting nothing."""
        now = self._clock()
        hits, end = self._counts.get(key, (0, 0.0))
        if end <= now:
            return 0, 0
        return hits, max(1, ceil(end - now))

    async def clear(self, key: str) -> None:
        """Forget a count."""
        self._counts.pop(key, None)

    def _begin(self, key: str, end: float) -> float:
        self._counts.pop(key, None)
        if len(self._ends) > 2 * self._limit:  # mostly counts that were cleared
            self._ends = [(end, key) for key, (_, end) in self._counts.items()]
            heapq.heapify(self._ends)
        while len(self._counts) >= self._limit:
            self._forget(*heapq.heappop(self._ends))
        heapq.heappush(self._ends, (end, key))
        return end

    def _sweep(self, now: float) -> None:
        for _ in range(SWEEP):
            if not self._ends or self._ends[0][0] > now:
                return
            self._forget(*heapq.heappop(self._ends))

    def _forget(self, end: float, key: str) -> None:
        known = self._counts.get(key)
        if known is not None and known[1] == end:
            del self._counts[key]


@dataclass(frozen=True, slots=True)
class Kept:
    """One kept answer."""

    value: bytes
    end: float
    tags: tuple[str, ...]
    size: int


class MemoryStore:
    """Keeps answers in a dict; the one unused for longest gives way first.

    Bounded by bytes and by number, so that a caller who varies the query string fills
    no memory.
    """

    def __init__(
        self,
        *,
        bytes_max: int = 64 * 1024 * 1024,
        entries_max: int = 100_000,
        tags_max: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bytes_max = bytes_max
        self._entries_max = entries_max
        self._tags_max = tags_max
        self._clock = clock
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._tagged: dict[str, set[str]] = {}
        self._sequence = 0
        self._floor = 0  # every mark below it is too old
        self._dropped: dict[str, int] = {}  # tag: sequence at its last drop
        self._locks: dict[str, float] = {}
        self.size = 0  # bytes
        self.coherent = True  # False: writes elsewhere are missed, so keep nothing

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: str) -> bytes | None:
        """Return what is kept and still fresh."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.end <= self._clock():
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return kept.value

    async def begin(self) -> int:
        """Return a mark to hand to `set`: writes after it make the answer stale."""
        return self._sequence

    async def set(
        self, key: str, value: bytes, seconds: float, *, tags: Iterable[str], mark: int
    ) -> bool:
        """Keep an answer, unless one of its tags was dropped after `mark`."""
        named = tuple(dict.fromkeys(tags))
        if seconds <= 0 or mark < self._floor or not self.coherent:
            return False
        if any(self._dropped.get(tag, 0) > mark for tag in named):
            return False
        size = len(value) + len(key) + ENTRY_BYTES
        if size > self._bytes_max:
            return False
        self._forget(key)
        self._kept[key] = Kept(value, self._clock() + seconds, named, size)
        self.size += size
        for tag in named:
            self._tagged.setdefault(tag, set()).add(key)
        while self.size > self._bytes_max or len(self._kept) > self._entries_max:
            self._forget(next(iter(self._kept)))
        return True

    async def drop(self, tag: str) -> None:
        """Forget every answer made from this, also those being made now."""
        self.forget_tag(tag)

    def forget_tag(self, tag: str) -> None:
        """Do so at once, without a turn of the event loop in between."""
        self._sequence += 1
        if len(self._dropped) >= self._tags_max and tag not in self._dropped:
            self._dropped.clear()
            self._floor = self._sequence
        self._dropped[tag] = self._sequence
        for key in self._tagged.pop(tag, set()):
            self._forget(key)

    async def clear(self) -> None:
        """Forget every answer."""
        self._sequence += 1
        self._floor = self._sequence
        self._dropped.clear()
        self._kept.clear()
        self._tagged.clear()
        self.size = 0

    async def lock(self, key: str, seconds: float) -> bool:
        """Become the one filler of a key. False: another one is."""
        now = self._clock()
        if self._locks.get(key, 0.0) > now:
            return False
        if len(self._locks) >= self._entries_max:
            self._locks = {k: end for k, end in self._locks.items() if end > now}
        self._locks[key] = now + seconds
        return True

    async def unlock(self, key: str) -> None:
        """Stop being the filler of a key."""
        self._locks.pop(key, None)

    def _forget(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self.size -= kept.size
        for tag in kept.tags:
            keys = self._tagged.get(tag)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._tagged[tag]
