"""Runs statements on one asyncpg pool. Never builds one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from atom.postgres.catalog import Catalog
from atom.postgres.errors import translate, unavailable
from atom.postgres.lease import Leases, is_open

log = logging.getLogger(__name__)

PROCESS = "select pg_backend_pid()"
LOCAL = """
select set_config(name, value, true)
from unnest($1::text[], $2::text[]) as setting (name, value)
"""

# Connections that run one statement of ours and nothing else. Known by their
# settings object, which a connection and the pool's proxy of it share.
_lent: set[int] = set()


async def reset(connection: Any) -> None:
    """Clean a connection on its way back to the pool (`create_pool(reset=…)`).

    One that was only lent for a single statement of ours has nothing to clean; that
    saves a round trip for every statement.
    """
    if id(connection.get_settings()) in _lent:
        return
    query = connection.get_reset_query()
    if query:
        await connection.execute(query)


async def reset_pooled(connection: Any) -> None:
    """Clean a connection that may lead to a pooler in transaction mode.

    There no session is ours to clean. But a statement that was prepared and never run,
    for a value that does not fit, keeps the process of the server: any further
    statement lets go of it.
    """
    if id(connection.get_settings()) in _lent:
        return
    if await connection.fetchval(PROCESS) == connection.get_server_pid():
        await reset(connection)


async def set_local(raw: Any, settings: Mapping[str, str]) -> None:
    """Set what holds until the end of the transaction a connection is in."""
    if settings:
        await raw.fetch(LOCAL, list(settings), list(settings.values()))


def affected(status: str) -> int:
    """Read the number of rows from a command tag.

    >>> affected("INSERT 0 3")
    3
    >>> affected("CREATE TABLE")
    0
    """
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


class Connection:
    """One connection, held for several statements; `raw` is asyncpg's own."""

    __slots__ = ("raw",)

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    async def value(self, text: str, *values: Any) -> Any:
        """Return the first column of the first row, or None."""
        try:
            return await self.raw.fetchval(text, *values)
        except Exception as error:
            raise translate(error) from error

    async def row(self, text: str, *values: Any) -> Mapping[str, Any] | None:
        """Return the first row, or None."""
        try:
            found: Mapping[str, Any] | None = await self.raw.fetchrow(text, *values)
        except Exception as error:
            raise translate(error) from error
        return found

    async def rows(self, text: str, *values: Any) -> list[Mapping[str, Any]]:
        """Return every row."""
        try:
            found: list[Mapping[str, Any]] = await self.raw.fetch(text, *values)
        except Exception as error:
            raise translate(error) from error
        return found

    async def run(self, text: str, *values: Any) -> int:
        """Run a statement. Return how many rows it affected."""
        try:
            return affected(await self.raw.execute(text, *values))
        except Exception as error:
            raise translate(error) from error


def _later(seconds: float, what: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(seconds, what)


def _nobody(table: str) -> None:
    """Stand for a listener that is not there."""


class Database:
    """Runs statements on one asyncpg pool; every driver error leaves as an ApiError.

    `value`, `row`, `rows` and `run` take a connection for one statement. That statement
    must leave nothing behind in its session (no SET, LISTEN or session lock): the
    connection goes back uncleaned. Use `connection` for those.
    """

    def __init__(
        self,
        pool: Any,
        *,
        acquire_seconds: float = 5.0,
        written: Callable[[str], None] | None = None,
        local: Mapping[str, str] | None = None,
    ) -> None:
        self.pool = pool
        self.local: Mapping[str, str] = local or {}  # what each transaction sets
        self.acquire_seconds = acquire_seconds
        self.written: Callable[[str], None] = written or _nobody
        self.catalog = Catalog()
        self._leases = Leases(pool, self._give_back_soon, _later)
        self._returning: set[asyncio.Task[None]] = set()
        self._waiting = 0  # callers who wait for a connection now

    async def _acquire(self) -> Any:
        self._waiting += 1
        try:
            async with asyncio.timeout(self.acquire_seconds):
                return await self.pool.acquire()
        except TimeoutError as error:
            raise unavailable() from error
        except Exception as error:
            raise translate(error) from error
        finally:
            self._waiting -= 1

    async def _release(self, raw: Any) -> None:
        try:
            await self.pool.release(raw)
        except Exception:
            # asyncpg has closed it already; what was asked for is done or was raised.
            log.warning("a connection could not be cleaned", exc_info=True)

    async def _give_back(self, raw: Any) -> None:
        """Release a connection that ran nothing but single statements of ours."""
        mark = id(raw.get_settings()) if is_open(raw) else 0
        _lent.add(mark)
        await self._release(raw)
        _lent.discard(mark)

    async def _give_up(self, raw: Any) -> None:
        """Release a connection whose statement failed, perhaps before it was run."""
        await (self._release(raw) if self.local else self._give_back(raw))

    def _give_back_soon(self, raw: Any) -> None:
        task = asyncio.create_task(self._give_back(raw))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def _once(
        self, verb: str, text: str, values: tuple[Any, ...], seconds: float | None
    ) -> Any:
        raw = self._leases.take() or await self._acquire()
        try:
            found = await getattr(raw, verb)(text, *values, timeout=seconds)
        except Exception as error:
            await self._give_up(raw)
            raise translate(error) from error
        except BaseException:
            await self._give_up(raw)
            raise
        if self._waiting or not self._leases.keep(raw):
            await self._give_back(raw)
        return found

    async def value(self, text: str, *values: Any, seconds: float | None = None) -> Any:
        """Return the first column of the first row, or None.

        After `seconds` the statement is cancelled; None leaves it to the pool.
        """
        return await self._once("fetchval", text, values, seconds)

    async def row(
        self, text: str, *values: Any, seconds: float | None = None
    ) -> Mapping[str, Any] | None:
        """Return the first row, or None; `seconds` as for `value`."""
        found: Mapping[str, Any] | None = await self._once(
            "fetchrow", text, values, seconds
        )
        return found

    async def rows(self, text: str, *values: Any) -> list[Mapping[str, Any]]:
        """Return every row."""
        found: list[Mapping[str, Any]] = await self._once("fetch", text, values, None)
        return found

    async def run(self, text: str, *values: Any) -> int:
        """Run a statement. Return how many rows it affected."""
        return affected(await self._once("execute", text, values, None))

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Hold a connection for several statements."""
        raw = await self._acquire()
        try:
            yield Connection(raw)
        finally:
            await self._release(raw)

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
        limits = dict(self.local)
        if timeout_ms is not None:
            limits["statement_timeout"] = str(timeout_ms)
        if lock_ms is not None:
            limits["lock_timeout"] = str(lock_ms)
        async with self.connection() as held:
            transaction = held.raw.transaction(readonly=readonly)
            try:
                await transaction.start()
            except Exception as error:
                raise translate(error) from error
            try:
                await _limited(held.raw, limits)
                yield held
            except BaseException:
                await _roll_back(transaction)
                raise
            try:
                await transaction.commit()
            except Exception as error:
                raise translate(error) from error


async def _limited(raw: Any, limits: Mapping[str, str]) -> None:
    try:
        await set_local(raw, limits)
    except Exception as error:
        raise translate(error) from error


async def _roll_back(transaction: Any) -> None:
    """Roll back; what went wrong before is what the caller hears."""
    try:
        await transaction.rollback()
    except Exception:
        # A connection that is lost has rolled back by itself.
        log.warning("rollback failed; the connection is given up", exc_info=True)
