"""How many connections of a pool one caller may use, and all callers of a tier.

A pool of 20 gives 5 to one caller, 10 while no other caller is there, 15 to the callers
of one tier, and keeps 2 for the server itself: tokens, the request log, health. What
runs long takes a core of PostgreSQL's each: of a caller who has used much lately, only
so many of those run at once while others are there. Among those who wait, the one who
has used least is served first.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic

from atom.errors import ApiError, Unavailable
from atom.postgres.errors import exhausted

DIVIDED_MIN = 8  # connections of a pool that is worth dividing
LONG = 0.02  # seconds of a statement that runs long
MUCH = 0.5  # seconds of connections, of the last one or two, that are much
RECENT = 1.0  # seconds for which a caller is there after its last request
COMPARED_MAX = 64  # of those who wait
KNOWN_MAX = 1024  # callers, before those are forgotten who were not there lately
FORGOTTEN = 30.0  # seconds after which a caller has used nothing


class Pace:
    """How long something takes: the time it takes at an arbitrary moment of running.

    Ten short ones do not hide a long one, as they would in a mean: it runs most of the
    time. What was before counts less and less.
    """

    __slots__ = ("spent", "squares")

    def __init__(self) -> None:
        self.spent = self.squares = 0.0

    def add(self, seconds: float, faded: float = 0.9) -> None:
        """Add a run; what was before is multiplied by `faded`."""
        self.spent = self.spent * faded + seconds
        self.squares = self.squares * faded + seconds * seconds

    @property
    def is_long(self) -> bool:
        """Whether it runs long."""
        return self.squares > LONG * self.spent


@dataclass(slots=True, eq=False)
class Use:
    """What one caller uses of a pool now, and has used lately."""

    held: int = 0  # requests that hold a connection
    long: int = 0  # those of them that run long
    seen: float = 0.0
    ended: float = 0.0  # when `pace` was added to
    pace: Pace = field(default_factory=Pace)

    def spent(self, now: float) -> float:
        """Return the seconds of connections it has used lately."""
        return self.pace.spent * _faded(now - self.ended)


@dataclass(slots=True)
class Caller:
    """One request, for what its own task does; `held` is how many connections it has.

    What it needs after its first is not waited for: that would wait for itself. The
    task holds its caller, which returns it by a weak reference: no cycle to collect.
    """

    tier: str
    name: str
    task: Callable[[], object]
    held: int = 0
    use: Use | None = None  # in which it is counted, or waits to be
    is_long: bool = False
    since: float = 0.0  # when it was counted


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


Line = tuple[str, str, bool]  # tier and name of a caller, and whether it is long
Turn = tuple[Caller, asyncio.Future[bool]]


class Shares:
    """The requests that use a pool now, counted by caller and by tier."""

    def __init__(self, size: int, long_max: int = 1) -> None:
        self.is_divided = size >= DIVIDED_MIN
        self.of_caller = size // 4
        self.of_lone_caller = size // 2
        self.of_long = min(long_max, self.of_caller)
        self.of_tier = size * 3 // 4
        self.of_all = size - size // 10 - (size < 10)
        self._size = size
        self._uses: dict[str, Use] = {}
        self._known_max = KNOWN_MAX
        self._tiers: dict[str, int] = {}
        self._all = self._callers = 0  # requests that are counted, and of how many
        self._last = self._before = Use(seen=-RECENT)  # two callers seen last
        self._waiting: OrderedDict[Line, deque[Turn]] = OrderedDict()
        self._is_looking = False

    def enter(self, caller: Caller, pace: Pace | None = None) -> bool:
        """Count a request, unless a share is used up or others wait for it.

        `pace` is that of its statement, where it has one.
        """
        now = monotonic()
        use = caller.use = self._uses.get(caller.name) or self._new(caller.name, now)
        use.seen = now
        if use is not self._last:
            self._before, self._last = self._last, use
        if pace is None or not pace.spent:
            pace = use.pace
        # What was spent is less by now; of most callers it never was much.
        is_much = use.pace.spent > MUCH and use.spent(now) > MUCH
        caller.is_long = is_much and pace.is_long
        if self._waiting and _line(caller) in self._waiting:
            return False
        if not self._has_room(caller, now):
            return False
        self._count(caller, now)
        return True

    async def wait(self, caller: Caller, seconds: float | None) -> None:
        """Count a request that did not `enter` as soon as there is room.

        Raises:
            Unavailable: when there is none in time, `pool.share` if that is because of
                what the caller itself has asked.
        """
        loop = asyncio.get_running_loop()
        turn: Turn = caller, loop.create_future()
        self._waiting.setdefault(_line(caller), deque()).append(turn)
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(RECENT / 2, self._look)
        late = None if seconds is None else loop.call_later(seconds, _end, turn[1])
        try:
            is_served = await turn[1]
        except BaseException:
            if turn[1].cancelled() or not turn[1].result():
                self._give_up(turn)
            else:
                self.leave(caller)  # cancelled just after it was served
            raise
        finally:
            if late is not None:
                late.cancel()
        if not is_served:
            self._give_up(turn)
            raise self._refusal(caller, seconds or 0.0)

    def leave(self, caller: Caller) -> None:
        """Count a request no longer; let those in who have room now."""
        now, use = monotonic(), caller.use
        assert use is not None
        use.pace.add(now - caller.since, _faded(now - use.ended))
        use.ended = now
        self._all -= 1
        self._tiers[caller.tier] -= 1
        use.held -= 1
        use.long -= caller.is_long
        self._callers -= not use.held
        if self._waiting:
            self._admit(now)

    def _admit(self, now: float) -> None:
        """Let those in who have room."""
        while (line := self._next(now)) is not None:
            self._let_in(line, now)

    def _look(self) -> None:
        """Let those in who are alone by now, as long as any wait."""
        self._admit(monotonic())
        self._is_looking = bool(self._waiting)
        if self._is_looking:
            asyncio.get_running_loop().call_later(RECENT / 2, self._look)

    def _count(self, caller: Caller, now: float) -> None:
        use, caller.since = caller.use, now
        assert use is not None
        self._all += 1
        self._tiers[caller.tier] = self._tiers.get(caller.tier, 0) + 1
        self._callers += not use.held
        use.held += 1
        use.long += caller.is_long

    def _has_room(self, caller: Caller, now: float) -> bool:
        if self._all >= self.of_all:
            return False
        if self._tiers.get(caller.tier, 0) >= self.of_tier:
            return False
        return self._has_share(caller, now)

    def _has_share(self, caller: Caller, now: float) -> bool:
        """Whether a caller uses less than it may, with others there or alone."""
        use = caller.use
        assert use is not None
        if use.held < self.of_caller and not caller.is_long:
            return True
        if not self._has_others(use, now):
            return use.held < self.of_lone_caller
        if caller.is_long and use.long >= self.of_long:
            return False
        return use.held < self.of_caller

    def _has_others(self, use: Use, now: float) -> bool:
        """Whether another caller is there, or was a moment ago."""
        other = self._before if use is self._last else self._last
        return (
            now - other.seen < RECENT
            or self._callers > (use.held > 0)
            or any(turns[0][0].use is not use for turns in self._waiting.values())
        )

    def _next(self, now: float) -> Line | None:
        """Return whom to let in: of those who have room, who has used least."""
        if self._all >= self.of_all:
            return None
        found = None
        least = 0.0
        for line, turns in islice(self._waiting.items(), COMPARED_MAX):
            caller = turns[0][0]
            assert caller.use is not None
            if self._has_room(caller, now):
                spent = caller.use.spent(now)
                if found is None or spent < least:
                    found, least = line, spent
        return found

    def _let_in(self, line: Line, now: float) -> None:
        """Let the next one in of those who have not given up, if there is one."""
        turns = self._waiting.pop(line)
        while turns:
            caller, turn = turns.popleft()
            if not turn.done():
                self._count(caller, now)
                turn.set_result(True)
                break
        if turns:
            self._waiting[line] = turns  # behind the others

    def _give_up(self, turn: Turn) -> None:
        line = _line(turn[0])
        turns = self._waiting.get(line)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[line]

    def _new(self, name: str, now: float) -> Use:
        """Return the use of a caller who was not there lately."""
        if len(self._uses) >= self._known_max:
            self._uses = {
                name: use
                for name, use in self._uses.items()
                if use.held or now - use.seen < FORGOTTEN
            }
            self._known_max = max(KNOWN_MAX, 2 * len(self._uses))
        use = self._uses[name] = Use()
        return use

    def _refusal(self, caller: Caller, seconds: float) -> ApiError:
        now, use = monotonic(), caller.use
        assert use is not None
        if self._has_share(caller, now):
            return exhausted(self._size, seconds)
        count = f"{use.held} database connections"
        if use.held < self.of_caller:
            count = f"{use.long} database connections for what runs long"
        return Unavailable(
            f"You use {count} already, as many as one caller may, and none became"
            f" free in {seconds:g} s.",
            code="pool.share",
            hint="Ask for less at once, or for what is quicker to find.",
        )


def _line(caller: Caller) -> Line:
    return caller.tier, caller.name, caller.is_long


def _faded(seconds: float) -> float:
    """Return what is left after some time of what was used: half after a second."""
    left: float = 0.5**seconds
    return left


def _end(turn: asyncio.Future[bool]) -> None:
    """End the wait for a turn without room."""
    if not turn.done():
        turn.set_result(False)
