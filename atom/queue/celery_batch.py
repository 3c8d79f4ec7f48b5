"""Messages that a worker of Celery sends to one of its processes together.

Celery sends a task to a process, and the next one after its answer. Here a process that
is free takes what waits, up to as many as it handles at once; those share the way there
and back. Each is settled on its own.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

log = logging.getLogger(__name__)

Asked = tuple[str, Sequence[Any], dict[str, Any], str | None]  # id, arguments, tag
Handle = Callable[[Sequence[Asked]], list[bool]]  # False: it is given back


class Batches:
    """The requests of a worker that wait for a process, the oldest first."""

    def __init__(self, worker: Any, most: int, handle: Handle) -> None:
        self._worker = worker
        self._most = most
        self._handle = handle  # runs in a process of the pool
        self._waiting: deque[Any] = deque()
        self._is_asking = False

    def add(self, request: Any) -> None:
        """Send a request as soon as a process is free."""
        self._waiting.append(request)
        self._ask()

    def clear(self) -> None:
        """Forget those that wait: their connection is lost, and they come again."""
        self._waiting.clear()
        self._is_asking = False

    def _ask(self) -> None:
        if self._waiting and not self._is_asking:
            self._is_asking = True
            self._worker.semaphore.acquire(self._send)

    def _send(self) -> None:
        """Send a batch to the process that is free."""
        self._is_asking = False
        if batch := self._taken():
            self._worker.pool.apply_async(
                self._handle,
                args=([asked(request) for request in batch],),
                accept_callback=batch.accepted,
                callback=batch.handled,
                error_callback=batch.lost,
            )
        else:
            self._worker.semaphore.release()
        self._ask()

    def _taken(self) -> "Batch":
        """Take requests; one that was delivered before alone: it may end a process."""
        batch = Batch()
        while self._waiting and len(batch) < self._most:
            is_again = self._waiting[0].delivery_info["redelivered"]
            if is_again and batch:
                break
            request = self._waiting.popleft()
            if not request.revoked():  # which settles it
                batch.append(request)
            if is_again and batch:
                break
        return batch


class Batch(list[Any]):
    """Requests that a process has at once."""

    def accepted(self, *of: Any) -> None:
        """Note that a process has them."""
        for request in self:
            request.on_accepted(*of)

    def handled(self, done: Sequence[bool]) -> None:
        """Settle each: it is done, or given back."""
        from celery.worker.state import task_ready

        for request, is_done in zip(self, done, strict=True):
            task_ready(request, successful=is_done)
            if is_done:
                request.acknowledge()
            else:
                request.reject(requeue=True)

    def lost(self, error: Any) -> None:
        """Return all of them to the broker: the process ended, or could not work."""
        from celery.worker.state import task_ready

        log.error("%d messages are given back: %s", len(self), error.exception)
        for request in self:
            task_ready(request)
            request.reject(requeue=True)


def asked(request: Any) -> Asked:
    """Return what a process needs of a request."""
    tag = request.request_dict["properties"].get("delivery_tag")
    return request.id, request.args, request.kwargs, tag
