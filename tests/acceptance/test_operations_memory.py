"""What a stranger can make the server remember has an end."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests import machine
from tests.acceptance.operations import ALONE, running

KEPT_MB = 8
BODY = 20_000  # bytes of each answer
CONNECTIONS, IN_FLIGHT = 4, 25


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """One process with little room for kept answers."""
    code = tmp_path_factory.mktemp("memory")
    values = {"config_cache_memory_max_mb": str(KEPT_MB)}
    with running(code, values, config=ALONE) as found:
        yield found


def ask(api, numbers, path):
    """Ask each of these questions once, many at a time; return how many were 200."""
    place = urlsplit(api.url)

    async def some(mine):
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        fine = 0
        for start in range(0, len(mine), IN_FLIGHT):
            part = mine[start : start + IN_FLIGHT]
            writer.write(
                b"".join(
                    f"GET {path}{n} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for n in part
                )
            )
            for _ in part:
                head = await reader.readuntil(b"\r\n\r\n")
                fine += head.startswith(b"HTTP/1.1 200")
                size = head.lower().split(b"content-length: ")[1].split(b"\r")[0]
                await reader.readexactly(int(size))
        writer.close()
        return fine

    async def everybody():
        parts = [numbers[at::CONNECTIONS] for at in range(CONNECTIONS)]
        return sum(await asyncio.gather(*map(some, parts)))

    return asyncio.run(everybody())


def resident_mb(api):
    """Return the memory the server's process has now."""
    pages = int(machine.proc(f"{api.process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 1_048_576


def test_ever_new_questions_fill_no_memory(api):
    """Thousands of distinct query strings on a cached route: 160 MB of answers are
    made, and no more is kept than config_cache_memory_max_mb says."""
    path = f"/ops/many?size={BODY}&n="
    assert 2000 == ask(api, range(2000), path)
    before = resident_mb(api)
    assert 8000 == ask(api, range(2000, 10_000), path)
    grown = resident_mb(api) - before
    last = api.call("GET", f"{path}9999")
    first = api.call("GET", f"{path}1")

    assert grown < 20
    assert "hit" == last.headers.get("x-cache")
    assert "x-cache" not in first.headers


def test_ever_new_callers_fill_no_memory(api):
    """Keys as long as they may be, answers that are small: the bound holds as well."""
    path = f"/ops/many?size=1&long={'k' * 2000}&n="
    assert 2000 == ask(api, range(2000), path)
    before = resident_mb(api)
    assert 6000 == ask(api, range(2000, 8000), path)

    assert resident_mb(api) - before < 20
