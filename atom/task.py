"""Work that outlives the request that began it; drained when the server stops."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """Holds on to running work, so that it is neither collected nor lost."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str = "") -> None:
        """Start work now. What it raises is logged with its traceback."""
        task = asyncio.create_task(work, name=name or None)
        self._running.add(task)
        task.add_done_callback(self._finished)

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

        What is begun meanwhile is waited for as well.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._running:
                    await asyncio.wait(self._running)
                return 0
        except TimeoutError:
            late = set(self._running)
        for task in late:
            log.error("%s cancelled: not done after %s s", task.get_name(), seconds)
            task.cancel()
        await asyncio.wait(late, timeout=1)
        return len(late)
