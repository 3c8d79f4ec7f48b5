"""What the bench runs on: a database, Atom, and the app written by hand."""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from bench import dropped, node, table
from bench.load import BenchError, Request
from tests.served import ROOT, Served, serve

ROWS = 10_000
CODE = ("atom", "embedded", "config", "router", "static")
DROP_IN_ROUTER = '''"""An empty route that is answered from the cache."""

from extend import *

router = APIRouter()


@router.get("/bench/cached")
async def route_bench_cached():
    return {"status": "ok", "name": "atom", "version": "0.1.0", "env": "development"}
'''
VISITED = {"last_active_at", "updated_at"}  # Atom notes a visit between two reads
FILL = """
    insert into test (created_at, created_by_id, type, title)
    select '2026-01-01'::timestamptz + number * interval '1 second', 1, number % 10,
        'title ' || number
    from generate_series(1, $1) number
"""


@dataclass(frozen=True)
class Scene:
    """Servers on one database, and a user known to two of them."""

    atom: Served
    byhand: Served
    bare: Served
    fastify: Served | None  # None: the machine has no Node, or no registry
    token: str
    postgres_url: str
    folder: Path
    cores: set[int]  # those of the servers

    @property
    def bearer(self) -> dict[str, str]:
        """The header with the token of the user."""
        return {"Authorization": f"Bearer {self.token}"}


def copy(to: Path, *, router: str, config: str, checkout: Path = ROOT) -> Path:
    """Copy the program, without data, and drop in what only the bench needs."""
    to.mkdir()
    for path in (p for p in checkout.glob("*.py") if p.is_file()):
        shutil.copy(path, to)
    for name in CODE:
        if (checkout / name).is_dir():
            shutil.copytree(
                checkout / name, to / name, ignore=shutil.ignore_patterns("__pycache__")
            )
    (to / "router_bench.py").write_text(router)
    (to / "config_bench.py").write_text(config)
    return to


def pin(process: int, cores: set[int]) -> None:
    """Keep a process, its threads and its children on these cores (Linux)."""
    if not cores or not Path("/proc/self/task").exists():
        return
    parent = psutil.Process(process)
    for each in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it has just ended
            for thread in each.threads():
                os.sched_setaffinity(thread.id, cores)


def own_cores() -> set[int]:
    """Return the cores this process may use; none where that is unknown (Linux)."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def keep_on(cores: set[int]) -> None:
    """Keep this process, and those it will start, on these cores (Linux)."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


async def free(scene: Scene, cores: set[int]) -> None:
    """Let Atom, PostgreSQL and the load use all of these cores, as outside a bench."""
    keep_on(cores)
    pin(scene.atom.process.pid, cores)
    connection = await asyncpg.connect(scene.postgres_url)
    try:
        backend = await connection.fetchval("select pg_backend_pid()")
    finally:
        await connection.close()
    if psutil.pid_exists(backend):  # not of a database on another machine
        pin(psutil.Process(backend).ppid(), cores)


def run_pinned(scene: Scene, command: Sequence[str], seconds: int = 600) -> bytes:
    """Run a program on the cores of the servers. Return what it wrote.

    Raises:
        BenchError: when it fails, with what it printed.
    """
    before = own_cores()
    keep_on(scene.cores)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    finally:
        keep_on(before)
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise BenchError(f"{command[0]} took longer than {seconds} s") from None
    if process.returncode:
        raise BenchError(f"{command[0]} failed:\n{errors.decode(errors='replace')}")
    return out


def memory_mb(process: int) -> float:
    """Return the resident memory of a server and its Python workers, in MiB."""
    parent = psutil.Process(process)
    family = (parent, *parent.children(recursive=True))
    return sum(p.memory_info().rss for p in family if "python" in p.name()) / 2**20


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """Run the embedded PostgreSQL for the block. Return its URL."""
    import embedded
    from atom.config.keys import KEYS

    folder.mkdir()
    config = {key.name: key.default for key in KEYS}
    with embedded.provided(config, folder, join=False, workers=1) as found:
        yield str(found["config_postgres_url"])


async def fill(postgres_url: str) -> int:
    """Put rows into test, have PostgreSQL look at them. Return how many there are."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(FILL, ROWS)
        await connection.execute("analyze test")
        return int(await connection.fetchval("select count(*) from test"))
    finally:
        await connection.close()


def ask(url: str, request: Request, number: int = 1) -> Any:
    """Send one request with the standard library. Return the JSON of its answer."""
    sent = urllib.request.Request(
        request.url(url, number),
        data=request.body.encode() or None,
        headers=dict(request.headers),
        method=request.method,
    )
    with urllib.request.urlopen(sent, timeout=30) as answer:
        return json.load(answer)


def same(one: Any, other: Any) -> bool:
    """Whether two answers mean the same: times may be written in two ways.

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
    """Serve Atom, the app by hand and the bare one, kept on the same cores.

    Raises:
        BenchError: when the database does not hold the rows.
    """
    common: dict[str, str] = {
        "config_postgres_url": postgres_url,
        "config_key_jwt": secrets.token_hex(32),
    }
    own = {
        **common,
        "config_is_postgres_init": "1",
        "config_log_level": "warning",
        "config_is_outbox": "0",
    }
    by_hand = (sys.executable, "-m", "bench.byhand")
    code = copy(folder / "code", router=DROP_IN_ROUTER, config=table.drop_in())
    for name, text in dropped.FILES.items():
        (code / name).write_text(text)
    with serve(own, folder=folder / "atom", code=code) as atom:
        pin(atom.process.pid, cores)
        token = signup(atom.url)
        if (rows := asyncio.run(fill(postgres_url))) < ROWS:
            raise BenchError(f"test holds {rows} rows, not {ROWS}")
        with ExitStack() as servers:
            byhand = servers.enter_context(serve(common, command=by_hand))
            bare = servers.enter_context(
                serve(common, command=(sys.executable, "-m", "bench.bare"))
            )
            fastify = None
            if (command := node.fetched(folder)) is not None:
                url = {"bench_postgres": node.options(postgres_url)}
                fastify = servers.enter_context(serve(common | url, command=command))
            for each in (byhand, bare, fastify):
                if each is not None:
                    pin(each.process.pid, cores)
            yield Scene(atom, byhand, bare, fastify, token, postgres_url, folder, cores)
