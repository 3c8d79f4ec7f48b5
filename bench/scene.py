"""What the bench stands on: a database, Atom, and the app written by hand beside it."""

import asyncio
import json
import os
import secrets
import shutil
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from bench.load import BenchError, Request
from tests.served import ROOT, Served, serve

ROWS = 10_000
CODE = ("atom", "config", "router", "static")
DROP_IN_ROUTER = '''"""An empty route that is answered from the cache."""

from extend import *

router = APIRouter()


@router.get("/bench/cached")
async def route_bench_cached():
    return {"status": "ok", "name": "atom", "version": "0.1.0", "env": "development"}
'''
DROP_IN_CONFIG = '''"""The policy of the bench's own route."""

config_api = {"/bench/cached": {"cache_sec": ["inmemory", 3600]}}
'''
VISITED = {"last_active_at", "updated_at"}  # Atom notes a visit between two reads
FILL = """
    insert into test (created_by_id, type, title)
    select 1, number % 10, 'title ' || number from generate_series(1, $1) number
"""


@dataclass(frozen=True)
class Scene:
    """Two servers on one database, and a user known to both."""

    atom: Served
    byhand: Served
    token: str
    postgres_url: str


def copy(to: Path) -> Path:
    """Copy the program, without data, and drop in what only the bench needs."""
    to.mkdir()
    for path in (p for p in ROOT.glob("*.py") if p.is_file()):
        shutil.copy(path, to)
    for name in CODE:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__")
            )
    (to / "router_bench.py").write_text(DROP_IN_ROUTER)
    (to / "config_bench.py").write_text(DROP_IN_CONFIG)
    return to


def pin(process: int, cores: set[int]) -> None:
    """Keep a process, its threads and its children on these cores (Linux)."""
    if not hasattr(os, "sched_setaffinity"):
        return
    parent = psutil.Process(process)
    for each in (parent, *parent.children(recursive=True)):
        for thread in each.threads():
            os.sched_setaffinity(thread.id, cores)


def memory_mb(process: int) -> float:
    """Return the resident memory of a server and its Python workers, in MiB."""
    parent = psutil.Process(process)
    family = (parent, *parent.children(recursive=True))
    return sum(p.memory_info().rss for p in family if "python" in p.name()) / 2**20


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """Run the embedded PostgreSQL for the block. Return its URL."""
    from atom import embedded
    from atom.keys import KEYS

    folder.mkdir()
    config = {key.name: key.default for key in KEYS}
    with embedded.provided(config, folder, join=False, workers=1) as found:
        yield str(found["config_postgres_url"])


async def fill(postgres_url: str) -> int:
    """Put the rows in and let PostgreSQL look at them. Return how many there are."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(FILL, ROWS)
        await connection.execute("analyze test")
        return int(await connection.fetchval("select count(*) from test"))
    finally:
        await connection.close()


async def logged(postgres_url: str) -> int:
    """Return how many rows log_api holds."""
    connection = await asyncpg.connect(postgres_url)
    try:
        return int(await connection.fetchval("select count(*) from log_api"))
    finally:
        await connection.close()


def ask(url: str, request: Request) -> Any:
    """Send one request with the standard library. Return the JSON of its answer."""
    sent = urllib.request.Request(
        url + request.path,
        data=request.body.encode() or None,
        headers=dict(request.headers),
        method=request.method,
    )
    with urllib.request.urlopen(sent, timeout=30) as answer:
        return json.load(answer)


def same(one: Any, other: Any) -> bool:
    """Say whether two answers mean the same: times may be written in two ways.

    >>> same({"at": "2026-01-01T00:00:00Z"}, {"at": "2026-01-01T00:00:00+00:00"})
    True
    >>> same([1], [2])
    False
    """
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return False
        return all(same(one[key], other[key]) for key in one.keys() - VISITED)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, str) and isinstance(other, str) and one != other:
        try:
            return datetime.fromisoformat(one) == datetime.fromisoformat(other)
        except ValueError:
            return False
    return bool(one == other)


def signup(url: str) -> str:
    """Make a user through Atom. Return the token."""
    user = {
        "type": 1,
        "username": f"bench_{secrets.token_hex(4)}",
        "password": secrets.token_hex(8),
    }
    made = Request(
        "/auth/signup",
        "POST",
        {"content-type": "application/json"},
        json.dumps(user),
    )
    return str(ask(url, made)["message"])


@contextmanager
def staged(folder: Path, postgres_url: str, cores: set[int]) -> Iterator[Scene]:
    """Serve Atom and the app by hand on one database, both kept on the same cores.

    Raises:
        BenchError: when the database does not hold the rows.
    """
    common: Mapping[str, str] = {
        "config_postgres_url": postgres_url,
        "config_key_jwt": secrets.token_hex(32),
    }
    own = {**common, "config_is_postgres_init": "1", "config_log_level": "warning"}
    by_hand = (sys.executable, "-m", "bench.byhand")
    with serve(own, folder=folder / "atom", code=copy(folder / "code")) as atom:
        pin(atom.process.pid, cores)
        token = signup(atom.url)
        if (rows := asyncio.run(fill(postgres_url))) < ROWS:
            raise BenchError(f"test holds {rows} rows, not {ROWS}")
        with serve(common, command=by_hand) as byhand:
            pin(byhand.process.pid, cores)
            yield Scene(atom, byhand, token, postgres_url)
