"""Reads on replicas: in turn, never of a caller who has just written.

A replica that does not answer, or lags, is left out until it is well again; what fails
on it is read from the primary.
"""

import asyncio
import logging
import os
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from mmap import mmap
from pathlib import Path
from tempfile import mkstemp
from typing import Any
from zlib import crc32

from atom.errors import ApiError, ConfigError
from atom.observe.request_context import TABLES_READ
from atom.postgres.database import Database
from atom.postgres.driver import Raw
from atom.postgres.share import CALLER
from atom.task import ended

log = logging.getLogger(__name__)

FILE = "ATOM_WRITERS_FILE"  # of the processes of one server
SLOTS = 65_536  # callers who share one are both taken to have written
SLOT = struct.Struct("d")
KNOWN = 1.0  # seconds in which other machines are not informed again
Open = Callable[[], Awaitable[Database]]

LOOK = 1.0  # seconds between two looks at a replica
ANSWER = 1.5  # seconds it has to answer
LOOKS = 900  # at the primary that are remembered
# How far a replica is in the log, in bytes; null for a database that follows nothing.
REPLAYED = """
select case when pg_is_in_recovery() then
  pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint end
"""
WRITTEN = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"


class Writers:
    """Who has written lately, in memory that the workers of a machine share."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        path = os.environ.get(FILE)
        if path is None:
            self._memory = mmap(-1, SLOTS * SLOT.size)
        else:
            with Path(path).open("r+b") as file:
                self._memory = mmap(file.fileno(), SLOTS * SLOT.size)

    def note(self, caller: str) -> bool:
        """Note that a caller has written just now. Return False if that was known."""
        at, now = self._at(caller), time.monotonic()
        (before,) = SLOT.unpack_from(self._memory, at)
        SLOT.pack_into(self._memory, at, now)
        return bool(not before or now - before > KNOWN)

    def has_written(self, caller: str) -> bool:
        """Whether a caller may not find on a replica what it has written."""
        (at,) = SLOT.unpack_from(self._memory, self._at(caller))
        return bool(at) and time.monotonic() - at < self.seconds

    def _at(self, caller: str) -> int:
        return crc32(caller.encode()) % SLOTS * SLOT.size


@contextmanager
def shared_writers(*, wanted: bool) -> Iterator[None]:
    """Have the processes started inside share who has written."""
    if not wanted:
        yield
        return
    number, path = mkstemp(prefix="atom-writers-")
    os.truncate(number, SLOTS * SLOT.size)
    os.close(number)
    os.environ[FILE] = path
    try:
        yield
    finally:
        del os.environ[FILE]
        Path(path).unlink(missing_ok=True)


class Replica:
    """One replica, and whether it may be read now."""

    def __init__(self, place: str, open: Open) -> None:
        self.place = place  # host and port, for the log
        self.open = open
        self.database: Database | None = None
        self.is_well = True
        self.lag = 0.0  # seconds

    def judge(self, why: str) -> None:
        """Take it up ("") or leave it out, with the reason in the log."""
        if self.is_well and why:
            log.warning("the replica at %s is left out: %s", self.place, why)
        elif not self.is_well and not why:
            log.info("the replica at %s is read again", self.place)
        self.is_well = not why


class Replicas(Database):
    """Reads on the replicas that are well, in turn; else on the primary."""

    def __init__(
        self,
        replicas: Sequence[Replica],
        primary: Database | None,
        *,
        lag_seconds: float,
        own_writes_seconds: float,
    ) -> None:
        first = next(each.database for each in replicas if each.database is not None)
        super().__init__(first.pool, local=first.local, wordings=first.wordings)
        self.views = first.views
        self.leases = first.leases
        self.replicas = list(replicas)
        self.primary = primary
        self.writers = Writers(own_writes_seconds)
        self._first = first
        self._lag_seconds = lag_seconds
        self._turn = 0
        self._written: deque[tuple[float, int]] = deque(maxlen=LOOKS)
        self._watching = asyncio.create_task(self._watch(), name="replicas")

    def choose(self) -> Database:
        """Return where this task reads next."""
        if self.primary is not None and self._needs_primary():
            return self.primary
        count = len(self.replicas)
        for _ in range(count):
            self._turn = (self._turn + 1) % count
            replica = self.replicas[self._turn]
            if replica.is_well and replica.database is not None:
                return replica.database
        return self.primary or self._first

    def _needs_primary(self) -> bool:
        """Whether what a replica lacks would be noticed.

        By the caller who wrote it, or by all when the answer will be cached.
        """
        if TABLES_READ.get() is not None:
            return True
        caller = CALLER.get()
        return caller is not None and self.writers.has_written(caller.name)

    async def _call(
        self, verb: str, text: str, values: tuple[Any, ...], seconds: float | None
    ) -> Any:
        if self.current() is not None:
            return await super()._call(verb, text, values, seconds)
        database = self.choose()
        try:
            return await database._call(verb, text, values, seconds)
        except ApiError as error:
            if not self._is_of_replica(database, error):
                raise
            assert self.primary is not None
            return await self.primary._call(verb, text, values, seconds)

    def _is_of_replica(self, database: Database, error: ApiError) -> bool:
        """Whether the primary may answer what failed; leave out a silent replica."""
        if self.primary is None or database is self.primary:
            return False
        if error.code == "client.silent":
            for each in self.replicas:
                if each.database is database:
                    each.judge("it does not answer")
        return error.status >= 500

    @asynccontextmanager
    async def lent(self, *, separate: bool = False) -> AsyncIterator[Raw]:
        """Lend a connection of a replica that is well, else of the primary."""
        if self.current() is not None and not separate:
            async with super().lent() as raw:
                yield raw
            return
        async with self.choose().lent(separate=separate) as raw:
            yield raw

    async def close(self) -> None:
        """Look after the replicas no longer, and close their pools."""
        await ended([self._watching])
        for replica in self.replicas:
            if replica.database is not None:
                await replica.database.pool.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            await self._look_at_primary()
            await asyncio.gather(*(self._look(each) for each in self.replicas))

    def lag(self, replayed: int | None) -> float:
        """Return for how many seconds a replica has lacked what was written."""
        if replayed is None:
            return 0.0
        lacking = (at for at, written in self._written if written > replayed)
        return time.monotonic() - next(lacking, time.monotonic())

    async def _look_at_primary(self) -> None:
        """Remember how far the primary has written, and when that was."""
        if self.primary is None:
            return
        now = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER):
                written = await self.primary.pool.fetchval(WRITTEN)
        except Exception as error:
            log.debug("the primary does not answer: %s", type(error).__name__)
        else:
            self._written.append((now, written))

    async def _look(self, replica: Replica) -> None:
        """Judge one replica: whether it answers, and how far behind it is."""
        try:
            if replica.database is None:
                replica.database = await replica.open()
            async with asyncio.timeout(ANSWER):
                replayed = await replica.database.pool.fetchval(REPLAYED)
        except Exception as error:
            replica.judge(f"it does not answer ({type(error).__name__})")
            return
        replica.lag = self.lag(replayed)
        is_late = replica.lag > self._lag_seconds
        replica.judge(f"it lags by {replica.lag:.1f} s" if is_late else "")


async def open_replicas(
    replicas: Sequence[Replica], primary: Database | None, **seconds: float
) -> Replicas:
    """Open replicas: those that are away are tried again, if there is one at least.

    Raises:
        Exception: of the first, when none can be opened.
    """
    opening = (each.open() for each in replicas)
    found = await asyncio.gather(*opening, return_exceptions=True)
    faults = [each for each in found if isinstance(each, BaseException)]
    wrong = [each for each in faults if isinstance(each, ConfigError)]
    for replica, each in zip(replicas, found, strict=True):
        if not isinstance(each, BaseException):
            replica.database = each
    if wrong or len(faults) == len(replicas):
        for replica in replicas:
            if replica.database is not None:
                await replica.database.pool.close()
        raise (wrong or faults)[0]
    for replica in replicas:
        if replica.database is None:
            replica.judge("it does not answer")
    return Replicas(replicas, primary, **seconds)
