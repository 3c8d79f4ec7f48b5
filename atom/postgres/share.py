"""How many connections of a pool one caller may use, and all callers of a tier.

A pool of 20 gives 5 to one caller, 10 while no other caller is there, 15 to the callers
of one tier, and keeps 2 for the server itself: tokens, the request log, health. Who
has to wait is served in turn with the other callers, not after all that one of them has
asked before.
"""

import asyncio
from collections import OrderedDict, deque
from contextvars import ContextVar
from dataclasses import dataclass

from atom.errors import ApiError, Unavailable
from atom.postgres.errors import exhausted

DIVIDED_MIN = 8  # connections of a pool that is worth dividing


@dataclass(slots=True)
class Caller:
    """One request, for what its own task does; `held` is how many connections it has.

    What it needs after its first is not waited for: that would wait for itself.
    """

    tier: str
    name: str
    task: object
    held: int = 0


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
Key = tuple[str, str]  # tier and name


class Shares:
    """The requests that use a pool now, counted by caller and by tier."""

    def __init__(self, size: int) -> None:
        self.is_divided = size >= DIVIDED_MIN
        self.of_caller = size // 4
        self.of_lone_caller = size // 2
        self.of_tier = size * 3 // 4
        self.of_all = size - size // 10 - (size < 10)
        self._size = size
        self._callers: dict[Key, int] = {}
        self._tiers: dict[str, int] = {}
        self._all = 0
        self._waiting: OrderedDict[Key, deque[asyncio.Future[bool]]] = OrderedDict()

    def enter(self, caller: Caller) -> bool:
        """Count a request, unless a share is used up or others wait for it."""
        key = caller.tier, caller.name
        if key in self._waiting or not self._has_room(key):
            return False
        self._count(key, 1)
        return True

    async def wait(self, caller: Caller, seconds: float | None) -> None:
        """Count a request as soon as there is room.

        Raises:
            Unavailable: when there is none in time, `pool.share` if that is because of
                what the caller itself has asked.
        """
        key = caller.tier, caller.name
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        late = None if seconds is None else loop.call_later(seconds, _end, turn)
        try:
            is_served = await turn
        except BaseException:
            if turn.cancelled() or not turn.result():
                self._give_up(key, turn)
            else:
                self.leave(caller)  # cancelled just after it was served
            raise
        finally:
            if late is not None:
                late.cancel()
        if not is_served:
            self._give_up(key, turn)
            raise self._refusal(key, seconds or 0.0)

    def leave(self, caller: Caller) -> None:
        """Count a request no longer; let the next one in."""
        self._count((caller.tier, caller.name), -1)
        for key in [*self._waiting]:
            if self._has_room(key) and self._let_in(key):
                return

    def _let_in(self, key: Key) -> bool:
        """Let the next one in of those who have not given up; whether there was one."""
        turns = self._waiting[key]
        while turns:
            turn = turns.popleft()
            if not turn.done():
                self._count(key, 1)
                turn.set_result(True)
                break
        else:
            del self._waiting[key]
            return False
        if turns:
            self._waiting.move_to_end(key)
        else:
            del self._waiting[key]
        return True

    def _give_up(self, key: Key, turn: asyncio.Future[bool]) -> None:
        turns = self._waiting.get(key)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[key]

    def _has_room(self, key: Key) -> bool:
        return (
            self._all < self.of_all
            and self._callers.get(key, 0) < self._share(key)
            and self._tiers.get(key[0], 0) < self.of_tier
        )

    def _share(self, key: Key) -> int:
        """Return how many connections a caller may use, with others there or alone."""
        others = len(self._callers) - (key in self._callers)
        others += len(self._waiting) - (key in self._waiting)
        return self.of_caller if others else self.of_lone_caller

    def _count(self, key: Key, change: int) -> None:
        self._all += change
        self._tiers[key[0]] = self._tiers.get(key[0], 0) + change
        left = self._callers.get(key, 0) + change
        if left:
            self._callers[key] = left
        else:
            del self._callers[key]

    def _refusal(self, key: Key, seconds: float) -> ApiError:
        share = self._share(key)
        if self._callers.get(key, 0) < share:
            return exhausted(self._size, seconds)
        return Unavailable(
            f"You use {share} database connections already, as many as one"
            f" caller may, and none became free in {seconds:g} s.",
            code="pool.share",
            hint="Ask for less at once, or for what is quicker to find.",
        )


def _end(turn: asyncio.Future[bool]) -> None:
    """End the wait for a turn without room."""
    if not turn.done():
        turn.set_result(False)
