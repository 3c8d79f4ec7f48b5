"""PostgreSQL: one pool on the primary, one on the replica, and calls on top of them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from atom.client import Client, Config, Live
from atom.errors import ApiError
from atom.postgres import pooler
from atom.postgres.catalog import ID
from atom.postgres.database import Database
from atom.postgres.driver import RawPool
from atom.postgres.errors import wordings
from atom.postgres.lease import reset, reset_pooled
from atom.postgres.named import Named, Pooled
from atom.reply import dump

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


async def open_pool(url: str, config: Config, key: str = pooler.URL) -> RawPool:
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


async def _take_objects_for_jsonb(connection: Any) -> None:
    """Have jsonb come as objects, and take objects; text is taken for JSON already."""

    def encode(value: Any) -> str:
        return value if isinstance(value, str) else dump(value).decode()

    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=encode, decoder=orjson.loads
    )


async def _open_as(
    url: str, config: Config, settings: dict[str, str], key: str
) -> tuple[RawPool, str]:
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
            init=_take_objects_for_jsonb,
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


def opened_database(config: Config, pool: RawPool) -> Database:
    """Return the database of a pool, with the limits and the wordings of config."""
    database = Database(
        pool,
        acquire_seconds=float(config.get("config_postgres_acquire_timeout_sec") or 5.0),
        statements_max=config.get(pooler.CACHE, 1024),
        local=pooler.limits(config) if pooler.is_pooled(config) else {},
        wordings=wordings(config.get("config_error") or {}, []),
    )
    views = (config.get("config_postgres_schema") or {}).get("view", {})
    database.views = {name: view.get("key", ID) for name, view in views.items()}
    return database


async def _open_primary(config: Config, live: Live) -> Any:
    return Named(
        opened_database(config, await open_pool(config["config_postgres_url"], config))
    )


async def _open_read(config: Config, live: Live) -> Any:
    key = "config_postgres_url_read"
    return Named(opened_database(config, await open_pool(config[key], config, key)))


def _of_primary(name: str, build: Callable[[Database], Any]) -> Client:
    """Declare a client that is another view of the primary database."""

    async def view(config: Config, live: Live) -> Any:
        return build(live[NAMED.name].database)

    return Client(
        name=name,
        needs=PRIMARY,
        package="asyncpg",
        open=view,
        probe=live_probe,
        after=NAMED.name,
        required=True,
    )


async def live_probe(handle: Any) -> None:
    """Ask the server for an answer."""
    await getattr(handle, "pool", handle).fetchval("select 1")


async def examine_primary(named: Any) -> str:
    """Return the version of the server.

    Raises:
        ApiError: when it takes no writes, or its role may not create tables.
    """
    found = await named.pool.fetchrow(EXAMINE)
    if found["is_replica"]:
        raise _refused(
            "The server is a replica, which takes no writes.",
            "Set config_postgres_url to the primary, this one to "
            "config_postgres_url_read.",
        )
    if not found["may_create"]:
        raise _refused(
            f"{found['role']} may not create tables in schema public.",
            f"As an administrator: grant create on schema public to {found['role']};",
        )
    return f"PostgreSQL {found['version']}"


def _refused(message: str, hint: str) -> ApiError:
    return ApiError(message, code="client.refused", status=502, hint=hint)


EXAMINE = """
select current_setting('server_version') as version, quote_ident(current_user) as role,
  pg_is_in_recovery() as is_replica,
  coalesce(has_schema_privilege('public', 'create'), false) as may_create
"""
PRIMARY = ("config_postgres_url",)

NAMED = Client(
    name="client_postgres",
    needs=PRIMARY,
    package="asyncpg",
    open=_open_primary,
    close=lambda named: named.pool.close(),
    probe=live_probe,
    examine=examine_primary,
    required=True,
)
CONNECTION = _of_primary("client_postgres_asyncpg", Pooled)
POOL = _of_primary("client_postgres_asyncpg_pool", lambda database: database.pool)
READ = Client(
    name="client_postgres_read",
    needs=("config_postgres_url_read",),
    package="asyncpg",
    open=_open_read,
    close=lambda named: named.pool.close(),
    probe=live_probe,
)
