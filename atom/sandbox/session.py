"""A transaction as one of the logins, with its rights settled just before."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from atom.errors import Unavailable
from atom.postgres.database import Connection, Database
from atom.postgres.errors import translate
from atom.sandbox.grant import Rights
from atom.sandbox.role import Role, password

log = logging.getLogger(__name__)

CONNECTIONS = 2  # of each login, in each process
WAIT_SECONDS = 10.0
IDLE_SECONDS = 60.0
LIMITS = "select set_config('statement_timeout', $1, true)"
SETTINGS = {
    "application_name": "atom sandbox",
    "timezone": "UTC",
    "search_path": "public",
    "jit": "off",
}


class Sandbox:
    """Runs SQL that callers wrote, on connections that have no rights but theirs."""

    def __init__(
        self, database: Database, url: str, secret: frozenset[str], *, key: str = ""
    ) -> None:
        self.database = database
        self.secret = secret
        self._url, self._key = url, key  # of a URL without a password
        self._rights: dict[Role, Rights] = {}
        self._pools: dict[Role, Any] = {}

    async def close(self) -> None:
        """Close its connections."""
        for pool in self._pools.values():
            pool.terminate()
        self._pools.clear()

    @asynccontextmanager
    async def transaction(self, role: Role, *, timeout_ms: int) -> AsyncIterator[Any]:
        """Yield a connection of a login in a transaction, rolled back unless it writes.

        Raises:
            Unavailable: `query.closed` when there is no such login, with the cure;
                `query.busy` when all its connections are in use.
        """
        rights = await self._settled(role)
        raw = await self._acquire(role, rights)
        try:
            transaction = raw.transaction(readonly=not role.writes)
            await transaction.start()
            try:
                await raw.fetchval(LIMITS, str(timeout_ms))
                yield raw
            except BaseException:
                await _roll_back(transaction)
                raise
            await (transaction.commit() if role.writes else transaction.rollback())
        finally:
            await self._pools[role].release(raw)

    async def _settled(self, role: Role) -> Rights:
        """Return the rights of a login, as they should be now."""
        if role not in self._rights:
            name = role.name(await self.database.value("select current_database()"))
            word = password(self._url, self._key, name)
            self._rights[role] = Rights(role, name, word, self.secret)
        rights = self._rights[role]
        await self._apart(rights.settle)
        return rights

    async def _apart(self, change: Callable[[Connection], Awaitable[Any]]) -> None:
        """Change rights in a transaction that is committed before the login needs them.

        In a task: the transaction of the caller, if any, is committed later.
        """

        async def changed() -> None:
            async with self.database.transaction() as connection:
                await change(connection)

        await asyncio.create_task(changed(), name="sandbox rights")

    async def _acquire(self, role: Role, rights: Rights) -> Any:
        import asyncpg

        pool = self._pools.get(role)
        if pool is None:
            pool = self._pools[role] = asyncpg.create_pool(
                self._url,
                user=rights.name,
                password=rights.password,
                min_size=0,
                max_size=CONNECTIONS,
                max_inactive_connection_lifetime=IDLE_SECONDS,
                statement_cache_size=0,
                server_settings=SETTINGS,
            )
        try:
            await pool
            try:
                return await pool.acquire(timeout=WAIT_SECONDS)
            except asyncpg.InvalidAuthorizationSpecificationError:
                # The password that its own is derived from has changed.
                await self._apart(rights.reset_password)
                return await pool.acquire(timeout=WAIT_SECONDS)
        except TimeoutError as error:
            raise Unavailable(
                "Other statements are running.",
                code="query.busy",
                hint="Try again in a moment.",
            ) from error
        except Exception as error:
            raise translate(error) from error


async def _roll_back(transaction: Any) -> None:
    """Roll back; the error that came first is the one the caller gets."""
    try:
        await transaction.rollback()
    except Exception:
        # A connection that is lost has rolled back by itself.
        log.warning("rollback failed; the connection is closed", exc_info=True)
