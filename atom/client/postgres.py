"""PostgreSQL: one pool on the primary, one on the replica, and calls on top of them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from atom.client import Client, Config, Live
from atom.postgres import pooler
from atom.postgres.database import reset, reset_pooled
from atom.postgres.named import Named
from atom.postgres.transaction import Bound, Transaction

VERBS = {
    *("execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval"),
    *("copy_from_query", "copy_from_table", "copy_records_to_table", "copy_to_table"),
}

# For a command, which does one thing at a time.
FEW = {"config_postgres_min_connection": 1, "config_postgres_max_connection": 2}


def server_settings(config: Config) -> dict[str, str]:
    """Return what each connection asks of the server, in PostgreSQL's own words.

    A transaction pooler passes on, and keeps for each of its clients, only some.
    """
    always = {"application_name": "atom", "timezone": "UTC"}
    if pooler.is_pooled(config):
        return always
    return always | {"jit": "off"} | pooler.limits(config)


async def open_pool(url: str, config: Config, key: str = pooler.URL) -> Any:
    """Open a pool and prove that the server answers, as config relies on it to.

    A role called atom would find Atom's own schema before public.

    Raises:
        ConfigError: when a pooler in between does not go with config.
    """
    settings = server_settings(config)
    pool, role = await _open_as(url, config, settings, key)
    if role == pooler.OWN_SCHEMA and not pooler.is_pooled(config):
        await pool.close()
        settings |= {"search_path": "public"}
        pool, _ = await _open_as(url, config, settings, key)
    return pool


async def _open_as(
    url: str, config: Config, settings: dict[str, str], key: str
) -> tuple[Any, str]:
    from asyncpg import PostgresError, connect, create_pool

    each = {
        "timeout": config.get("config_postgres_connect_timeout_sec") or 5.0,
        "command_timeout": config.get("config_postgres_command_timeout_sec") or 30.0,
        "statement_cache_size": config.get(pooler.CACHE, 1024),
        "server_settings": settings,
    }
    pool = None
    try:
        pool = await create_pool(
            url,
            min_size=config["config_postgres_min_connection"],
            max_size=config["config_postgres_max_connection"],
            reset=reset_pooled if pooler.is_pooled(config) else reset,
            **each,
        )
        async with pool.acquire() as first:
            another = partial(connect, url, **each)
            return pool, await pooler.examine(first, config, key, another)
    except BaseException as error:
        if pool is not None:
            pool.terminate()
        refusal = isinstance(error, PostgresError) and pooler.refused(error, key)
        if refusal:
            raise refusal from None
        raise


def bounds(config: Config) -> dict[str, Any]:
    """Return how long a caller waits, and what a transaction has to set."""
    seconds = float(config.get("config_postgres_acquire_timeout_sec") or 5.0)
    return {"acquire_seconds": seconds, "local": pooler.local(config)}


class Pooled:
    """Takes the calls of an asyncpg connection, each on any connection of the pool.

    `async with client.transaction():` holds one; calls inside use it.
    """

    def __init__(
        self,
        pool: Any,
        *,
        acquire_seconds: float = 5.0,
        local: Mapping[str, str] | None = None,
    ) -> None:
        self.pool = pool
        self._bound = Bound(pool, acquire_seconds=acquire_seconds, local=local)

    def __getattr__(self, verb: str) -> Any:
        if verb not in VERBS:
            raise AttributeError(
                f"no {verb!r} on a pooled connection; use client_postgres_asyncpg_pool"
            )

        async def call(*values: Any, **options: Any) -> Any:
            async with self._bound.connection() as connection:
                return await getattr(connection, verb)(*values, **options)

        return call

    def transaction(self, **options: Any) -> Transaction:
        """Return a transaction that the calls made inside it take part in."""
        return self._bound.transaction(**options)


async def _open_primary(config: Config, live: Live) -> Any:
    return await open_pool(config["config_postgres_url"], config)


async def _open_read(config: Config, live: Live) -> Any:
    key = "config_postgres_url_read"
    pool = await open_pool(config[key], config, key)
    return Named(pool, **bounds(config))


def _on_primary(name: str, kind: type[Named | Pooled]) -> Client:
    """Declare a client whose calls go to the pool of the primary."""

    async def wrap(config: Config, live: Live) -> Any:
        return kind(live[POOL.name], **bounds(config))

    return Client(
        name=name,
        needs=PRIMARY,
        package="asyncpg",
        open=wrap,
        probe=lambda handle: handle.pool.fetchval("select 1"),
        after=POOL.name,
        required=True,
    )


PRIMARY = ("config_postgres_url",)

POOL = Client(
    name="client_postgres_asyncpg_pool",
    needs=PRIMARY,
    package="asyncpg",
    open=_open_primary,
    close=lambda pool: pool.close(),
    probe=lambda pool: pool.fetchval("select 1"),
    required=True,
)
NAMED = _on_primary("client_postgres", Named)
CONNECTION = _on_primary("client_postgres_asyncpg", Pooled)
READ = Client(
    name="client_postgres_read",
    needs=("config_postgres_url_read",),
    package="asyncpg",
    open=_open_read,
    close=lambda named: named.pool.close(),
    probe=lambda named: named.pool.fetchval("select 1"),
)
