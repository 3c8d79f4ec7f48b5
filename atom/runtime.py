"""Joins ports and adapters: what is open, what was configured, who hears whom."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from multiprocessing import parent_process
from typing import Any

from fastapi import FastAPI

from atom import operation as operator
from atom.account.root import RootLogin
from atom.account.token import Decoder
from atom.adapter.memory import MemoryCounter, MemoryStore
from atom.adapter.redis import RedisCounter, RedisStore
from atom.adapter.users import CachedUsers
from atom.client.postgres import bounds
from atom.errors import ApiError, ConfigError
from atom.http.step.record import COLUMNS
from atom.observe.journal import PostgresJournal
from atom.port import Ports
from atom.postgres import pooler
from atom.postgres.catalog import Catalog
from atom.postgres.database import Database
from atom.postgres.notify import Bus
from atom.row.batch import Batches
from atom.row.scope import Rules
from atom.task import Tasks

log = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0  # for work that was begun
WRITE_SECONDS = 5.0  # for the log, should the database be away when we end


def closed(config: Mapping[str, Any]) -> Ports:
    """Return the ports of an application that has not started: no database."""
    size = config["config_cache_memory_max_mb"] * 1024 * 1024
    keys = (config["config_key_jwt"] or "").split(",")
    return Ports(
        config=config,
        clients={},
        tasks=Tasks(),
        counter=MemoryCounter(),
        stores={"inmemory": MemoryStore(bytes_max=size)},
        tokens=Decoder(tuple(key.strip() for key in keys)),
        rules=Rules(config),
        key_root=config["config_key_root"] or "",
    )


@asynccontextmanager
async def connected(
    config: Mapping[str, Any], clients: Mapping[str, Any]
) -> AsyncIterator[Ports]:
    """Give every port its adapter; at the end finish what was begun, write the log."""
    ports = closed(config)
    ports.clients = clients
    if config["config_redis_url_ratelimiter"]:
        ports.counter = RedisCounter(clients.get("client_redis_ratelimiter"))
    if config["config_redis_url"]:
        shared = RedisStore(clients.get("client_redis"))
        ports.stores = {**ports.stores, "redis": shared}
    ports.database = _database(config, clients["client_postgres_asyncpg_pool"])
    ports.database_read = ports.database
    if (replica := clients.get("client_postgres_read")) is not None:
        ports.database_read = _database(config, replica.pool)
    ports.users = users = CachedUsers(
        ports.database,
        max(
            config["config_limit_cache_users_api_access"],
            config["config_limit_cache_users_is_active"],
        ),
        seconds=config["config_token_expire_sec"],
    )
    ports.journal = journal = PostgresJournal(
        ports.database.pool,
        COLUMNS,
        batch=config["config_batch_log_api"],
        seconds=config["config_batch_log_api_sec"],
    )
    ports.batches = batches = Batches(
        ports.database,
        rows=config["config_batch_object_create"],
        wait_ms=config["config_batch_wait_ms"],
        lock_seconds=config["config_postgres_lock_timeout_sec"],
    )
    ports.bus = bus = Bus(pooler.direct_url(config), speak=ports.database.run)
    _listen(ports, bus, users)
    async with AsyncExitStack() as ending:  # each is done, whatever befalls another
        ending.push_async_callback(bus.close)
        ending.push_async_callback(journal.close, WRITE_SECONDS)
        ending.push_async_callback(batches.close, DRAIN_SECONDS)
        ending.push_async_callback(ports.tasks.drain, seconds=DRAIN_SECONDS)
        journal.start()
        await bus.start()
        if bus.is_deaf:
            raise pooler.deaf()
        yield ports


def _database(config: Mapping[str, Any], pool: Any) -> Database:
    return Database(pool, **bounds(config))


def _listen(ports: Ports, bus: Bus, users: CachedUsers) -> None:
    """Say who hears what: writes, users, schema, resets, and the bus's own silence."""
    memory = ports.stores["inmemory"]
    assert isinstance(memory, MemoryStore)

    def user_changed(value: str) -> None:
        users.forget(int(value) if value else None)

    async def coherent(known: bool) -> None:
        users.coherent = memory.coherent = known
        await memory.clear()
        if known and ports.database.catalog.tables:
            await operator.read_schema(ports)

    def written(table: str) -> None:
        memory.forget_tag(table)
        if (shared := ports.stores.get("redis")) is not None:
            ports.tasks.spawn(shared.drop(table), name=f"stale {table}")
        bus.note("table", table)

    ports.database.written = written
    bus.on("user", user_changed)
    bus.on("table", memory.forget_tag)
    bus.on("schema", lambda _: operator.read_schema(ports))
    bus.on("reset", lambda _: operator.start_over(ports))
    bus.lost.append(lambda: coherent(False))
    bus.regained.append(lambda: coherent(True))


def taken_up(app: FastAPI) -> Callable[[str, Any], None]:
    """Return what puts a client that answers late where it would have been."""

    def take(name: str, handle: Any) -> None:
        ports = app.state.ports
        setattr(app.state, name, handle)
        if name == "client_redis_ratelimiter":
            ports.counter.client = handle
        if name == "client_redis":
            ports.stores["redis"].client = handle
        if name == "client_postgres_read":
            replica = _database(ports.config, handle.pool)
            replica.catalog = ports.database.catalog
            ports.database_read = replica

    return take


def publish(
    app: FastAPI, config: Mapping[str, Any], clients: Mapping[str, Any], ports: Ports
) -> None:
    """Put what users know by name on `app.state`."""
    app.state.ports = ports
    for name, value in {**config, **clients}.items():
        setattr(app.state, name, value)

    def show(catalog: Catalog) -> None:
        app.state.cache_postgres_schema = operator.shown(catalog)
        app.state.cache_postgres_column_datatype = {
            name: column.datatype
            for table in catalog.tables.values()
            for name, column in table.columns.items()
        }

    ports.schema_read = show
    assert isinstance(ports.users, CachedUsers)
    app.state.cache_users_api_access = ports.users.api_access_view
    app.state.cache_users_is_active = ports.users.is_active_view


async def prepare(ports: Ports, config: Mapping[str, Any]) -> RootLogin | None:
    """Bring the database up to the declaration if that is ours to do; read it.

    Returns the root login when the root user was made just now.

    Raises:
        ConfigError: when the database does not take the declaration.
    """
    if not config["config_is_postgres_init"]:
        await operator.read_schema(ports)
        _tell_missing(ports, config)
        return None
    try:
        return await operator.schema_apply(ports, destructive=False)
    except ApiError as error:
        raise ConfigError([f"config_postgres_schema: {error.message}"]) from error


def _tell_missing(ports: Ports, config: Mapping[str, Any]) -> None:
    """Name the declared tables that are not there, once: a worker's parent has done."""
    declared = config["config_postgres_schema"].get("table", {})
    missing = [name for name in declared if name not in ports.database.catalog.tables]
    if missing and parent_process() is None:
        log.warning(
            "the database lacks tables that are declared: %s. `python main.py schema "
            "apply` makes them, or config_is_postgres_init=1.",
            ", ".join(missing),
        )
