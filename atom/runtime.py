"""Open what a process needs and close it again: databases, clients, ports, schema.

A server, a command and a script all start from `Runtime`; none of it needs FastAPI.
"""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, TypeVar

import embedded
from atom import coherence, malloc, operation
from atom.account.allow import faults
from atom.account.config import AccountConfig
from atom.account.role import Roles
from atom.account.root import RootLogin
from atom.account.token import Decoder
from atom.adapter.memory import MemoryCounter, MemoryStore
from atom.adapter.redis import RedisCounter, RedisStore
from atom.adapter.users import CachedUsers
from atom.backoff import Backoff
from atom.client import Client, Live, opened
from atom.client.all import CLIENTS
from atom.client.postgres import FEW, open_pool, opened_database
from atom.config.resolve import Config
from atom.config.view import view
from atom.errors import ApiError, ConfigError
from atom.event.declaration import Events, declared
from atom.hook import NO_HOOKS, Hooks
from atom.http.config import HttpConfig
from atom.http.socket import OpenSockets
from atom.observe import usage
from atom.observe.journal import COLUMNS, PostgresJournal
from atom.port import Counter, Ports, Store
from atom.postgres import catalog, pooler
from atom.postgres.catalog import Catalog
from atom.postgres.database import Database
from atom.postgres.notify import Bus
from atom.row import rule_check
from atom.row.batch import Batches
from atom.row.hooked import hooked
from atom.row.scope import RowConfig
from atom.rpc.declaration import Rpc
from atom.rpc.statement import Statements
from atom.sandbox.session import Sandbox
from atom.task import Tasks

log = logging.getLogger(__name__)

DRAIN_SECONDS = 10.0  # for tasks and batches that have begun
WAITS = (0.25, 1.0)  # seconds until a database is tried again: first, longest
WRITE_SECONDS = 5.0  # for the request log, if the database is down at the end

Result = TypeVar("Result")


class Runtime:
    """Everything one process has open; by name on `state`, as on `app.state`.

    `async with runtime:` opens it; `with runtime:` does so in a script that is not
    asynchronous, which then runs its coroutines by `runtime.run`. A server passes its
    `app.state` to be filled.
    """

    def __init__(
        self,
        config: Config,
        root: Path,
        *,
        state: Any = None,
        clients: tuple[Client, ...] = (),
        hooks: Hooks = NO_HOOKS,
        rpcs: tuple[Rpc, ...] = (),
        events: Events | None = None,
        on_login: Callable[[Config, RootLogin], None] | None = None,
    ) -> None:
        self.config = config
        self.root = root
        self.state = SimpleNamespace() if state is None else state
        self.clients = CLIENTS + clients
        self.hooks = hooks
        self.rpcs = rpcs
        self.events = declared(config, []) if events is None else events
        self.on_login = on_login  # called when the root user has been created
        self.login: RootLogin | None = None  # of the root user, if just created
        self.is_embedded = False
        self._has_servers = False
        self._opening: AbstractAsyncContextManager[Ports] | None = None
        self._runner: asyncio.Runner | None = None

    @property
    def ports(self) -> Ports:
        """The ports, once it is open."""
        ports: Ports = self.state.ports
        return ports

    @contextmanager
    def servers(self, *, join: bool, workers: int) -> Iterator[dict[str, str]]:
        """Run the embedded servers that config lacks; `config` then names them.

        Raises:
            ConfigError: as `embedded.provided`.
        """
        if self._has_servers:
            yield {}
            return
        given = self.config
        with embedded.provided(given, self.root, join=join, workers=workers) as found:
            self._has_servers = True
            self.config = given.replace(found)
            if self.config["config_postgres_url"] != given["config_postgres_url"]:
                self.is_embedded = True
                self.config = self.config.replace({"config_is_postgres_init": True})
            try:
                yield found
            finally:
                self.config, self._has_servers = given, False

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Ports]:
        """Open everything in order; at the end close it in reverse.

        Raises:
            ConfigError: when the primary database cannot be used as configured.
        """
        malloc.use_one_arena()
        with self.servers(join=True, workers=1):
            if wait := self.config["config_startup_wait_sec"]:
                url = self.config["config_postgres_url"]
                seconds = self.config["config_postgres_connect_timeout_sec"]
                await require_database(url, seconds, wait=wait)
            late = _Late(self.state)
            async with (
                opened(self.clients, self.config, on_open=late.adopt) as clients,
                connected(
                    self.config, clients, self.state, late, self.rpcs, self.events
                ) as ports,
            ):
                ports.rules.hooks = hooked(self.hooks, self)
                self.login = await prepare(ports)
                if self.login is not None and self.on_login is not None:
                    self.on_login(self.config, self.login)
                yield ports

    async def __aenter__(self) -> Self:
        self._opening = self.opened()
        await self._opening.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        assert self._opening is not None
        await self._opening.__aexit__(*error)

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        try:
            self._runner.run(self.__aenter__())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        assert self._runner is not None
        try:
            self._runner.run(self.__aexit__(*error))
        finally:
            self._runner.close()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end and return its result, inside `with runtime:`."""
        if self._runner is None:
            raise RuntimeError("run() needs `with function_runtime() as app:`")
        return self._runner.run(work)


async def require_database(
    url: str, seconds: float, key: str = "config_postgres_url", *, wait: float = 0.0
) -> None:
    """Connect to a database once; for up to `wait` seconds until it answers.

    Raises:
        ConfigError: with the cause, without the password.
    """
    import asyncpg

    deadline = time.monotonic() + wait
    backoff = Backoff(*WAITS)
    while True:
        try:
            connection = await asyncpg.connect(url, timeout=seconds)
        except (OSError, ValueError, asyncpg.PostgresError, TimeoutError) as error:
            starting = (OSError, TimeoutError, asyncpg.CannotConnectNowError)
            if isinstance(error, starting) and time.monotonic() < deadline:
                log.info("waiting for the database of %s", key)
                await backoff.rest()
                continue
            cause = str(error) or type(error).__name__
            text = f"{key}: the database does not answer: {cause}"
            raise ConfigError([text]) from None
        await connection.close()
        return


def freeze_memory() -> None:
    """Exclude what is loaded from garbage collection, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def open_sandbox(primary: Database, config: Config, url: str) -> Sandbox:
    """Build what runs SQL of callers; it connects when there is some."""
    secret = RowConfig(config).secret
    url = config.get(pooler.DIRECT) or url
    return Sandbox(primary, url, secret, key=config["config_key_jwt"].split(",")[0])


@asynccontextmanager
async def command_database(config: Config, url: str) -> AsyncIterator[Database]:
    """Open a small pool for one command, and read the catalog."""
    pool = await open_pool(url, config.replace(FEW))
    try:
        database = opened_database(config, pool)
        database.catalog = await catalog.read(database)
        yield database
    finally:
        await pool.close()


@dataclass(frozen=True, slots=True)
class PortConfig:
    """What config sets for the ports."""

    postgres_url: str
    postgres_lock_timeout_sec: float
    redis_url: str | None
    redis_url_ratelimiter: str | None
    cache_memory_max_mb: int
    limit_cache_users_api_access: int
    limit_cache_users_is_active: int
    token_expire_sec: int
    batch_log_api: int
    batch_log_api_sec: float
    batch_object_create: int
    batch_wait_ms: int
    key_jwt: str
    key_root: str
    role: Mapping[str, str]


class _Late:
    """Puts a client that opens after the start where it belongs."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.counter: RedisCounter | None = None
        self.store: RedisStore | None = None

    def adopt(self, name: str, handle: Any) -> None:
        """Take over a client that answers now."""
        setattr(self.state, name, handle)
        if name == "client_redis_ratelimiter" and self.counter is not None:
            self.counter.client = handle
        if name == "client_redis" and self.store is not None:
            self.store.client = handle
        if name == "client_postgres_read":
            ports: Ports = self.state.ports
            handle.database.catalog = ports.database.catalog
            ports.database_read = handle.database


@asynccontextmanager
async def connected(
    config: Config,
    clients: Live,
    state: Any,
    late: _Late,
    rpcs: tuple[Rpc, ...],
    events: Events,
) -> AsyncIterator[Ports]:
    """Build the ports; at the end finish work that has begun and write the log."""
    given = view(PortConfig, config)
    primary: Database = clients["client_postgres"].database
    replica = clients.get("client_postgres_read")
    memory = MemoryStore(bytes_max=given.cache_memory_max_mb * 1024 * 1024)
    stores: dict[str, Store] = {"inmemory": memory}
    counter: Counter = MemoryCounter()
    if given.redis_url_ratelimiter:
        counter = late.counter = RedisCounter(clients.get("client_redis_ratelimiter"))
    if given.redis_url:
        stores["redis"] = late.store = RedisStore(clients.get("client_redis"))
    users = CachedUsers(
        primary,
        max(
            given.limit_cache_users_api_access,
            given.limit_cache_users_is_active,
        ),
        seconds=given.token_expire_sec,
    )
    journal = PostgresJournal(
        primary.pool,
        COLUMNS,
        batch=given.batch_log_api,
        seconds=given.batch_log_api_sec,
        on_written=primary.written,
    )
    batches = Batches(
        primary,
        rows=given.batch_object_create,
        wait_ms=given.batch_wait_ms,
        lock_seconds=given.postgres_lock_timeout_sec,
    )
    bus = Bus(pooler.direct_url(config), speak=primary.run)
    sandbox = open_sandbox(primary, config, given.postgres_url)
    rules = RowConfig(config)
    rules.evented = events.tables
    read = primary if replica is None else replica.database
    ports = Ports(
        config=config,
        http=view(HttpConfig, config),
        account=view(AccountConfig, config),
        clients=clients,
        tasks=Tasks(),
        counter=counter,
        stores=stores,
        users=users,
        sockets=OpenSockets(),
        tokens=Decoder([key.strip() for key in given.key_jwt.split(",")]),
        journal=journal,
        database=primary,
        database_read=read,
        rules=rules,
        roles=Roles(given.role, primary),
        bus=bus,
        batches=batches,
        events=events,
        sandbox=sandbox,
        rpc=Statements(rpcs, primary, read, rules),
        key_root=given.key_root,
        schema_read=_shows_schema(state),
    )
    for each in (primary, ports.database_read):
        each.reread = partial(operation.heal, ports)
    coherence.keep(ports, memory, users, late.store)
    _publish(state, config, clients, ports, users)
    async with AsyncExitStack() as ending:  # each runs, even if another fails
        ending.push_async_callback(bus.close)
        ending.push_async_callback(sandbox.close)
        ending.push_async_callback(journal.close, WRITE_SECONDS)
        ending.push_async_callback(batches.close, DRAIN_SECONDS)
        ending.push_async_callback(ports.tasks.drain, seconds=DRAIN_SECONDS)
        await ending.enter_async_context(usage.watched(ports))
        journal.start()
        await bus.start()
        if not bus.is_receiving:
            raise ConfigError([pooler.DEAF])
        yield ports


def _shows_schema(state: Any) -> Any:
    """Return the function that puts each new catalog on `state`, for users."""

    def show(live: Catalog) -> None:
        state.cache_postgres_schema = operation.shown(live)
        state.cache_postgres_column_datatype = {
            name: column.datatype
            for table in live.tables.values()
            for name, column in table.columns.items()
        }

    return show


def _publish(
    state: Any, config: Config, clients: Live, ports: Ports, users: CachedUsers
) -> None:
    """Put on `state` what users find there by name."""
    state.ports = ports
    for name, value in {**config, **clients}.items():
        setattr(state, name, value)
    state.cache_users_api_access = users.api_access_view
    state.cache_users_is_active = users.is_active_view


async def prepare(ports: Ports) -> RootLogin | None:
    """Apply the declared schema if config asks for it, and read the live one.

    Returns the root login when the root user was created just now.

    Raises:
        ConfigError: when the declaration cannot be applied, or a role be asked for.
    """
    login = None
    if ports.config["config_is_postgres_init"]:
        try:
            login = await operation.schema_apply(ports, destructive=False)
        except ApiError as error:
            raise ConfigError([f"config_postgres_schema: {error.message}"]) from error
    else:
        await operation.read_schema(ports)
        _warn_of_missing(ports)
    users = ports.database.catalog.tables.get("users")
    schema = ports.config["config_postgres_schema"]
    tables = {**schema.get("table", {}), **schema.get("view", {})}
    problems = faults(users, ports.account) + await ports.roles.prepare()
    problems += await rule_check.problems(ports.database, ports.rules.policy, tables)
    if problems := problems + await ports.rpc.prepare():
        raise ConfigError(problems)
    return login


def _warn_of_missing(ports: Ports) -> None:
    """Log the declared tables that do not exist, once for all workers."""
    schema = ports.config["config_postgres_schema"]
    declared = (*schema.get("table", {}), *schema.get("view", {}))
    missing = [name for name in declared if name not in ports.database.catalog.tables]
    if missing and parent_process() is None:
        log.warning(
            "the database lacks tables that are declared: %s. `python main.py schema "
            "apply` makes them, or config_is_postgres_init=1.",
            ", ".join(missing),
        )
