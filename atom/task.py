"""Work that outlives the request that began it; drained when the server stops."""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0  # until a task that has not ended is cancelled once more

Work = Callable[[], Coroutine[Any, Any, None]]


async def ended(tasks: Iterable[asyncio.Task[Any]], *, seconds: float = 10.0) -> None:
    """Cancel tasks until they have ended; after so many seconds log those that do not.

    One cancellation may be lost: `asyncio.wait_for` of Python 3.11, by which drivers
    send, swallows it when what it waits for is done in the same moment.
    """
    left = {task for task in tasks if not task.done()}
    until = time.monotonic() + seconds
    while left and time.monotonic() < until:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    for task in left:
        log.error("%s does not end", task.get_name())


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Waiting(NamedTuple):
    """Work that waits for its turn."""

    work: Work
    name: str
    size: int
    since: float


class Tasks:
    """Holds on to running work, so that it is neither collected nor lost."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self.backlog = Backlog(self)

    def spawn(
        self, work: Coroutine[Any, Any, Any], *, name: str = ""
    ) -> asyncio.Task[Any]:
        """Start work now. What it raises is logged with its traceback."""
        task = asyncio.create_task(work, name=name or None)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)

    @property
    def running(self) -> int:
        """How many are not finished."""
        return len(self._running)

    async def drain(self, *, seconds: float) -> int:
        """Wait for all of it, at most `seconds`. Return how many had to be cancelled.

        Work that is begun meanwhile is waited for as well.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._running or self.backlog:
                    await asyncio.wait(self._running)
                return 0
        except TimeoutError:
            late = set(self._running)
        never = self.backlog.clear()
        for name in never:
            log.error("%s dropped: not begun after %s s", name, seconds)
        for task in late:
            log.error("%s cancelled: not done after %s s", task.get_name(), seconds)
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)
        return len(late) + len(never)


class Backlog:
    """Acknowledged work, done in order and so much of it at once; none is dropped.

    It is full, and more is refused at the door, by number, by bytes, or once the oldest
    has waited too long: whatever was accepted is then done before a server that stops
    has to end.
    """

    def __init__(
        self,
        tasks: Tasks,
        *,
        at_once: int = 32,
        number_max: int = 5_000,
        bytes_max: int = 64 * 1024 * 1024,
        seconds_max: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.at_once = at_once
        self.number_max = number_max
        self.bytes_max = bytes_max
        self.seconds_max = seconds_max
        self._tasks = tasks
        self._clock = clock
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self._active = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def is_full(self, size: int) -> bool:
        """Whether work with so many bytes has to be refused."""
        waiting = self._waiting
        if self._bytes + size > self.bytes_max or len(waiting) >= self.number_max:
            return True
        return bool(waiting) and self._clock() - waiting[0].since > self.seconds_max

    def add(self, work: Work, *, name: str, size: int) -> None:
        """Do this work as soon as its turn comes."""
        self._bytes += size
        self._waiting.append(Waiting(work, name, size, self._clock()))
        if self._active < self.at_once:
            self._active += 1
            self._tasks.spawn(self._work_off(), name="background")

    async def _work_off(self) -> None:
        """Do what waits until nothing does."""
        try:
            while self._waiting:
                one = self._waiting.popleft()
                try:
                    await one.work()
                except Exception:
                    log.exception("%s failed", one.name)
                finally:
                    self._bytes -= one.size
        finally:
            self._active -= 1

    def clear(self) -> list[str]:
        """Forget what waits. Return its names."""
        names = [one.name for one in self._waiting]
        self._bytes -= sum(one.size for one in self._waiting)
        self._waiting.clear()
        return names
