"""Connections kept at hand between single statements, for a moment.

Taking a connection from asyncpg's pool and giving it back costs about twice as much as
a short statement. One that has just finished is therefore kept here for the next
statement, and goes back to the pool as soon as it has not been needed for a moment. At
most half of the pool is ever kept, so that whoever uses the pool itself finds the rest.
"""

from collections.abc import Callable

from atom.postgres.driver import Raw, RawPool

IDLE_SECONDS = 0.02


def is_open(connection: Raw) -> bool:
    """Whether a connection can be used; a lost one is back in the pool."""
    try:
        return not connection.is_closed()
    except Exception:  # InterfaceError: it is the pool's again
        return False


class Leases:
    """A stack of idle connections that still belong to the pool.

    `give_back` returns one to the pool, `later` calls something after some seconds;
    neither waits.
    """

    def __init__(
        self,
        pool: RawPool,
        give_back: Callable[[Raw], None],
        later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._pool = pool
        self._give_back = give_back
        self._later = later
        self._idle: list[Raw] = []
        self._unused = 0  # how many were not needed since the last look
        self._looking = False

    def take(self) -> Raw | None:
        """Return a connection that is open, or None."""
        while self._idle:
            connection = self._idle.pop()
            self._unused = min(self._unused, len(self._idle))
            if is_open(connection):
                return connection
            self._give_back(connection)
        return None

    def keep(self, connection: Raw) -> bool:
        """Keep a connection for the next statement, if there is room."""
        if len(self._idle) >= self._pool.get_max_size() // 2:
            return False
        self._idle.append(connection)
        if not self._looking:
            self._looking = True
            self._unused = 0
            self._later(IDLE_SECONDS, self._look)
        return True

    def _look(self) -> None:
        """Return to the pool the connections not needed since the last look."""
        for connection in self._idle[: self._unused]:
            self._give_back(connection)
        del self._idle[: self._unused]
        self._unused = len(self._idle)
        self._looking = bool(self._idle)
        if self._looking:
            self._later(IDLE_SECONDS, self._look)
