"""Connections of a pool, and transactions that the calls inside them take part in."""

import asyncio
import logging
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Self

from atom.postgres.database import set_local
from atom.postgres.errors import unavailable

log = logging.getLogger(__name__)


class Held:
    """The connection of a transaction; one statement at a time may use it."""

    __slots__ = ("lock", "open", "raw")

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.lock = asyncio.Lock()
        self.open = True


class Bound:
    """Lends connections: within a transaction that one's, else any of the pool."""

    def __init__(
        self,
        pool: Any,
        *,
        acquire_seconds: float,
        local: Mapping[str, str] | None = None,
    ) -> None:
        self.pool = pool
        self.local: Mapping[str, str] = local or {}  # what each transaction sets
        self.acquire_seconds = acquire_seconds
        self._held: ContextVar[Held | None] = ContextVar("held", default=None)

    def current(self) -> Held | None:
        """Return what the transaction around the caller holds.

        A task that outlives the transaction it was started in gets None.
        """
        held = self._held.get()
        return held if held is not None and held.open else None

    def bind(self, held: Held | None) -> None:
        """Make this what calls from the current context use."""
        self._held.set(held)

    async def acquire(self) -> Any:
        """Take a connection out of the pool.

        Raises:
            Unavailable: `client.silent` when none comes free in time.
        """
        try:
            return await self.pool.acquire(timeout=self.acquire_seconds)
        except TimeoutError as error:
            raise unavailable() from error

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend asyncpg's connection for one statement."""
        held = self.current()
        if held is not None:
            async with held.lock:
                yield held.raw
            return
        raw = await self.acquire()
        try:
            yield raw
        finally:
            await self.pool.release(raw)

    def transaction(self, **options: Any) -> "Transaction":
        """Return a transaction; `options` are asyncpg's (isolation, readonly, …)."""
        return Transaction(self, options)


class Transaction:
    """`async with`, or start, commit and rollback by hand. Inside another: a savepoint.

    Calls made in the same context run in it, also in tasks started from there; those
    wait for one another.
    """

    def __init__(self, bound: Bound, options: dict[str, Any]) -> None:
        self._bound = bound
        self._options = options
        self._held: Held | None = None
        self._owner = False
        self._inner: Any = None

    def __await__(self) -> Generator[Any, None, Self]:
        return self.start().__await__()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            return await self.commit()
        try:
            await self.rollback()
        except Exception:
            # A lost connection has rolled back; the first error is the one to hear.
            log.warning("rollback failed; the connection is given up", exc_info=True)

    async def start(self) -> Self:
        """Begin."""
        held = self._bound.current()
        if held is None:
            held, self._owner = Held(await self._bound.acquire()), True
        self._held = held
        self._inner = held.raw.transaction(**self._options)
        try:
            async with held.lock:
                await self._inner.start()
                if self._owner:
                    await set_local(held.raw, self._bound.local)
        except BaseException:
            await self._leave()
            raise
        if self._owner:
            self._bound.bind(held)
        return self

    async def commit(self) -> None:
        """Keep what was done."""
        await self._end("commit")

    async def rollback(self) -> None:
        """Undo what was done."""
        await self._end("rollback")

    async def _end(self, verb: str) -> None:
        held = self._held
        if held is None:
            raise RuntimeError("this transaction has not begun, or has ended")
        try:
            async with held.lock:
                await getattr(self._inner, verb)()
        finally:
            await self._leave()

    async def _leave(self) -> None:
        held, self._held = self._held, None
        if held is None or not self._owner:
            return
        held.open = False
        self._bound.bind(None)
        await self._bound.pool.release(held.raw)
