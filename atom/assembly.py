"""Build the ports of a process from config and open clients, and end their work."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from atom import coherence, operation
from atom.account.api_key import ApiKeys
from atom.account.claim import followed
from atom.account.config import AccountConfig
from atom.account.password import set_cost
from atom.account.role import Roles
from atom.account.security_event import SecurityLog
from atom.account.token import Decoder
from atom.adapter.memory import MemoryCounter, MemoryStore
from atom.adapter.redis import RedisCounter, RedisStore
from atom.adapter.users import CachedUsers
from atom.aws.call import Aws, AwsConfig
from atom.client import Live
from atom.config.resolve import Config
from atom.config.view import view
from atom.errors import ConfigError
from atom.event.declaration import Events
from atom.file import FileConfig, Files, columns
from atom.http.config import HttpConfig
from atom.http.socket import OpenSockets
from atom.mail.publish import Mailer
from atom.observe import usage
from atom.observe.journal import COLUMNS, PostgresJournal
from atom.port import Counter, Ports, Store
from atom.postgres import pooler
from atom.postgres.catalog import Catalog
from atom.postgres.database import Database
from atom.postgres.notify import Bus
from atom.queue.all import Brokers
from atom.queue.handler import NO_HANDLERS
from atom.realtime.config import StreamConfig
from atom.realtime.feed import Feed
from atom.realtime.topic import Topics
from atom.retention import kept_short
from atom.row.batch import Batches
from atom.row.scope import RowConfig
from atom.rpc.declaration import Rpc
from atom.rpc.statement import Statements
from atom.sandbox.session import Sandbox
from atom.task import Tasks

DRAIN_SECONDS = 10.0  # for tasks and batches that have begun
WRITE_SECONDS = 5.0  # for the request log, if the database is down at the end


def open_sandbox(primary: Database, config: Config, url: str) -> Sandbox:
    """Build what runs SQL of callers; it connects when there is some."""
    secret = RowConfig(config).secret
    url = config.get(pooler.DIRECT) or url
    return Sandbox(primary, url, secret, key=config["config_key_jwt"].split(",")[0])


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
    token_key_list: tuple[str, ...]
    batch_log_api: int
    batch_log_api_sec: float
    batch_object_create: int
    batch_wait_ms: int
    key_jwt: str
    key_root: str
    role: Mapping[str, str]


class Late:
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
            coherence.read_from(self.state.ports, handle.database)


@asynccontextmanager
async def connected(
    config: Config,
    clients: Live,
    state: Any,
    late: Late,
    rpcs: tuple[Rpc, ...],
    events: Events,
    mailer: Mailer,
    root: Path,
) -> AsyncIterator[Ports]:
    """Build the ports; at the end finish work that has begun and write the log."""
    given = view(PortConfig, config)
    accounts = view(AccountConfig, config)
    set_cost(accounts)
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
        claims=followed(given.token_key_list),
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
    tasks = Tasks()
    sandbox = open_sandbox(primary, config, given.postgres_url)
    rules = RowConfig(config)
    services = Aws(clients, view(AwsConfig, config))
    files = Files(view(FileConfig, config), root, services, primary)
    rules.policy.files = columns(config)
    rules.evented = (
        events.tables | rules.policy.declared.audited | rules.policy.files.keys()
    )
    ports = Ports(
        config=config,
        http=view(HttpConfig, config),
        account=accounts,
        clients=clients,
        tasks=tasks,
        counter=counter,
        stores=stores,
        users=users,
        sockets=OpenSockets(),
        tokens=Decoder([key.strip() for key in given.key_jwt.split(",")]),
        api_keys=ApiKeys(primary, counter, tasks),
        journal=journal,
        security=SecurityLog(primary),
        database=primary,
        database_read=primary,
        rules=rules,
        roles=Roles(given.role, primary),
        bus=bus,
        batches=batches,
        events=events,
        mailer=mailer,
        sandbox=sandbox,
        rpc=Statements(rpcs, primary, primary, rules),
        brokers=Brokers(clients, config),
        topics=Topics(primary, bus),
        feed=Feed(primary, bus, view(StreamConfig, config)),
        handlers=NO_HANDLERS,
        key_root=given.key_root,
        aws=services,
        files=files,
        schema_read=_shows_schema(state),
        wrote=coherence.ignore,
    )
    primary.reread = partial(operation.heal, ports)
    coherence.keep(ports, memory, users, late.store)
    if replica is not None:
        coherence.read_from(ports, replica.database)
    _publish(state, config, clients, ports, users)
    async with AsyncExitStack() as ending:  # each runs, even if another fails
        ending.push_async_callback(bus.close)
        ending.push_async_callback(ports.feed.close)
        ending.callback(ports.topics.stop)
        ending.push_async_callback(sandbox.close)
        ending.push_async_callback(journal.close, WRITE_SECONDS)
        ending.push_async_callback(ports.security.close, WRITE_SECONDS)
        ending.push_async_callback(batches.close, DRAIN_SECONDS)
        ending.push_async_callback(ports.tasks.drain, seconds=DRAIN_SECONDS)
        await ending.enter_async_context(usage.watched(ports))
        await ending.enter_async_context(kept_short(primary, config))
        await ending.enter_async_context(files.swept())
        journal.start()
        ports.security.start()
        await bus.start()
        if not bus.is_receiving:
            raise ConfigError([pooler.DEAF])
        ports.feed.start()
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
