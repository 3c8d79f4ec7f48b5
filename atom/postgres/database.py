"""Runs statements on one asyncpg pool, in the transaction around them if any."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import Any

from atom.errors import ApiError
from atom.postgres.catalog import Catalog
from atom.postgres.driver import Raw, RawPool, Record
from atom.postgres.errors import Wordings, translate
from atom.postgres.lease import Leases, Plans
from atom.postgres.transaction import Transaction, Unit, waits_for

log = logging.getLogger(__name__)


def affected(status: str) -> int:
    """Read the number of rows from a command tag.

    >>> affected("INSERT 0 3")
    3
    >>> affected("CREATE TABLE")
    0
    """
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


REREAD_SECONDS = 0.2  # callers who name what is not there cause no more reads


class Statements:
    """The four ways to run a statement, for a connection and for a database.

    Three return the coroutine of `_call`: one fewer for each statement.
    """

    __slots__ = ()

    async def _call(
        self, verb: str, text: str, values: tuple[Any, ...], seconds: float | None
    ) -> Any:
        raise NotImplementedError

    def value(
        self, text: str, *values: Any, seconds: float | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Return the first column of the first row, or None.

        After `seconds` the statement is cancelled; None leaves it to the pool.
        """
        return self._call("fetchval", text, values, seconds)

    def row(
        self, text: str, *values: Any, seconds: float | None = None
    ) -> Coroutine[Any, Any, Record | None]:
        """Return the first row, or None; `seconds` as for `value`."""
        return self._call("fetchrow", text, values, seconds)

    def rows(self, text: str, *values: Any) -> Coroutine[Any, Any, list[Record]]:
        """Return every row."""
        return self._call("fetch", text, values, None)

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
            plans = self._database.plans
            return await plans.run(self.raw, verb, text, values, seconds)
        except Exception as error:
            raise self._database.failed(self.raw, error) from error
        except BaseException:
            self._database.interrupted(self.raw)
            raise


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
        statements_max: int = 1024,
        long_max: int = 1,
        local: Mapping[str, str] | None = None,
        wordings: Wordings | None = None,
    ) -> None:
        self.pool = pool
        self.local: Mapping[str, str] = local or {}  # what each transaction sets
        self.wordings: Wordings = wordings or {}
        self.on_written: Callable[[str], None] = _ignore  # called with a table's name
        self.catalog = Catalog()
        self.views: Mapping[str, str] = {}  # those declared, each with its key
        self.reread: Callable[[bool], Awaitable[None]] | None = None
        self._reread_at = 0.0
        self._rereading: asyncio.Future[None] | None = None  # callers share one
        self._unit: ContextVar[Unit | None] = ContextVar("unit", default=None)
        self.leases = Leases(pool, acquire_seconds, long_max)
        self.plans = Plans(statements_max)

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

    async def heal(self, before: Catalog, *, at_once: bool) -> bool:
        """Read the catalog again; it stays the same object where nothing changed.

        Return whether what failed with `before` is worth another try. Unless `at_once`,
        it is not read more often than every REREAD_SECONDS.
        """
        if self.catalog is not before:
            return True
        is_joined = self._rereading is not None  # and may have begun before the change
        if self._rereading is None:
            now = asyncio.get_running_loop().time()
            is_due = at_once or now - self._reread_at >= REREAD_SECONDS
            if self.reread is None or not is_due:
                return False
            self._reread_at = now
            # A task of its own: a transaction around may see what is not committed.
            self._rereading = asyncio.ensure_future(self.reread(at_once))
            self._rereading.add_done_callback(self._has_reread)
        await asyncio.wait({self._rereading})
        return is_joined or self.catalog is not before

    def _has_reread(self, task: asyncio.Future[None]) -> None:
        self._rereading = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("the tables could not be read again: %s", error)

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

    async def _call(
        self, verb: str, text: str, values: tuple[Any, ...], seconds: float | None
    ) -> Any:
        if self._unit.get() is not None and (unit := self.current()) is not None:
            try:
                async with unit.raw.transaction():  # a savepoint of its own
                    return await self.plans.run(unit.raw, verb, text, values, seconds)
            except Exception as error:
                raise self.failed(unit.raw, error) from error
            except BaseException:
                unit.may_have_failed = True  # perhaps not even undone
                raise
        leases = self.leases
        # A failed statement was perhaps never run, which a pooler's process waits for.
        give_up = leases.release if self.local else leases.give_back
        pace = self.plans.kept(text)
        raw = await leases.take(pace)
        try:
            if pace is not None:  # without the cost of one more coroutine
                began = monotonic()
                found = await getattr(raw, verb)(text, *values, timeout=seconds)
                pace.add(monotonic() - began)
            else:
                found = await self.plans.run(raw, verb, text, values, seconds)
        except Exception as error:
            await give_up(raw)
            raise self.translate(error) from error
        except BaseException:
            await give_up(raw)
            raise
        if not leases.keep(raw):
            await leases.give_back(raw)
        return found

    @asynccontextmanager
    async def lent(self, *, separate: bool = False) -> AsyncIterator[Raw]:
        """Lend asyncpg's connection: of the transaction around, else of the pool.

        `separate` takes one of the pool in any case: for what no transaction may hold.
        """
        if not separate and (unit := self.current()) is not None:
            yield unit.raw
            return
        raw = await self.leases.take()
        try:
            yield raw
        finally:
            await self.leases.release(raw)

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
