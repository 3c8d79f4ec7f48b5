"""One contract for both counters; then what only the one on Redis must do."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from atom.adapter.memory import MemoryCounter
from atom.adapter.redis import RedisCounter
from atom.client import Live
from atom.client.redis import RATELIMITER, declare
from tests.integration.near import Wire, free_port, redis_url, valkey  # noqa: F401

ROOT = Path(__file__).parents[2]
SECONDS = 60  # what is about counting is not about a Redis that answers late
PATIENT = declare("patient", "url", "A patient Redis.", seconds=SECONDS)

HITTER = """
import asyncio, sys
from atom.adapter.redis import RedisCounter
from atom.client import Live
from atom.client.redis import declare

PATIENT = declare("patient", "url", "A patient Redis.", seconds=60)

async def main(url):
    client = await PATIENT.open({"url": url}, Live())
    counter = RedisCounter(client, seconds=60)
    print("ready", flush=True)
    sys.stdin.readline()
    answers = await asyncio.gather(
        *(counter.hit("crowd", 60, times=5) for _ in range(10))
    )
    print(sum(hits <= 5 for hits, _ in answers), flush=True)
    await client.aclose()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
async def redis(redis_url):  # noqa: F811
    """A client as ships, but patient, on an empty server."""
    client = await PATIENT.open({"url": redis_url}, Live())
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(params=["memory", "redis"])
def counter(request):
    """Each counter that ships, in turn."""
    if request.param == "memory":
        return MemoryCounter()
    return RedisCounter(request.getfixturevalue("redis"), seconds=SECONDS)


class TestEveryCounter:
    """What holds wherever the counts are kept."""

    async def test_each_hit_counts_once(self, counter):
        """Hits are numbered from one, and the window is told."""
        answers = [await counter.hit("a", 60) for _ in range(3)]

        assert [(1, 60), (2, 60), (3, 60)] == answers

    async def test_keys_do_not_share_a_count(self, counter):
        """One caller's hits are not another's."""
        await counter.hit("a", 60)

        assert 1 == (await counter.hit("b", 60))[0]

    async def test_hit_beyond_the_limit_is_answered_but_not_counted(self, counter):
        """A caller who keeps knocking is told so, and the count stays at the limit."""
        answers = [(await counter.hit("a", 60, times=2))[0] for _ in range(4)]

        assert [1, 2, 3, 3] == answers
        assert 2 == (await counter.peek("a"))[0]

    async def test_peek_counts_nothing(self, counter):
        """Looking is free; what was never hit has no window."""
        assert (0, 0) == await counter.peek("a")
        await counter.hit("a", 60)

        assert (1, 60) == await counter.peek("a")
        assert (1, 60) == await counter.peek("a")

    async def test_cleared_count_starts_anew(self, counter):
        """After a success the failures before it are forgotten."""
        await counter.hit("a", 60)
        await counter.clear("a")

        assert (0, 0) == await counter.peek("a")
        assert (1, 60) == await counter.hit("a", 60)

    async def test_next_window_starts_from_nothing(self, counter):
        """A window ends by itself, however often it was hit."""
        for _ in range(3):
            await counter.hit("a", 1, times=1)
        await asyncio.sleep(1.05)

        assert 1 == (await counter.hit("a", 1, times=1))[0]

    async def test_hits_do_not_make_the_window_longer(self, counter):
        """The window is fixed by its first hit."""
        await counter.hit("a", 60)
        await asyncio.sleep(1.1)
        hits, left = await counter.hit("a", 60)

        assert 2 == hits
        assert left < 60

    async def test_forty_at_once_are_forty(self, counter):
        """Exactly `times` of those who come together are within the limit."""
        answers = await asyncio.gather(
            *(counter.hit("a", 60, times=5) for _ in range(40))
        )

        assert 5 == sum(hits <= 5 for hits, _ in answers)


async def test_four_processes_share_one_count(redis, redis_url):  # noqa: F811
    """40 hits from 4 processes at a limit of 5: exactly 5 are let through."""
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", HITTER, redis_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        for one in crowd:
            assert "ready\n" == one.stdout.readline()
        for one in crowd:
            one.stdin.write("\n")
            one.stdin.flush()
        answers = [int(one.communicate(timeout=120)[0]) for one in crowd]
    finally:
        for one in crowd:
            one.kill()
            one.communicate()

    assert 5 == sum(answers)


async def test_count_that_lost_its_end_gets_one(redis):
    """A key without time to live would turn a caller away for ever."""
    counter = RedisCounter(redis, seconds=SECONDS)
    await counter.hit("a", 60, times=1)
    await redis.persist("atom:count:a")

    assert (2, 60) == await counter.hit("a", 60, times=1)
    assert 0 < await redis.pttl("atom:count:a") <= 60_000


async def test_server_that_forgot_the_script_is_told_again(redis):
    """A restart or SCRIPT FLUSH costs one more message, not an error."""
    counter = RedisCounter(redis, seconds=SECONDS)
    await counter.hit("a", 60)
    await redis.script_flush()

    assert 2 == (await counter.hit("a", 60))[0]


async def test_dead_redis_is_replaced_by_this_process_and_comes_back(caplog):
    """Limits hold in a silence, it is said once, and Redis is taken up again."""
    caplog.set_level(logging.INFO)
    port = free_port()
    with valkey(port) as url:
        client = await RATELIMITER.open({RATELIMITER.needs[0]: url}, Live())
        counter = RedisCounter(client)
        await counter.hit("a", 60, times=2)
    answers = [(await counter.hit("a", 60, times=2))[0] for _ in range(4)]
    with valkey(port):
        async with asyncio.timeout(30):
            kept = None
            while kept is None:  # taken up again within a second or so
                await asyncio.sleep(0.2)
                after = await counter.hit("a", 60, times=2)
                with contextlib.suppress(RedisError):
                    kept = await client.get("atom:count:a")
    await client.aclose()

    assert [1, 2, 3, 3] == answers
    assert (1, b"1") == (after[0], kept)
    said = [one.message for one in caplog.records if "Redis for rate" in one.message]
    assert 2 == len(said)


async def test_deaf_redis_costs_one_caller_a_moment(redis_url):  # noqa: F811
    """A server that takes connections and says nothing is asked once in a second."""
    wire = Wire(int(redis_url.rpartition(":")[2].partition("/")[0]))
    await wire.mend()
    url = f"redis://127.0.0.1:{wire.port}/0"
    client = await RATELIMITER.open({RATELIMITER.needs[0]: url}, Live())
    counter = RedisCounter(client)
    wire.deafen()

    began = time.monotonic()
    for _ in range(100):
        await counter.hit("a", 60)
    took = time.monotonic() - began
    await client.aclose()
    await wire.cut()

    assert 0.25 < took < 15  # one wait of 0.3 s, not a hundred


async def test_counter_whose_client_is_not_there_yet_counts_here(redis):
    """Redis may come after the start: the client is then put in."""
    counter = RedisCounter(None, seconds=SECONDS)
    assert (1, 60) == await counter.hit("a", 60)

    counter.client = redis
    await asyncio.sleep(1.05)

    assert (1, 60) == await counter.hit("a", 60)
    assert b"1" == await redis.get("atom:count:a")
