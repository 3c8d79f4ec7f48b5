"""Answers to the ports of `atom/port.py`; here, what those on a network share."""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Patience:
    """Decides whether a service that fell silent may be asked again.

    After a failure one caller in each `pause` may try; the others are spared the wait.
    The log hears of it twice: when the silence begins and when it ends.
    """

    def __init__(
        self,
        what: str,
        instead: str,
        *,
        pause: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._instead = instead
        self._pause = pause
        self._clock = clock
        self._until = 0.0
        self.silent = False

    def may_ask(self) -> bool:
        """Return whether to try now; in a silence this also takes the turn."""
        if not self.silent:
            return True
        now = self._clock()
        if now < self._until:
            return False
        self._until = now + self._pause
        return True

    def failed(self, error: Exception | None = None) -> None:
        """Note that it did not answer."""
        self._until = self._clock() + self._pause
        if not self.silent:
            self.silent = True
            cause = type(error).__name__ if error else "not connected"
            log.warning("%s is silent (%s): %s", self._what, cause, self._instead)

    def answered(self) -> None:
        """Note that it answered."""
        if self.silent:
            self.silent = False
            log.info("%s answers again", self._what)
