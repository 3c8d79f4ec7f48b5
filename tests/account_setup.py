"""A throw-away PostgreSQL with the tables of accounts, for the tests of features.

Stands in until the shared fixtures exist: `database_url` is the name they will have.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import asyncpg
import pytest

from atom.account.api_key import ApiKeys
from atom.account.config import AccountConfig
from atom.account.role import Roles
from atom.account.security_event import SecurityLog
from atom.account.token import Decoder
from atom.adapter.memory import MemoryCounter
from atom.adapter.users import CachedUsers
from atom.aws import Aws, AwsConfig
from atom.config.keys import KEYS
from atom.config.view import view
from atom.event.declaration import declared
from atom.http.config import HttpConfig
from atom.http.socket import OpenSockets
from atom.mail.publish import mailer
from atom.observe.journal import COLUMNS, PostgresJournal
from atom.own.declaration import SCHEMA
from atom.port import Ports
from atom.postgres import catalog
from atom.postgres.database import Database
from atom.postgres.lease import reset
from atom.postgres.notify import Bus
from atom.queue.all import Brokers
from atom.queue.handler import Handlers
from atom.row.batch import Batches
from atom.row.scope import RowConfig
from atom.rpc.statement import Statements
from atom.sandbox.session import Sandbox
from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from atom.task import Tasks
from tests.database import postgres
from tests.rules import owned

ROOT = Path(__file__).resolve().parents[1]
KEY = "a key for tests of 32 bytes or more"


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Run a private PostgreSQL; return its address."""
    with postgres() as url:
        yield url


def named(cluster: str, database: str) -> str:
    """Return the address of a database of the cluster."""
    return f"{cluster.rpartition('/')[0]}/{database}"


def execute(cluster: str, text: str) -> None:
    """Run one statement as the superuser."""

    async def run() -> None:
        connection = await asyncpg.connect(cluster)
        try:
            await connection.execute(text)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def template(cluster: str) -> str:
    """Make the tables once; every test copies them."""
    execute(cluster, "create database template")
    url = named(cluster, "template")
    asyncio.run(schema.apply(url, Declaration.parse(SCHEMA)))
    return "template"


@pytest.fixture
def database_url(cluster: str, template: str) -> Iterator[str]:
    """Give a database of one's own."""
    name = f"test_{time.monotonic_ns()}"
    execute(cluster, f"create database {name} template {template} strategy file_copy")
    yield named(cluster, name)
    execute(cluster, f"drop database {name} with (force)")


@pytest.fixture
async def ports(database_url: str):
    """Give ports on a fresh database, with every config key at its default."""
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=8, reset=reset)
    database = Database(pool)
    database.catalog = await catalog.read(pool)
    config = {key.name: key.default for key in KEYS} | {
        "config_key_jwt": KEY,
        "config_role": {},
        "config_table": owned(),
        "config_postgres_schema": {},
    }
    tasks, counter = Tasks(), MemoryCounter()
    yield Ports(
        config=config,
        http=view(HttpConfig, config),
        account=view(AccountConfig, config),
        clients=MappingProxyType({}),
        tasks=tasks,
        counter=counter,
        stores={},
        database=database,
        database_read=database,
        tokens=Decoder([KEY]),
        api_keys=ApiKeys(database, counter, tasks),
        users=CachedUsers(database, 1000),
        sockets=OpenSockets(),
        journal=PostgresJournal(pool, COLUMNS, batch=10, seconds=1.0),
        security=SecurityLog(database),
        rules=RowConfig(config),
        roles=Roles({}, database),
        bus=Bus(database_url, speak=database.run),
        batches=Batches(database, rows=10, wait_ms=5),
        sandbox=Sandbox(database, database_url, RowConfig(config).secret),
        rpc=Statements((), database, database, RowConfig(config)),
        events=declared(config, []),
        mailer=mailer(ROOT, config),
        brokers=Brokers({}, config),
        handlers=Handlers(),
        feed=None,
        topics=None,
        key_root="r" * 16,
        aws=Aws({}, view(AwsConfig, config)),
        files=None,
        schema_read=lambda catalog: None,
        wrote=lambda caller: None,
    )
    await tasks.drain(seconds=5)
    await pool.close()
