"""One reader of a stream: what waits for it, bounded, and why it ends."""

import asyncio
from collections import deque
from collections.abc import Sequence

BYTES_MAX = 512 * 1024  # that wait for one reader
END_SECONDS = 10.0  # to take the reason of the end
SLOW = "stream.slow"
GONE = "stream.left"  # the reader ended it


class Batch:
    """Some events, written once for all of their readers."""

    __slots__ = ("_sse", "_texts", "events", "position", "size", "table")

    def __init__(
        self, table: str, events: Sequence[tuple[str, str]], position: str
    ) -> None:
        self.table = table
        self.events = events  # each its name, and JSON
        self.position = position
        self.size = 100 + sum(len(text) for _, text in events)
        self._sse: bytes | None = None
        self._texts: list[str] | None = None

    @property
    def sse(self) -> bytes:
        """The events as a part of a stream; the position is that after the last."""
        if self._sse is None:
            lines = [
                f"event: {name}\ndata: {_one_line(text)}\n\n"
                for name, text in self.events
            ]
            self._sse = "".join([*lines, f"id: {self.position}\n\n"]).encode()
        return self._sse

    @property
    def texts(self) -> list[str]:
        """The events as messages of a WebSocket."""
        if self._texts is None:
            head = f'"table":"{self.table}","id":"{self.position}"'
            self._texts = [
                f'{{"event":"{name}",{head},"data":{text}}}'
                for name, text in self.events
            ]
        return self._texts


def _one_line(text: str) -> str:
    """Take line ends out of JSON, where they stand between values alone."""
    if "\n" in text or "\r" in text:
        return text.replace("\n", " ").replace("\r", " ")
    return text


class Subscriber:
    """What waits for one reader."""

    def __init__(self, caller: str) -> None:
        self.caller = caller  # as limits count it
        self.ended = ""  # why, once it is over
        self.held = False  # the past is sent first
        self._waiting: deque[Batch] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self.task = asyncio.current_task()  # that sends

    def push(self, batch: Batch) -> None:
        """Add a batch; a reader that does not keep up is ended."""
        if self.ended:
            return
        if self._waiting and self._size + batch.size > BYTES_MAX:
            return self.end(SLOW)
        self._waiting.append(batch)
        self._size += batch.size
        self._wake.set()

    def push_first(self, batches: Sequence[Batch]) -> None:
        """Add the past before what has come meanwhile."""
        self._waiting.extendleft(reversed(batches))
        self.held = False
        self._wake.set()

    def end(self, reason: str) -> None:
        """End it. A reader that does not take the reason in time is cut off."""
        if self.ended:
            return
        self.ended = reason
        self._waiting.clear()
        self._wake.set()
        if self.task is not None and reason == SLOW:
            asyncio.get_running_loop().call_later(END_SECONDS, self.task.cancel)

    async def take(self) -> list[Batch]:
        """Return what waits, as soon as there is some; nothing once it has ended."""
        while not self.ended and (self.held or not self._waiting):
            self._wake.clear()
            await self._wake.wait()
        found = list(self._waiting)
        self._waiting.clear()
        self._size = 0
        return found
