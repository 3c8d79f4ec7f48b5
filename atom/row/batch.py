"""`queue=`: who writes the rows of a request, and when; `batch`: with those of others.

Rows of one table wait a few milliseconds for each other. While a statement is under way
the next rows gather, so the busier it is, the more rows share one commit. Every caller
is answered after that commit: with the id of its own row, or with its own error.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from atom.errors import ApiError, Unavailable, Unexpected, nearest
from atom.port import Ports
from atom.postgres.bisect import in_halves
from atom.postgres.catalog import Table
from atom.postgres.database import Database
from atom.queue.all import NAMES as BROKERS
from atom.row import payload, queued, upsert, write
from atom.row.explain_error import naming_columns
from atom.row.scope import RowScope
from atom.row.sql.statement import RowSet
from atom.row.wait import BUSY
from atom.row.write import insert

CHOICES = ("batch", *BROKERS, "mongodb_<database>")
PARAMETERS = ("table", "queue", *upsert.PARAMETERS)
ROWS_MAX = 1000  # of one statement
WAITING_MAX = 10_000  # of all tables together, in each process
# Of those who have waited for a lock already, no one holds up the others again.
AGAIN_MS = 50
SEARCH_SECONDS = 2.0  # to find the row that waits for a lock


@dataclass(slots=True, eq=False)
class Entry:
    """A row that was accepted, and the promise of its id."""

    table: Table
    row: dict[str, Any]
    since: float
    end: asyncio.Future[int]

    def fail(self, error: ApiError) -> None:
        """Answer an error, to each caller an own copy."""
        if not self.end.done():
            self.end.set_exception(copy.copy(error))


@dataclass(frozen=True, slots=True)
class LockWait:
    """How long a statement waits for a lock, and until when to search for its row.

    None: as long as the session does.
    """

    lock_ms: int | None
    until: float


@dataclass(slots=True, eq=False)
class Lane:
    """The rows of one table that wait, and the task that writes them."""

    waiting: deque[Entry] = field(default_factory=deque)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    writer: asyncio.Task[None] | None = None


class Batches:
    """Gathers rows by table; one statement of each table is under way at a time."""

    def __init__(
        self,
        database: Database,
        *,
        rows: int,
        wait_ms: int,
        waiting_max: int = WAITING_MAX,
        lock_seconds: float = 5.0,
    ) -> None:
        self._database = database
        self._rows = rows
        self._wait = wait_ms / 1000
        self._waiting_max = waiting_max
        self._lock = lock_seconds
        self._unanswered = 0
        self._lanes: dict[str, Lane] = {}
        self._closed = False

    async def create(self, table: Table, row: dict[str, Any]) -> int:
        """Write a row together with others. Return its id once it is committed.

        The row is written also when the caller has left meanwhile.

        Raises:
            Unavailable: `concurrency.exceeded` when too many rows wait; and when the
                database is lost, which leaves open whether the row was written.
            ApiError: why the database refuses this row.
        """
        if self._closed or self._unanswered >= self._waiting_max:
            raise Unavailable(
                "Too many rows are waiting to be written.",
                code="concurrency.exceeded",
                hint="Try again.",
            )
        loop = asyncio.get_running_loop()
        entry = Entry(table, row, loop.time(), loop.create_future())
        lane = self._lanes.get(table.name)
        if lane is None:
            lane = self._lanes[table.name] = Lane()
        lane.waiting.append(entry)
        self._unanswered += 1
        if lane.writer is None:
            name = f"batch {table.name}"
            lane.writer = asyncio.create_task(self._serve(table.name, lane), name=name)
        if len(lane.waiting) >= self._rows:
            lane.enough.set()
        return await entry.end

    async def close(self, seconds: float) -> None:
        """Write what was accepted, take nothing more."""
        self._closed = True
        writers = []
        for lane in self._lanes.values():
            lane.enough.set()
            if lane.writer is not None:
                writers.append(lane.writer)
        if not writers:
            return
        _, late = await asyncio.wait(writers, timeout=seconds)
        for writer in late:
            writer.cancel()
        if late:
            await asyncio.wait(late, timeout=1)

    async def _serve(self, name: str, lane: Lane) -> None:
        """Write the rows of a table until none is left."""
        taken: list[Entry] = []
        try:
            while lane.waiting:
                await self._gather(lane)
                taken = _together(lane.waiting)
                await self._write(taken, self._lock_wait(taken[0].since))
                self._unanswered -= len(taken)
                taken = []
        except BaseException as error:
            left = [*taken, *lane.waiting]
            self._unanswered -= len(left)
            lane.waiting.clear()
            for entry in left:
                entry.fail(_broken(error))
            raise
        finally:
            del self._lanes[name]

    async def _gather(self, lane: Lane) -> None:
        """Wait for enough rows, but no row longer than was promised."""
        loop = asyncio.get_running_loop()
        remaining = lane.waiting[0].since + self._wait - loop.time()
        if self._closed or len(lane.waiting) >= self._rows or remaining <= 0:
            return
        lane.enough.clear()
        try:
            async with asyncio.timeout(remaining):
                await lane.enough.wait()
        except TimeoutError:
            return

    def _lock_wait(self, since: float) -> LockWait:
        """Return how long rows may wait for a lock, the oldest of them since then."""
        now = asyncio.get_running_loop().time()
        left = since + self._lock - now
        until = max(since + self._lock, now) + SEARCH_SECONDS
        if left > self._lock / 2 and not self._database.local:
            return LockWait(None, until)  # about what every session waits: no extra
        return LockWait(max(AGAIN_MS, int(left * 1000)), until)

    async def _write(self, entries: list[Entry], lock_wait: LockWait) -> None:
        """Write entries; halve them where one is refused, until it is alone.

        After a lost connection nothing is tried again: it may have been written.
        """
        table = entries[0].table
        lock_ms = lock_wait.lock_ms

        async def write(part: Sequence[Entry]) -> None:
            rows = [each.row for each in part]
            ids = await insert(self._database, _bind, RowSet(table), rows, lock_ms)
            self._database.written(table.name)
            for entry, made in zip(part, ids, strict=True):
                if not entry.end.done():
                    entry.end.set_result(made)

        def is_halved(error: Exception) -> bool:
            nonlocal lock_ms
            if not isinstance(error, ApiError):
                raise error
            if error.code != BUSY:
                return error.status < 500
            lock_ms = AGAIN_MS
            return asyncio.get_running_loop().time() < lock_wait.until

        for part, error in await in_halves(entries, write, is_halved):
            assert isinstance(error, ApiError)
            for entry in part:
                entry.fail(error)


def _together(waiting: deque[Entry]) -> list[Entry]:
    """Take the rows of the next statement; its columns are known the same way to all.

    A table that was changed meanwhile is another one, and waits for the next turn.
    """
    taken = [waiting.popleft()]
    while waiting and len(taken) < ROWS_MAX and waiting[0].table is taken[0].table:
        taken.append(waiting.popleft())
    return taken


def _bind(takes: tuple[str, ...], *call: Any) -> tuple[Any, ...]:
    """Return a statement that takes nothing of a caller."""
    assert not takes
    return call


def _broken(error: BaseException) -> ApiError:
    if isinstance(error, asyncio.CancelledError):
        return Unavailable("The server is stopping.", code="concurrency.exceeded")
    return Unexpected("Something went wrong on our side.")


async def submit(
    ports: Ports, scope: RowScope, parameters: Mapping[str, str], body: Any
) -> Any:
    """Add a row or a list of rows, in the way the parameters ask for.

    A list is one statement already, so `queue=batch` writes it directly.

    Raises:
        ApiError: naming the choices when there is no such queue.
        Unavailable: when its broker is not configured, or does not answer.
    """
    queue, table = parameters.get("queue", ""), parameters.get("table", "")
    require_known(queue)
    on_conflict = upsert.parse(parameters)
    if on_conflict is not None:
        if queue:
            raise ApiError("'queue' and 'on_conflict' do not go together.")
        return await upsert.create(ports.database, scope, table, body, on_conflict)
    if queue.startswith(queued.MONGODB):
        return await queued.store(ports, scope, queue, table, body)
    if queue not in queued.DIRECT:
        return await queued.send(ports, scope, queue, table, body)
    has_hooks = scope.rules.has_hooks(table, "create")  # one transaction with them
    if queue != "batch" or isinstance(body, list) or has_hooks:
        return await write.create(ports.database, scope, table, body)
    return await batch(ports, scope, table, body)


async def batch(ports: Ports, scope: RowScope, table: str, body: Any) -> int:
    """Add one row together with those of other callers. Return its id.

    Raises:
        ApiError: naming the column; and what `Batches.create` raises.
    """
    into = scope.creatable(ports.database.catalog, table)
    rule = into.rule
    if rule.check is not None or rule.preset or rule.default:
        # It is about this caller; rows of a batch are those of many.
        made = await write.create(ports.database, scope, table, body)
        assert not isinstance(made, list)
        return made
    (raw,), _ = payload.rows(body, 1)
    row = await payload.Reader(scope, into.table, create=True).read(raw)
    row |= scope.stamps(into.table, create=True)
    async with naming_columns(ports.database):
        made = await ports.batches.create(into.table, row)
    return made


def require_known(queue: str) -> None:
    """Refuse a way of writing that does not exist.

    Raises:
        ApiError: naming the choices.
    """
    if queue in queued.DIRECT or queue in BROKERS:
        return
    if queue.startswith(queued.MONGODB):
        return
    raise ApiError(
        "'queue' takes " + ", ".join(CHOICES) + ".",
        hint=nearest(queue[:60], CHOICES),
    )
