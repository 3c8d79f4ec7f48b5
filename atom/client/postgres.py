"""PostgreSQL: one pool on the primary, one on the replica, and calls on top of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from atom.client import Client, Config, Live
from atom.config.parse import names
from atom.config.view import view
from atom.errors import ApiError
from atom.postgres import pooler
from atom.postgres.catalog import ID
from atom.postgres.database import Database
from atom.postgres.driver import RawPool
from atom.postgres.errors import wordings
from atom.postgres.lease import reset, reset_pooled
from atom.postgres.named import Named, Pooled
from atom.postgres.replica import Replica, Replicas, open_replicas
from atom.reply import dump
from atom.task import cores

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
        long_max=cores() // 2 // (config.get("config_workers") or 1) or 1,
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
    """Open every replica; one that is away does not keep the others from being read.

    Raises:
        ConfigError: when a pooler in between does not go with config.
        Exception: of the first, when none can be opened.
    """
    key = READ_KEY
    primary = live.get(NAMED.name)
    given = view(ReplicaConfig, config)
    replicas = await open_replicas(
        [
            Replica(place(url), partial(_open_replica, url, config, key))
            for url in names(given.postgres_url_read)
        ],
        None if primary is None else primary.database,
        lag_seconds=given.postgres_read_lag_max_sec,
        own_writes_seconds=given.postgres_read_own_writes_sec,
    )
    return Named(replicas)


async def _open_replica(url: str, config: Config, key: str) -> Database:
    return opened_database(config, await open_pool(url, config, key))


def place(url: str) -> str:
    """Return host and port of a URL, as far as it can be read.

    >>> place("postgresql://me:secret@db:5433/x")
    'db:5433'
    """
    return url.rpartition("@")[2].partition("/")[0]


async def examine_read(named: Any) -> str:
    """Return how many replicas are read, and by how much they lag."""
    found: Replicas = named.database
    version = await named.database.value("select current_setting('server_version')")
    well = [each for each in found.replicas if each.is_well]
    lag = max((each.lag for each in well), default=0.0)
    count = f"{len(well)} of {len(found.replicas)} replicas"
    return f"PostgreSQL {version}, {count} are read, {lag:.1f} s behind"


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
READ_KEY = "config_postgres_url_read"


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """What config sets for reads on replicas."""

    postgres_url_read: str
    postgres_read_lag_max_sec: float
    postgres_read_own_writes_sec: float


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
    needs=(READ_KEY,),
    package="asyncpg",
    open=_open_read,
    close=lambda named: named.database.close(),
    probe=lambda named: named.database.value("select 1"),
    examine=examine_read,
    after=NAMED.name,
)
