"""Journal on PostgreSQL: one row for each request, written by COPY, off its path."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from atom.backoff import Backoff
from atom.port import Journal
from atom.postgres.copying import Dropped, Target, Unreachable, copy_rows, live_target
from atom.postgres.driver import RawPool

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
ROWS_PER_COPY = 500  # bounds how long one COPY holds the event loop
BREATH = 0.005  # seconds between two of them, for the requests that came meanwhile
PAUSE = 0.25  # seconds between writes under load, so that batches grow
PAUSES = (0.25, 5.0)  # seconds until the next try: the first, the longest
REPORT = 10.0  # seconds between two log lines about the same fault

Row = tuple[Any, ...]


def append_columns(journal: Journal, columns: Mapping[str, Any]) -> None:
    """Append a row by the names of its columns; the others are null.

    Raises:
        TypeError: naming one that is not a column of the log.
    """
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise TypeError(f"{unknown[0]!r} is not one of {', '.join(COLUMNS)}")
    given = {"created_at": datetime.now(UTC), **columns}
    journal.append(tuple(given.get(name) for name in COLUMNS))


class PostgresJournal:
    """Buffers rows and writes them in batches with its own task.

    `columns` names the places of a row; those the live table lacks are left
    out. While the database is down the newest `limit` rows are kept.
    """

    def __init__(
        self,
        pool: RawPool,
        columns: Sequence[str],
        *,
        batch: int,
        seconds: float,
        limit: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
        on_written: Callable[[str], None] = lambda table: None,
    ) -> None:
        self._pool = pool
        self._columns = tuple(columns)
        self._batch = batch
        self._seconds = seconds
        self._limit = limit
        self._clock = clock
        self._on_written = on_written
        self._rows: deque[Row] = deque()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._target: Target | None = None  # None: ask the live table
        self._picked: tuple[int, ...] = ()
        self._batch_rows: list[Row] = []  # being written, perhaps written already
        self._batch_id = uuid4()
        self._enabled = True
        self._task: asyncio.Task[None] | None = None
        self._backoff = Backoff(*PAUSES)
        self._lost = 0  # rows dropped and not yet reported
        self._lost_reported = -REPORT
        self._reasons: set[str] = set()

    def __len__(self) -> int:
        return len(self._rows) + len(self._batch_rows)

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

    def enable(self) -> None:
        """Take rows; which columns the table has now is asked before the next write."""
        self._target = None
        self._enabled = True

    def disable(self) -> None:
        """Take no rows until `enable`, and drop those in the buffer."""
        self._enabled = False
        self._rows.clear()
        self._batch_rows = []

    async def close(self, seconds: float) -> None:
        """Write everything left, for at most so many seconds; log what was lost."""
        self._closing.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=1)
            self._task = None
        self._enabled = False
        self._lost += len(self)
        self._rows.clear()
        self._batch_rows = []
        self._report_lost(now=True)

    async def _run(self) -> None:
        while True:
            await self._rest()
            self._wake.clear()
            left = len(self._rows)  # rows that arrive meanwhile wait for the next batch
            while left > 0 or self._batch_rows:
                left -= await self._write(min(left, ROWS_PER_COPY))
                if self._backoff.seconds:
                    break
                if left > 0 and not self._closing.is_set():
                    await asyncio.sleep(BREATH)
            self._report_lost()
            if self._closing.is_set() and not len(self):
                return

    async def _rest(self) -> None:
        """Wait for a full batch or the timer; after a write, at least for the pause."""
        if self._closing.is_set():
            await asyncio.sleep(min(self._backoff.seconds, PAUSE))
            return
        await _within(self._closing.wait(), self._backoff.seconds or PAUSE)
        if not self._backoff.seconds:
            await _within(self._wake.wait(), self._seconds - PAUSE)

    async def _write(self, count: int) -> int:
        """Write the oldest rows; keep them for another try when the database is away.

        Rows are tried again as the same batch, so that none is written twice. Returns
        how many left the buffer.
        """
        taken = 0
        if not self._batch_rows:
            taken = min(count, len(self._rows))
            self._batch_rows = [self._rows.popleft() for _ in range(taken)]
            self._batch_id = uuid4()
        rows = self._batch_rows
        try:
            if self._target is None:
                self._target = await live_target(self._pool, TABLE)
                self._picked = self._pick(self._target.columns)
            if not self._picked:
                log.warning("%s does not exist: requests are not recorded", TABLE)
                self.disable()
                return taken
            names = [self._columns[at] for at in self._picked]
            batch = self._batch_id if self._target.has_batches else None
            dropped = await copy_rows(
                self._pool, TABLE, names, self._picked, rows, batch
            )
        except Unreachable as error:
            self._failed(error)
            return taken
        except Exception:
            # A fault of Atom; the rows after these must still be written.
            log.exception("%s: %s row(s) dropped", TABLE, len(rows))
        else:
            self._report(dropped)
            self._healed()
            self._on_written(TABLE)
        self._batch_rows = []
        return taken

    def _pick(self, columns: Iterable[str]) -> tuple[int, ...]:
        live = set(columns)
        return tuple(at for at, name in enumerate(self._columns) if name in live)

    def _failed(self, error: Unreachable) -> None:
        if not self._backoff.seconds:
            log.warning("%s cannot be written (%s); rows are kept", TABLE, error)
        if error.schema:
            self._target = None
        self._backoff.failed()

    def _healed(self) -> None:
        if self._backoff.seconds:
            self._backoff.succeeded()
            log.info("%s is written again", TABLE)
            self._report_lost(now=True)

    def _report(self, dropped: list[Dropped]) -> None:
        for one in dropped:
            if one.reason not in self._reasons and len(self._reasons) < 100:
                self._reasons.add(one.reason)
                log.error("%s: %s row(s) dropped: %s", TABLE, one.count, one.reason)

    def _report_lost(self, *, now: bool = False) -> None:
        at = self._clock()
        if self._lost and (now or at - self._lost_reported >= REPORT):
            log.error("%s: %s row(s) lost", TABLE, self._lost)
            self._lost, self._lost_reported = 0, at


async def _within(waiting: Any, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return
