"""Answers to the ports of `atom/port.py`; here, what those on a network share.

Each line needs only the lines above it:

    memory  counts and cached answers in this process
    redis   the same on Redis, for all processes
    users   the state of users, cached until the database changes
"""

import logging
import time
from collections.abc import Callable

from atom.backoff import Backoff

log = logging.getLogger(__name__)

PAUSES = (0.25, 1.0)  # seconds until a service is asked again: the first, the longest


class Patience:
    """Decides whether a service that fell silent may be asked again.

    After a failure one caller in each pause may try; the others are spared the wait.
    The beginning of the silence and its end are logged, once each.
    """

    def __init__(
        self,
        what: str,
        instead: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._instead = instead
        self._backoff = Backoff(*PAUSES)
        self._clock = clock
        self._until = 0.0

    @property
    def silent(self) -> bool:
        """Whether the last try failed."""
        return self._backoff.seconds > 0

    def may_ask(self) -> bool:
        """Return whether to try now; in a silence this also takes the turn."""
        if not self.silent:
            return True
        now = self._clock()
        if now < self._until:
            return False
        self._until = now + self._backoff.seconds
        return True

    def failed(self, error: Exception | None = None) -> None:
        """Note that it did not answer."""
        was_silent = self.silent
        self._until = self._clock() + self._backoff.failed()
        if not was_silent:
            cause = type(error).__name__ if error else "not connected"
            log.warning("%s is silent (%s): %s", self._what, cause, self._instead)

    def answered(self) -> None:
        """Note that it answered."""
        if self.silent:
            self._backoff.succeeded()
            log.info("%s answers again", self._what)
