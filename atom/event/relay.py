"""The relay: takes events out of `atom.outbox` and delivers them to their targets.

Each target has a lane of its own, so that one that is away holds up no other. In a lane
the events of an aggregate are delivered one after another, those of several at once. An
event that fails is tried again later and its aggregate waits; after the last try it is
dead and the aggregate goes on. Any number of relays may run: each event is in one hand.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from atom.backoff import Backoff
from atom.errors import ApiError, Unavailable
from atom.event import outbox
from atom.event.declaration import Events, EventType
from atom.event.outbox import Claimed
from atom.event.publish import TOPIC
from atom.observe import metrics
from atom.observe.request_context import caused_by
from atom.postgres.database import Database
from atom.postgres.notify import Bus

log = logging.getLogger(__name__)

LEASE = 60.0  # seconds an event stays in hand without a sign of life of its relay
POLL = 1.0  # seconds between two looks, when nothing wakes the relay
AT_ONCE = 16  # aggregates of a target that are delivered side by side
MOST = 200  # events of a target in hand
MARKED = 50  # deliveries that are marked before an aggregate goes on
AWAY = (0.5, 30.0)  # pauses while a target or the database is away: first, longest
PURGE = 3600.0  # seconds between two purges
LOOK = 15.0  # seconds between two looks at what waits
ERROR_MAX = 1000  # characters of an error that are kept


class Target(Protocol):
    """Where events go. One with a `retry` has pauses of its own before each try."""

    async def deliver(self, claimed: Claimed) -> None:
        """Deliver one event; return once it is surely there.

        Raises:
            Away: when the target itself does not answer: no try is counted.
            Refused: when no other try would help.
            Exception: when this try failed.
        """
        ...


class Away(Exception):
    """A target that does not answer: its events wait, and none of them is at fault."""


class Refused(Exception):
    """An event that no other try would help: it is dead at once."""


class Lane:
    """Delivers the events of one target."""

    def __init__(
        self,
        name: str,
        target: Target,
        database: Database,
        find: Callable[[str], EventType],
        *,
        lease: float = LEASE,
        poll: float = POLL,
        at_once: int = AT_ONCE,
        most: int = MOST,
        away: tuple[float, float] = AWAY,
    ) -> None:
        self._retry: tuple[float, ...] | None = getattr(target, "retry", None)
        self.name = name
        self.delivered = self.dead = 0  # since the start, for metrics
        self._target = target
        self._database = database
        self._find = find
        self._lease = lease
        self._poll = poll
        self._most = most
        self._turn = asyncio.Semaphore(at_once)
        self._marking = asyncio.Lock()
        self._wake = asyncio.Event()
        self._backoff = Backoff(*away)
        self._in_hand: dict[int, Claimed] = {}
        self._done: list[Claimed] = []  # delivered, and not marked as such yet
        self._work: set[asyncio.Task[None]] = set()
        self._is_ending = False

    def wake(self) -> None:
        """Look for events now."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until `end`."""
        heart = asyncio.create_task(self._beat(), name=f"outbox {self.name} lease")
        try:
            while not self._is_ending:
                self._wake.clear()
                if not await self._fill():
                    await self._pause(self._poll)
            if self._work:
                await asyncio.wait(self._work)
            await self._mark()
        finally:
            heart.cancel()

    async def end(self) -> None:
        """Claim nothing more; what is being delivered is finished."""
        self._is_ending = True
        self._wake.set()

    async def give_back(self) -> None:
        """Return to the outbox what was not finished in time."""
        for task in self._work:
            task.cancel()
        if self._work:
            await asyncio.wait(self._work, timeout=1)
        if self._in_hand:
            await outbox.release(self._database, list(self._in_hand.values()))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _fill(self) -> bool:
        """Claim events and begin to deliver them. Return whether to claim more now."""
        if self._backoff.seconds:  # away a moment ago: one event finds out
            if self._work:
                return False
            room = 1
        else:
            room = self._most - len(self._in_hand)
            if room < self._most // 2:
                return False
        try:
            claimed = await outbox.claim(self._database, self.name, room, self._lease)
        except Exception as error:
            # Whatever it was, the lane goes on: its events wait for nothing else.
            trace = None if isinstance(error, ApiError) else error
            log.warning("outbox: %s: %s", self.name, error, exc_info=trace)
            await self._rest()
            return True
        groups: dict[object, list[Claimed]] = {}
        for one in claimed:
            self._in_hand[one.id] = one
            groups.setdefault(one.order, []).append(one)
        for group in groups.values():
            task = asyncio.create_task(self._deliver(group), name=f"to {self.name}")
            self._work.add(task)
            task.add_done_callback(self._finished)
        if self._backoff.seconds and self._work:
            await asyncio.wait(self._work)
            if self._backoff.seconds:
                await self._rest()
            return True
        return len(claimed) == room

    async def _rest(self) -> None:
        """Wait for longer after each failure, but not beyond the end."""
        until = asyncio.get_running_loop().time() + self._backoff.failed()
        while not self._is_ending:
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.2))

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("outbox: %s failed", self.name, exc_info=error)

    async def _deliver(self, group: Sequence[Claimed]) -> None:
        """Deliver events of one aggregate in order, up to the first that fails."""
        rest = list(group)
        async with self._turn:
            while rest and not self._is_ending:
                one = rest[0]
                with caused_by(one.event.metadata):
                    try:
                        await self._target.deliver(one)
                    except Away as error:
                        log.warning("outbox: %s is away: %s", self.name, error)
                        self._backoff.failed()
                        break
                    except Exception as error:
                        await self._fail(one, error)
                        del rest[0]
                        break
                self._backoff.succeeded()
                self.delivered += 1
                metrics.EVENT_PUBLISHED.add(self.name)
                del rest[0]
                self._done.append(one)
                if rest and len(self._done) >= MARKED:
                    await self._mark()
        await self._mark()
        if rest:
            await self._settled(rest, outbox.release(self._database, rest))

    async def _mark(self) -> None:
        """Mark as delivered what is; what finishes meanwhile goes with the next."""
        async with self._marking:
            done, self._done = self._done, []
            if done:
                await self._settled(done, outbox.settle(self._database, done))

    async def _fail(self, one: Claimed, error: Exception) -> None:
        is_own = isinstance(error, Refused | ApiError) or not str(error)
        words = str(error) if is_own else f"{type(error).__name__}: {error}"
        words = words[:ERROR_MAX] or type(error).__name__
        pauses = self._pauses(one)
        if isinstance(error, Refused) or one.attempts > len(pauses):
            self.dead += 1
            metrics.EVENT_DEAD.add(self.name)
            log.error(
                "outbox: event %s (%s) is dead for %s after %s tries: %s",
                one.event.event_id,
                one.event.event_type,
                self.name,
                one.attempts,
                words,
            )
            await self._settled([one], outbox.bury(self._database, one, words))
            return
        seconds = pauses[one.attempts - 1]
        log.warning(
            "outbox: event %s (%s) for %s is tried again in %s s: %s",
            one.event.event_id,
            one.event.event_type,
            self.name,
            seconds,
            words,
        )
        await self._settled([one], outbox.retry(self._database, one, seconds, words))

    def _pauses(self, one: Claimed) -> tuple[float, ...]:
        if self._retry is not None:
            return self._retry
        name = one.event.event_type
        try:
            return self._find(name).pauses(self.name)
        except ValueError:  # it is not declared any more
            return EventType(name, ()).pauses(self.name)

    async def _settled(self, some: Sequence[Claimed], work: Awaitable[object]) -> None:
        """Write what became of events; unwritten, their lease ends by itself."""
        try:
            await work
        except Exception as error:
            trace = None if isinstance(error, ApiError) else error
            log.warning("outbox: %s: not settled: %s", self.name, error, exc_info=trace)
        finally:
            for one in some:
                self._in_hand.pop(one.id, None)

    async def _beat(self) -> None:
        """Extend the lease of what is in hand."""
        while True:
            await asyncio.sleep(self._lease / 3)
            if not self._in_hand:
                continue
            try:
                held = list(self._in_hand.values())
                await outbox.extend(self._database, held, self._lease)
            except Exception as error:
                log.warning("outbox: %s: lease: %s", self.name, error)


class Relay:
    """The lanes of every target that is there, and the purge."""

    def __init__(
        self,
        database: Database,
        bus: Bus | None,
        events: Events,
        targets: Mapping[str, Target],
        **options: float | int | tuple[float, float],
    ) -> None:
        self._database = database
        self._events = events
        self._tables = events.tables
        self.lanes = {
            name: Lane(name, target, database, events.find, **options)  # type: ignore[arg-type]
            for name, target in targets.items()
        }
        self._tasks: list[asyncio.Task[None]] = []
        if bus is not None:
            bus.on(TOPIC, lambda _: self.wake())
            bus.on("table", self._written)

    def wake(self) -> None:
        """Look for events now."""
        for lane in self.lanes.values():
            lane.wake()

    def _written(self, table: str) -> None:
        if table in self._tables:
            self.wake()

    def start(self) -> None:
        """Begin to deliver."""
        for lane in self.lanes.values():
            task = asyncio.create_task(lane.run(), name=f"outbox {lane.name}")
            self._tasks.append(task)
        for work in (self._purge(), self._look()):
            self._tasks.append(asyncio.create_task(work, name="outbox"))

    async def close(self, seconds: float) -> None:
        """Finish what is in hand, for so many seconds; give the rest back."""
        *lanes, purge, look = self._tasks
        purge.cancel()
        look.cancel()
        for lane in self.lanes.values():
            await lane.end()
        if lanes:
            _, late = await asyncio.wait(lanes, timeout=seconds)
            for task in late:
                task.cancel()
        for lane in self.lanes.values():
            try:
                await lane.give_back()
            except Unavailable as error:
                log.warning("outbox: %s: not given back: %s", lane.name, error.message)

    async def _purge(self) -> None:
        while True:
            seconds = self._events.config.outbox_retention_sec
            try:
                if gone := await outbox.purge(self._database, seconds):
                    log.info("outbox: %s old events deleted", gone)
            except ApiError as error:
                log.warning("outbox: purge: %s", error.message)
            await asyncio.sleep(PURGE)

    async def _look(self) -> None:
        """Measure how long events wait; log once which targets have no lane here."""
        known = set(self.lanes)
        while True:
            try:
                found = await outbox.state(self._database)
            except ApiError as error:
                log.warning("outbox: %s", error.message)
            else:
                waiting = {name: one for name, one in found.items() if one["pending"]}
                lags = [one["lag_sec"] for one in waiting.values()]
                metrics.EVENT_LAG.set(max(lags, default=0.0))
                for name in sorted(waiting.keys() - known):
                    log.warning("outbox: events for %s wait: no such target", name)
                known |= waiting.keys()
            await asyncio.sleep(LOOK)
