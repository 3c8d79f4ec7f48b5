"""How long to wait before another try: after each failure longer, up to a limit."""

import asyncio
from random import uniform


class Backoff:
    """Pauses in seconds that double from `first` to `longest`.

    Each is shortened by up to half at random, so that processes that failed together do
    not try again together.
    """

    __slots__ = ("_step", "first", "longest", "seconds")

    def __init__(self, first: float, longest: float) -> None:
        self.first = first
        self.longest = longest
        self._step = 0.0
        self.seconds = 0.0  # before the next try; 0: the last one went well

    def failed(self) -> float:
        """Return how long to wait after one more failure."""
        self._step = min(self._step * 2 or self.first, self.longest)
        self.seconds = uniform(self._step / 2, self._step)  # noqa: S311
        return self.seconds

    def succeeded(self) -> None:
        """Begin again with the first pause at the next failure."""
        self._step = self.seconds = 0.0

    async def rest(self) -> None:
        """Wait after one more failure."""
        await asyncio.sleep(self.failed())
