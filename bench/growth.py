"""What a read costs as tables and routes grow: two servers that differ in size."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.load import Request
from bench.measure import Row, agree, asking
from bench.scene import ask, copy, database, fill, pin
from config import config_postgres_schema
from tests.served import Served, serve

TABLES = (10, 1000)
ROUTES = 500  # the smaller has those that come with Atom
READS = (
    ("growth", "/public/object-read?table=test&limit=10"),
    ("growth-typed", "/public/rows/test?limit=10"),
)
COLUMNS = [
    "created_at-timestamptz-0-0",
    "created_by_id-bigint-0-btree",
    "title-text-0-0",
    "metadata-jsonb-0-0",
]
ROUTER = '''"""Routes that are there to be many, every other one a template."""

from extend import *

router = APIRouter()


def add(path):
    @router.get(path)
    async def route_bench(request: Request):
        return {{"status": "ok"}}


for number in range({count}):
    add(f"/public/bench-{{number}}" + "/{{row_id}}" * (number % 2))
'''


def declared(count: int) -> str:
    """Write the config file that declares so many tables."""
    tables = {f"bench_{number}": COLUMNS for number in range(count)}
    return f"config_postgres_schema = {{'table': {tables!r}}}\n"


def routes(server: Served) -> int:
    """Ask a server how many routes it has."""
    key = server.config["config_key_root"]
    asked = Request("/root/explain", headers={"Authorization": f"Bearer {key}"})
    return len(ask(server.url, asked)["message"])


@contextmanager
def served(
    folder: Path, cores: set[int], tables: int, more_routes: int
) -> Iterator[Served]:
    """Serve Atom with so many tables, on a database of its own."""
    folder.mkdir()
    code = copy(
        folder / "code",
        router=ROUTER.format(count=more_routes),
        config=declared(tables - len(config_postgres_schema["table"])),
    )
    with database(folder / "database") as url:
        own = {"config_postgres_url": url, "config_is_postgres_init": "1"}
        own["config_log_level"] = "warning"
        with serve(own, folder=folder / "atom", code=code) as server:
            pin(server.process.pid, cores)
            asyncio.run(fill(url))
            yield server


@contextmanager
def rows(folder: Path, cores: set[int]) -> Iterator[list[Row]]:
    """Serve a small and a large Atom. Yield what is measured on them."""
    with ExitStack() as stack:
        small = stack.enter_context(served(folder / "small", cores, TABLES[0], 0))
        first = routes(small)
        large = stack.enter_context(
            served(folder / "large", cores, TABLES[1], ROUTES - first)
        )
        label = (
            f"cost of `{{}}`, {TABLES[0]} → {TABLES[1]:,} tables,"
            f" {first} → {routes(large)} routes"
        )
        made = []
        for name, path in READS:
            request = Request(path)
            mine, other = (large.url, request), (small.url, request)
            made.append(
                Row(
                    name,
                    label.format(path.partition("?")[0]),
                    "the smaller",
                    asking(*mine),
                    asking(*other),
                    1.1,
                    partial(agree, mine, other),
                    is_cost=True,
                    counted=0,  # they have logs of their own
                )
            )
        yield made
