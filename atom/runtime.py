"""Open what a process needs and close it again: databases, clients, ports, schema.

A server, a command and a script all start from `Runtime`; none of it needs FastAPI.
"""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
)
from multiprocessing import parent_process
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, TypeVar

import embedded
from atom import malloc, operation
from atom.account import mfa
from atom.account.allow import faults
from atom.account.root import RootLogin
from atom.assembly import Late, connected
from atom.backoff import Backoff
from atom.client import Client, opened
from atom.client.all import CLIENTS
from atom.client.postgres import FEW, open_pool, opened_database
from atom.config.resolve import Config
from atom.errors import ApiError, ConfigError
from atom.event.declaration import Events, declared
from atom.event.row_event import without_triggers
from atom.hook import NO_HOOKS, Hooks
from atom.mail.publish import mailer
from atom.port import Ports
from atom.postgres import catalog
from atom.postgres.database import Database
from atom.queue.handler import NO_HANDLERS, Handlers
from atom.row import rule_check
from atom.row.hooked import hooked
from atom.rpc.declaration import Rpc

log = logging.getLogger(__name__)

WAITS = (0.25, 1.0)  # seconds until a database is tried again: first, longest

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
        handlers: Handlers = NO_HANDLERS,
        on_login: Callable[[Config, RootLogin], None] | None = None,
    ) -> None:
        self.config = config
        self.root = root
        self.state = SimpleNamespace() if state is None else state
        self.clients = CLIENTS + clients
        self.hooks = hooks
        self.rpcs = rpcs
        self.events = declared(config, []) if events is None else events
        self.handlers = handlers
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
            late = Late(self.state)
            async with (
                opened(self.clients, self.config, on_open=late.adopt) as clients,
                connected(
                    self.config,
                    clients,
                    self.state,
                    late,
                    self.rpcs,
                    self.events,
                    mailer(self.root, self.config),
                    self.root,
                ) as ports,
            ):
                ports.rules.hooks = hooked(self.hooks, self)
                ports.handlers = self.handlers
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
        await _warn_of_missing(ports)
    users = ports.database.catalog.tables.get("users")
    schema = ports.config["config_postgres_schema"]
    tables = {**schema.get("table", {}), **schema.get("view", {})}
    problems = faults(users, ports.account) + await ports.roles.prepare()
    problems += await mfa.prepare(ports)
    problems += await rule_check.problems(ports.database, ports.rules.policy, tables)
    if problems := problems + await ports.rpc.prepare():
        raise ConfigError(problems)
    return login


async def _warn_of_missing(ports: Ports) -> None:
    """Log the tables that do not exist, or write no row events, once for all workers.

    Both are declared.
    """
    if parent_process() is not None:
        return
    schema = ports.config["config_postgres_schema"]
    declared = (*schema.get("table", {}), *schema.get("view", {}))
    missing = [name for name in declared if name not in ports.database.catalog.tables]
    if missing:
        log.warning(
            "the database lacks tables that are declared: %s. `python main.py schema "
            "apply` makes them, or config_is_postgres_init=1.",
            ", ".join(missing),
        )
    silent = await without_triggers(ports.database, ports.events)
    if silent := [name for name in silent if name not in missing]:
        log.warning(
            "no row events are written of %s: the triggers are missing. `python "
            "main.py schema apply` makes them, or config_is_postgres_init=1.",
            ", ".join(silent),
        )
