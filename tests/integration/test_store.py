"""One contract for both stores; then what only the one on Redis must do."""

import asyncio

import pytest

from atom.adapter.memory import MemoryStore
from atom.adapter.redis import RedisStore
from atom.client import Live
from atom.client.redis import CACHE, declare
from tests.integration.near import Wire, redis_url  # noqa: F401

PATIENT = declare("patient", "url", "A patient Redis.", seconds=60)


async def opened_at(url):
    """Open a client that waits for a busy machine: outages are not its subject."""
    return await PATIENT.open({"url": url}, Live())


def store_on(client, **options):
    """Return a store as patient as its client."""
    return RedisStore(client, seconds=60, **options)


@pytest.fixture
async def redis(redis_url):  # noqa: F811
    """A client on an empty server."""
    client = await opened_at(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(params=["memory", "redis"])
def store(request):
    """Each store that ships, in turn."""
    if request.param == "memory":
        return MemoryStore()
    return store_on(request.getfixturevalue("redis"))


async def keep(store, key, value=b"v", seconds=60.0, tags=("test",)):
    """Keep an answer made just now."""
    mark = await store.begin()
    return await store.set(key, value, seconds, tags=tags, mark=mark)


class TestEveryStore:
    """What holds wherever answers are kept."""

    async def test_what_is_set_can_be_had(self, store):
        """Any bytes, under any key."""
        value = bytes(range(256))

        assert await keep(store, "GET /x?a=é b", value)
        assert value == await store.get("GET /x?a=é b")
        assert await store.get("GET /y") is None

    async def test_later_answer_replaces_the_first(self, store):
        """One key, one answer."""
        await keep(store, "a", b"1")
        await keep(store, "a", b"2")

        assert b"2" == await store.get("a")

    async def test_answer_ends_with_its_time(self, store):
        """Nothing is served after its seconds."""
        await keep(store, "a", seconds=1)
        assert b"v" == await store.get("a")
        await asyncio.sleep(1.1)

        assert await store.get("a") is None

    async def test_answer_without_time_is_not_kept(self, store):
        """Zero seconds means: do not keep."""
        assert not await keep(store, "a", seconds=0)
        assert await store.get("a") is None

    async def test_dropped_tag_takes_its_answers_along(self, store):
        """A write to a table forgets the answers made from it and no others."""
        await keep(store, "a", tags=("test",))
        await keep(store, "b", tags=("test", "users"))
        await keep(store, "c", tags=("users",))
        await keep(store, "d", tags=())

        await store.drop("test")

        kept = [await store.get(key) for key in "abcd"]
        assert [None, None, b"v", b"v"] == kept

    async def test_answer_made_before_a_drop_is_not_kept_after_it(self, store):
        """A fill that read the old rows must not outlive the write."""
        mark = await store.begin()
        await store.drop("test")

        assert not await store.set("a", b"old", 60, tags=("test",), mark=mark)
        assert await store.set("b", b"v", 60, tags=("users",), mark=mark)
        assert await store.get("a") is None

    async def test_answer_made_after_a_drop_is_kept(self, store):
        """A drop looks back only."""
        await store.drop("test")

        assert await keep(store, "a")
        assert b"v" == await store.get("a")

    async def test_clear_forgets_everything(self, store):
        """Also what is being made now, whatever it is made from."""
        await keep(store, "a", tags=())
        mark = await store.begin()
        await store.clear()

        assert await store.get("a") is None
        assert not await store.set("b", b"old", 60, tags=(), mark=mark)
        assert await keep(store, "b")

    async def test_one_filler_at_a_time(self, store):
        """Of many who miss, one fills; when it is done the next may."""
        taken = [await store.lock("a", 60) for _ in range(3)]
        await store.unlock("a")

        assert [True, False, False] == taken
        assert await store.lock("a", 60)
        assert await store.lock("b", 60)

    async def test_lock_of_one_who_died_ends(self, store):
        """A filler that never unlocks holds the others up for a moment only."""
        await store.lock("a", 0.1)
        await asyncio.sleep(0.15)

        assert await store.lock("a", 60)


@pytest.fixture(params=["memory", "redis"])
def small(request):
    """Each store, remembering few tags."""
    if request.param == "memory":
        return MemoryStore(tags_max=3)
    return store_on(request.getfixturevalue("redis"), tags_max=3)


async def test_many_tags_cost_answers_never_truth(small):
    """When more tags were dropped than are remembered, old fills are all refused."""
    mark = await small.begin()
    for number in range(10):
        await small.drop(f"tag{number}")

    assert not await small.set("a", b"old", 60, tags=("tag0",), mark=mark)
    assert await keep(small, "a")


async def test_another_workers_lock_is_not_released(redis, redis_url):  # noqa: F811
    """A filler too slow for its lock must not open the next one's."""
    other = await opened_at(redis_url)
    slow, quick, third = store_on(redis), store_on(other), store_on(other)
    await slow.lock("a", 0.1)
    await asyncio.sleep(0.15)
    assert await quick.lock("a", 60)

    await slow.unlock("a")

    assert not await third.lock("a", 60)
    await other.aclose()


async def test_workers_share_answers_and_drops(redis, redis_url):  # noqa: F811
    """What one worker keeps another serves, until any of them drops it."""
    other = await opened_at(redis_url)
    one, two = store_on(redis), store_on(other)
    await keep(one, "a")
    assert b"v" == await two.get("a")
    mark = await one.begin()

    await two.drop("test")

    assert await one.get("a") is None
    assert not await one.set("a", b"old", 60, tags=("test",), mark=mark)
    await other.aclose()


async def test_lost_bookkeeping_loses_the_answers_too(redis):
    """Redis may evict any key: without the record of drops nothing old is served."""
    store = store_on(redis)
    await keep(store, "a")
    mark = await store.begin()
    await redis.delete("{atom:cache}:state")

    assert await store.get("a") is None
    assert not await store.set("a", b"old", 60, tags=(), mark=mark)
    assert await keep(store, "a")


async def test_every_key_ends_by_itself(redis):
    """Answers and locks leave nothing behind; the bookkeeping is one small key."""
    store = store_on(redis)
    await keep(store, "a")
    await store.lock("a", 60)

    endless = [key async for key in redis.scan_iter() if await redis.ttl(key) < 0]

    assert [b"{atom:cache}:state"] == endless


async def taken_up(store):
    """Wait until what is kept is kept in Redis again."""
    async with asyncio.timeout(30):
        while not await keep(store, "other", tags=("other",)):
            await asyncio.sleep(0.1)


async def test_outage_that_hid_a_write_leaves_no_stale_answer(redis_url, redis):  # noqa: F811
    """A drop that Redis missed is made good before anything is read again."""
    wire = Wire(int(redis_url.rpartition(":")[2].partition("/")[0]))
    await wire.mend()
    shipped = {CACHE.needs[0]: f"redis://127.0.0.1:{wire.port}/0"}
    client = await CACHE.open(shipped, Live())
    store = RedisStore(client)
    await keep(store, "a", b"old")
    mark = await store.begin()
    await wire.cut()

    assert await store.get("a") is None
    assert not await keep(store, "b")
    await store.drop("test")
    assert await store.lock("a", 60)
    await store.unlock("a")
    await wire.mend()
    await taken_up(store)

    assert await store.get("a") is None
    assert await store_on(redis).get("a") is None
    assert not await store.set("a", b"old", 60, tags=("test",), mark=mark)
    assert await keep(store, "a", b"new")
    assert b"new" == await store.get("a")
    await client.aclose()
    await wire.cut()


async def test_outage_without_writes_keeps_the_answers(redis_url, redis):  # noqa: F811
    """Nothing is thrown away that is still true."""
    wire = Wire(int(redis_url.rpartition(":")[2].partition("/")[0]))
    await wire.mend()
    shipped = {CACHE.needs[0]: f"redis://127.0.0.1:{wire.port}/0"}
    client = await CACHE.open(shipped, Live())
    store = RedisStore(client)
    await keep(store, "a")
    await wire.cut()
    assert await store.get("a") is None
    await wire.mend()
    await taken_up(store)

    assert b"v" == await store.get("a")
    await client.aclose()
    await wire.cut()
