"""Journal on PostgreSQL: one row for each request, written by COPY, off its path."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from atom.postgres.copying import Dropped, Unreachable, copy_rows, live_columns

log = logging.getLogger(__name__)

TABLE = "log_api"
# What a row of a request holds, in this order (atom/http/step/record.py).
COLUMNS = (
    "created_at",
    "created_by_id",
    "ip_address",
    "type",
    "api",
    "method",
    "query_param",
    "status_code",
    "response_time_ms",
    "description",
)
ROWS_PER_COPY = 250  # bounds how long one COPY holds the event loop
BREATH = 0.005  # seconds between two of them, for the requests that came meanwhile
PAUSE = 0.25  # seconds between writes under load, so that batches grow
BACKOFF = (0.25, 5.0)  # seconds until the next try: the first, the longest
SAID = 10.0  # seconds between two lines of the log about the same trouble

Row = tuple[Any, ...]


class PostgresJournal:
    """Buffers rows and writes them in batches with its own task.

    `columns` names what stands where in a row; those the live table lacks are left
    out. While the database is down the newest `limit` rows are kept.
    """

    def __init__(
        self,
        pool: Any,
        columns: Sequence[str],
        *,
        batch: int,
        seconds: float,
        limit: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._columns = tuple(columns)
        self._batch = batch
        self._seconds = seconds
        self._limit = limit
        self._clock = clock
        self._rows: deque[Row] = deque()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._picked: tuple[int, ...] | None = None  # None: ask the live table
        self._enabled = True
        self._task: asyncio.Task[None] | None = None
        self._pause = 0.0  # until the next try; 0: the last one went well
        self._lost = 0  # rows dropped and not yet told
        self._lost_said = -SAID
        self._reasons: set[str] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def append(self, row: Row) -> None:
        """Take a row in the order of the columns."""
        if not self._enabled:
            return
        rows = self._rows
        rows.append(row)
        count = len(rows)
        if count >= self._batch and not self._wake.is_set():
            self._wake.set()
        if count > self._limit:
            rows.popleft()
            self._lost += 1

    def start(self) -> None:
        """Start writing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="journal")

    def enable(self, columns: Iterable[str] | None = None) -> None:
        """Take rows, and write these columns; None: those the live table has."""
        self._picked = None if columns is None else self._pick(columns)
        self._enabled = True

    def disable(self) -> None:
        """Take no rows until `enable`; what is buffered is let go."""
        self._enabled = False
        self._rows.clear()

    async def close(self, seconds: float) -> None:
        """Write everything left, for at most so many seconds; say what was lost."""
        self._closing.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1)
            self._task = None
        self._enabled = False
        self._lost += len(self._rows)
        self._rows.clear()
        self._tell_lost(now=True)

    async def _run(self) -> None:
        while True:
            await self._rest()
            self._wake.clear()
            left = len(self._rows)  # what comes meanwhile waits for the next batch
            while left > 0:
                left -= await self._write(min(left, ROWS_PER_COPY))
                if self._pause:
                    break
                if left > 0 and not self._closing.is_set():
                    await asyncio.sleep(BREATH)
            self._tell_lost()
            if self._closing.is_set() and not self._rows:
                return

    async def _rest(self) -> None:
        """Wait for a full batch or the timer; after a write, at least for the pause."""
        if self._closing.is_set():
            await asyncio.sleep(min(self._pause, PAUSE))
            return
        await _within(self._closing.wait(), self._pause or PAUSE)
        if not self._pause:
            await _within(self._wake.wait(), self._seconds - PAUSE)

    async def _write(self, count: int) -> int:
        """Write the oldest rows; put them back when the database is away."""
        rows = [self._rows.popleft() for _ in range(min(count, len(self._rows)))]
        written = False
        try:
            if self._picked is None:
                self._picked = self._pick(await live_columns(self._pool, TABLE))
            if not self._picked:
                log.warning("%s is not there: requests are not recorded", TABLE)
                written = True
                self.disable()
                return count
            names = [self._columns[at] for at in self._picked]
            dropped = await copy_rows(self._pool, TABLE, names, self._picked, rows)
        except Unreachable as error:
            self._failed(error)
        except Exception:
            # Ours to mend; the rows after these must still be written.
            log.exception("%s: %s row(s) dropped", TABLE, len(rows))
            written = True
        else:
            written = True
            self._told(dropped)
            self._healed()
        finally:
            if not written:  # also when cancelled: `close` counts them as lost
                self._put_back(rows)
        return count

    def _pick(self, columns: Iterable[str]) -> tuple[int, ...]:
        live = set(columns)
        return tuple(at for at, name in enumerate(self._columns) if name in live)

    def _put_back(self, rows: list[Row]) -> None:
        room = max(0, self._limit - len(self._rows))
        kept = rows[-room:] if room else []
        self._lost += len(rows) - len(kept)
        self._rows.extendleft(reversed(kept))

    def _failed(self, error: Unreachable) -> None:
        if not self._pause:
            log.warning("%s cannot be written (%s); rows are kept", TABLE, error)
        if error.schema:
            self._picked = None
        first, longest = BACKOFF
        self._pause = min(self._pause * 2 or first, longest)

    def _healed(self) -> None:
        if self._pause:
            self._pause = 0.0
            log.info("%s is written again", TABLE)
            self._tell_lost(now=True)

    def _told(self, dropped: list[Dropped]) -> None:
        for one in dropped:
            if one.reason not in self._reasons and len(self._reasons) < 100:
                self._reasons.add(one.reason)
                log.error("%s: %s row(s) dropped: %s", TABLE, one.count, one.reason)

    def _tell_lost(self, *, now: bool = False) -> None:
        at = self._clock()
        if self._lost and (now or at - self._lost_said >= SAID):
            log.error("%s: %s row(s) lost", TABLE, self._lost)
            self._lost, self._lost_said = 0, at


async def _within(waiting: Any, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return
