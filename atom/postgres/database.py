"""Runs statements on one asyncpg pool, in the transaction around them if any."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from atom.backoff import Backoff
from atom.errors import ApiError, Unavailable
from atom.postgres.catalog import Catalog
from atom.postgres.driver import Raw, RawPool, Record
from atom.postgres.errors import Wordings, exhausted, translate, unavailable
from atom.postgres.lease import Leases, is_open
from atom.postgres.transaction import Transaction, Unit, waits_for

log = logging.getLogger(__name__)

# Whether this work has no caller, so that it waits for a connection without limit.
UNHURRIED: ContextVar[bool] = ContextVar("unhurried", default=False)
PAUSES = (0.1, 5.0)  # seconds until it asks for one again: the first, the longest

PROCESS = "select pg_backend_pid()"
# Connections that run a single statement of Atom. Known by their
# settings object, which a connection and the pool's proxy of it share.
_lent: set[int] = set()


async def reset(connection: Raw) -> None:
    """Clean a connection on its way back to the pool (`create_pool(reset=…)`).

    One that was lent for a single statement of Atom has nothing to clean; that
    saves a round trip for every statement.
    """
    if id(connection.get_settings()) in _lent:
        return
    query = connection.get_reset_query()
    if query:
        await connection.execute(query)


async def reset_pooled(connection: Raw) -> None:
    """Clean a connection that may lead to a pooler in transaction mode.

    There no session is ours to clean. But a statement that was prepared and never run,
    for a value that does not fit, keeps the process of the server: any further
    statement lets go of it.
    """
    if id(connection.get_settings()) in _lent:
        return
    if await connection.fetchval(PROCESS) == connection.get_server_pid():
        await reset(connection)


def affected(status: str) -> int:
    """Read the number of rows from a command tag.

    >>> affected("INSERT 0 3")
    3
    >>> affected("CREATE TABLE")
    0
    """
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


class Statements:
    """The four ways to run a statement, for a connection and for a database."""

    __slots__ = ()

    async def _call(
        self, verb: str, text: str, values: tuple[Any, ...], seconds: float | None
    ) -> Any:
        raise NotImplementedError

    async def value(self, text: str, *values: Any, seconds: float | None = None) -> Any:
        """Return the first column of the first row, or None.

        After `seconds` the statement is cancelled; None leaves it to the pool.
        """
        return await self._call("fetchval", text, values, seconds)

    async def row(
        self, text: str, *values: Any, seconds: float | None = None
    ) -> Record | None:
        """Return the first row, or None; `seconds` as for `value`."""
        found: Record | None = await self._call("fetchrow", text, values, seconds)
        return found

    async def rows(self, text: str, *values: Any) -> list[Record]:
        """Return every row."""
        found: list[Record] = await self._call("fetch", text, values, None)
        return found

    async def run(self, text: str, *values: Any) -> int:
        """Run a statement. Return how many rows it affected."""
        return affected(await self._call("execute", text, values, None))


class Connection(Statements):
    """One connection, held for several statements; `raw` is asyncpg's own."""

    __slots__ = ("_database", "raw")

    def __init__(self, database: "Database", raw: Raw) -> None:
        self._database = database
        self.raw = raw

    async def _call(
        self, verb: str, text: str, values: tuple[Any, ...], seconds: float | None
    ) -> Any:
        try:
            return await getattr(self.raw, verb)(text, *values, timeout=seconds)
        except Exception as error:
            raise self._database.failed(self.raw, error) from error
        except BaseException:
            self._database.interrupted(self.raw)
            raise


def _later(seconds: float, what: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, what)


def _ignore(table: str) -> None:
    """Do nothing: no cache depends on this database yet."""


class Database(Statements):
    """Runs statements on one asyncpg pool; every driver error leaves as an ApiError.

    `value`, `row`, `rows` and `run` take a connection for one statement. That statement
    must leave nothing behind in its session (no SET, LISTEN or session lock): the
    connection goes back uncleaned. Use `connection` for those.

    Inside `transaction` all of them use its connection, and a statement that fails
    leaves the transaction usable: each runs in a savepoint of its own.
    """

    def __init__(
        self,
        pool: RawPool,
        *,
        acquire_seconds: float = 5.0,
        local: Mapping[str, str] | None = None,
        wordings: Wordings | None = None,
    ) -> None:
        self.pool = pool
        self.local: Mapping[str, str] = local or {}  # what each transaction sets
        self.acquire_seconds = acquire_seconds
        self.wordings: Wordings = wordings or {}
        self.on_written: Callable[[str], None] = _ignore  # called with a table's name
        self.catalog = Catalog()
        self._unit: ContextVar[Unit | None] = ContextVar("unit", default=None)
        self._leases = Leases(pool, self._give_back_soon, _later)
        self._returning: set[asyncio.Task[None]] = set()
        self._waiting = 0  # callers who wait for a connection now

    def current(self) -> Unit | None:
        """Return the transaction that this task is in, or None."""
        unit = self._unit.get()
        if unit is None or not unit.is_open:
            return None
        task = asyncio.current_task()
        while task is not None and task is not unit.task:
            task = waits_for(task)
        return unit if task is not None else None

    def bind(self, unit: Unit | None) -> None:
        """Make a transaction the one that calls of this task take part in."""
        self._unit.set(unit)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call something once what was done so far is committed; never after rollback.

        Outside a transaction every statement is committed already: call it now.
        """
        if (unit := self.current()) is None:
            call()
        else:
            unit.after[-1].append(call)

    def written(self, table: str) -> None:
        """Report that rows of a table have changed, once that is committed."""
        if self._unit.get() is None:
            self.on_written(table)
        else:
            self.after_commit(partial(self.on_written, table))

    def translate(self, error: Exception, *, own: bool = False) -> ApiError:
        """Return the ApiError of a driver's error, in the words of config_error."""
        return translate(error, self.wordings, own=own)

    def interrupted(self, raw: Raw) -> None:
        """Note that a statement on a connection did not come to its end."""
        if (unit := self.current()) is not None and unit.raw is raw:
            unit.may_have_failed = True

    def failed(self, raw: Raw, error: Exception, *, own: bool = False) -> ApiError:
        """Note that a statement failed on a connection; return the error to raise."""
        self.interrupted(raw)
        return self.translate(error, own=own)

    async def acquire(self) -> Raw:
        """Take a connection out of the pool.

        Raises:
            Unavailable: `pool.exhausted` when none becomes free in time.
        """
        return self._leases.take() or await self._acquire()

    async def _acquire(self) -> Raw:
        if not UNHURRIED.get():
            return await self._acquire_in_time()
        backoff = Backoff(*PAUSES)
        while True:
            try:
                return await self._acquire_in_time()
            except Unavailable as error:
                log.info("waiting for a connection: %s", error)
            await backoff.rest()

    async def _acquire_in_time(self) -> Raw:
        self._waiting += 1
        try:
            async with asyncio.timeout(self.acquire_seconds):
                return await self.pool.acquire()
        except TimeoutError as error:
            raise self._no_connection() from error
        except Exception as error:
            raise self.translate(error) from error
        finally:
            self._waiting -= 1

    def _no_connection(self) -> ApiError:
        """Return the error for a pool without a free connection, or a silent server."""
        if self.pool.get_size() >= self.pool.get_max_size():
            return exhausted(self.pool.get_max_size(), self.acquire_seconds)
        return unavailable()

    async def release(self, raw: Raw) -> None:
        """Return a connection to the pool, which cleans it."""
        try:
            await self.pool.release(raw)
        except Exception:
            # asyncpg has closed it already; its statements are done or have raised.
            log.warning("a connection could not be cleaned", exc_info=True)

    async def _give_back(self, raw: Raw) -> None:
        """Release a connection that ran only single statements of Atom."""
        mark = id(raw.get_settings()) if is_open(raw) else 0
        _lent.add(mark)
        await self.release(raw)
        _lent.discard(mark)

    async def _give_up(self, raw: Raw) -> None:
        """Release a connection after a failed statement, perhaps one never run."""
        await (self.release(raw) if self.local else self._give_back(raw))

    def _give_back_soon(self, raw: Raw) -> None:
        task = asyncio.create_task(self._give_back(raw))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def _call(
        self, verb: str, text: str, values: tuple[Any, ...], seconds: float | None
    ) -> Any:
        if self._unit.get() is not None and (unit := self.current()) is not None:
            try:
                async with unit.raw.transaction():  # a savepoint of its own
                    return await getattr(unit.raw, verb)(text, *values, timeout=seconds)
            except Exception as error:
                raise self.failed(unit.raw, error) from error
            except BaseException:
                unit.may_have_failed = True  # perhaps not even undone
                raise
        raw = self._leases.take() or await self._acquire()
        try:
            found = await getattr(raw, verb)(text, *values, timeout=seconds)
        except Exception as error:
            await self._give_up(raw)
            raise self.translate(error) from error
        except BaseException:
            await self._give_up(raw)
            raise
        if self._waiting or not self._leases.keep(raw):
            await self._give_back(raw)
        return found

    @asynccontextmanager
    async def lent(self, *, separate: bool = False) -> AsyncIterator[Raw]:
        """Lend asyncpg's connection: of the transaction around, else of the pool.

        `separate` takes one of the pool in any case: for what no transaction may hold.
        """
        if not separate and (unit := self.current()) is not None:
            yield unit.raw
            return
        raw = await self.acquire()
        try:
            yield raw
        finally:
            await self.release(raw)

    @asynccontextmanager
    async def connection(self, *, separate: bool = False) -> AsyncIterator[Connection]:
        """Hold a connection for several statements; `separate` as for `lent`."""
        async with self.lent(separate=separate) as raw:
            yield Connection(self, raw)

    def begin(self, **options: Any) -> Transaction:
        """Return a transaction to enter or to start; `options` are asyncpg's."""
        return Transaction(self, options, {})

    @asynccontextmanager
    async def transaction(
        self,
        *,
        readonly: bool = False,
        timeout_ms: int | None = None,
        lock_ms: int | None = None,
    ) -> AsyncIterator[Connection]:
        """Hold a connection in a transaction: committed at the end, or rolled back.

        A statement in it takes `timeout_ms` at most, and waits `lock_ms` for a lock.
        """
        limits = {}
        if timeout_ms is not None:
            limits["statement_timeout"] = str(timeout_ms)
        if lock_ms is not None:
            limits["lock_timeout"] = str(lock_ms)
        async with Transaction(self, {"readonly": readonly}, limits) as transaction:
            yield Connection(self, transaction.unit.raw)
