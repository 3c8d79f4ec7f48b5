"""The messages in hand, in the order in which they may be handled."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atom.queue.broker import Delivery
from atom.queue.handler import Handler
from atom.queue.message import Message


@dataclass(eq=False, slots=True)
class Entry:
    """A delivery and what was read from it: `fault` when it cannot be handled."""

    delivery: Delivery
    message: Message | None = None
    handlers: tuple[Handler, ...] = ()
    group: Any = None  # those of one group share a call of the handler's batch
    fault: str = ""

    @property
    def key(self) -> str | None:
        """What orders it."""
        return self.delivery.key if self.message is None else self.message.key

    @property
    def cause(self) -> object:
        """The metadata of an event: which request it is of."""
        found = self.message
        return found.arguments.get("metadata") if found and found.is_event else None


class Lanes:
    """Entries that are ready, and those that wait behind another one of their key.

    An entry is in hand from `add` to `done`; of one key only the first is ever ready.
    """

    def __init__(self) -> None:
        self.in_hand: dict[int, Entry] = {}
        self._ready: deque[Entry] = deque()
        self._behind: dict[str, deque[Entry]] = {}
        self._wake = asyncio.Condition()
        self._is_closed = False

    async def add(self, entry: Entry) -> None:
        """Take an entry in hand."""
        self.in_hand[id(entry)] = entry
        key = entry.key
        if key is not None and key in self._behind:
            self._behind[key].append(entry)
            return
        if key is not None:
            self._behind[key] = deque()
        await self.again(entry)

    async def again(self, entry: Entry) -> None:
        """Make an entry ready that is in hand."""
        self._ready.append(entry)
        async with self._wake:
            self._wake.notify()

    async def take(self, most: int) -> list[Entry]:
        """Wait for the next entry, and those of its group; none once it is closed."""
        async with self._wake:
            while not self._ready and not self._is_closed:
                await self._wake.wait()
        if self._is_closed:
            return []
        taken = [self._ready.popleft()]
        group = taken[0].group
        while group is not None and self._ready and len(taken) < most:
            if self._ready[0].group != group:
                break
            taken.append(self._ready.popleft())
        return taken

    async def done(self, entries: Sequence[Entry]) -> None:
        """Put entries out of hand; those behind them are ready."""
        for entry in entries:
            self.in_hand.pop(id(entry), None)
            if (key := entry.key) is None or key not in self._behind:
                continue
            if self._behind[key]:
                await self.again(self._behind[key].popleft())
            else:
                del self._behind[key]

    async def close(self) -> None:
        """Hand out no more; who waits for an entry gets none."""
        self._is_closed = True
        async with self._wake:
            self._wake.notify_all()
