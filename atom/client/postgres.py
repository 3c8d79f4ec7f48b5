"""PostgreSQL: one pool on the primary, one on the replica, and calls on top of them."""

from typing import Any

from atom.client import Client, Config, Live
from atom.client.bound import Bound, Transaction
from atom.client.named import Named
from atom.sql.run import reset

HOUSE = "atom"  # the schema of our own tables

VERBS = {
    *("execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval"),
    *("copy_from_query", "copy_from_table", "copy_records_to_table", "copy_to_table"),
}


def server_settings(config: Config) -> dict[str, str]:
    """Return what each connection asks of the server, in PostgreSQL's own words.

    Behind a transaction pooler (statement cache 0) only what PgBouncer passes on.
    """
    always = {"application_name": "atom", "timezone": "UTC"}
    if not config.get("config_postgres_statement_cache_size", 1024):
        return always
    idle = config.get("config_postgres_idle_transaction_timeout_sec") or 60.0
    command = config.get("config_postgres_command_timeout_sec") or 30.0
    return always | {
        "jit": "off",
        "statement_timeout": str(int(command * 1000)),
        "idle_in_transaction_session_timeout": str(int(idle * 1000)),
    }


async def open_pool(url: str, config: Config) -> Any:
    """Open a pool and prove that the server answers.

    A role called atom would find Atom's own schema before public.
    """
    settings = server_settings(config)
    pool, role = await _open_as(url, config, settings)
    if role == HOUSE:
        await pool.close()
        pool, _ = await _open_as(url, config, settings | {"search_path": "public"})
    return pool


async def _open_as(
    url: str, config: Config, settings: dict[str, str]
) -> tuple[Any, str]:
    from asyncpg import create_pool

    pool = await create_pool(
        url,
        min_size=config["config_postgres_min_connection"],
        max_size=config["config_postgres_max_connection"],
        reset=reset,
        timeout=config.get("config_postgres_connect_timeout_sec") or 5.0,
        command_timeout=config.get("config_postgres_command_timeout_sec") or 30.0,
        statement_cache_size=config.get("config_postgres_statement_cache_size", 1024),
        server_settings=settings,
    )
    try:
        return pool, await pool.fetchval("select current_user::text")
    except BaseException:
        pool.terminate()
        raise


def acquire_seconds(config: Config) -> float:
    """Return how long a caller waits for a connection."""
    return float(config.get("config_postgres_acquire_timeout_sec") or 5.0)


class Pooled:
    """Takes the calls of an asyncpg connection, each on any connection of the pool.

    `async with client.transaction():` holds one; calls inside use it.
    """

    def __init__(self, pool: Any, *, acquire_seconds: float = 5.0) -> None:
        self.pool = pool
        self._bound = Bound(pool, acquire_seconds=acquire_seconds)

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
    pool = await open_pool(config["config_postgres_url_read"], config)
    return Named(pool, acquire_seconds=acquire_seconds(config))


async def _name(config: Config, live: Live) -> Any:
    pool = live["client_postgres_asyncpg_pool"]
    return Named(pool, acquire_seconds=acquire_seconds(config))


async def _pooled(config: Config, live: Live) -> Any:
    pool = live["client_postgres_asyncpg_pool"]
    return Pooled(pool, acquire_seconds=acquire_seconds(config))


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
NAMED = Client(
    name="client_postgres",
    needs=PRIMARY,
    package="asyncpg",
    open=_name,
    probe=lambda named: named.pool.fetchval("select 1"),
    after=POOL.name,
    required=True,
)
CONNECTION = Client(
    name="client_postgres_asyncpg",
    needs=PRIMARY,
    package="asyncpg",
    open=_pooled,
    probe=lambda pooled: pooled.pool.fetchval("select 1"),
    after=POOL.name,
    required=True,
)
READ = Client(
    name="client_postgres_read",
    needs=("config_postgres_url_read",),
    package="asyncpg",
    open=_open_read,
    close=lambda named: named.pool.close(),
    probe=lambda named: named.pool.fetchval("select 1"),
)
