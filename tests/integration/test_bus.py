"""Workers telling one another, over a real PostgreSQL."""

import asyncio
import json
import logging

import asyncpg
import pytest

from atom.postgres import notify as module
from atom.postgres.notify import Bus
from tests.integration.near import (
    Wire,
    database_url,  # noqa: F401
    eventually,
    fresh_database,
)
from tests.unit.effort import counted


@pytest.fixture
async def url(database_url):  # noqa: F811
    """A database of this test's own."""
    async with fresh_database(database_url) as address:
        yield address


@pytest.fixture
async def worker(url):
    """Makes workers: a bus, and all it was told."""
    made = []

    async def make(url=url, start=True):
        bus = Bus(url, connect_seconds=1)
        bus.heard, bus.states = [], []
        for topic in ("user", "table", "reset"):
            bus.on(topic, lambda value, topic=topic: bus.heard.append((topic, value)))
        bus.lost.append(lambda: bus.states.append("lost"))
        bus.regained.append(lambda: bus.states.append("regained"))
        made.append(bus)
        if start:
            await bus.start()
        return bus

    yield make
    for one in made:
        await one.close()


async def hang_up_all(url):
    """End the connection of every bus, as an administrator would."""
    admin = await asyncpg.connect(url)
    await admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'atom bus' and datname = current_database()"
    )
    await admin.close()


async def test_everybody_hears_what_one_tells(worker):
    """Two workers, one database: both hear it, the teller included."""
    one, two = await worker(), await worker()

    assert await one.publish("user", "7")

    await eventually(lambda: one.heard and two.heard)
    assert [("user", "7")] == one.heard == two.heard


async def test_who_has_acted_on_an_item_does_not_hear_it(worker, url):
    """A worker drops what it wrote at once; the echo would drop what is kept since."""
    one, two, acted = await worker(), await worker(), []
    one.on("table", acted.append, own=False)
    await one.publish("table", "mine")
    await two.publish("table", "theirs")

    await eventually(lambda: len(one.heard) == 2)
    assert ["theirs"] == acted


async def test_topics_reach_their_own_listeners_only(worker):
    """A topic nobody listens to is nothing."""
    one = await worker()
    await one.publish("nobody", "x")
    await one.publish("table", "test")

    await eventually(lambda: one.heard)
    assert [("table", "test")] == one.heard


async def test_notes_of_a_moment_are_one_each(worker):
    """A thousand writes to a table are told once."""
    one, two = await worker(), await worker()
    for _ in range(1_000):
        one.publish_soon("table", "test")
    one.publish_soon("table", "users")

    await eventually(lambda: len(two.heard) == 2)
    await asyncio.sleep(0.05)
    assert [("table", "test"), ("table", "users")] == two.heard == one.heard


async def test_note_costs_the_writer_next_to_nothing(worker):
    """A few steps: it is called after every write."""
    one = await worker()
    one.publish_soon("table", "test")
    with counted() as effort:
        for _ in range(1_000):
            one.publish_soon("table", "test")

    assert effort.steps < 15 * 1_000


async def test_triggers_are_heard_as_well(worker, url):
    """What psql or a trigger says in the agreed form arrives like anything else."""
    one = await worker()
    psql = await asyncpg.connect(url)
    for text in ("rubbish", "[]", '{"topic": "user"}'):
        await psql.execute("select pg_notify('atom', $1)", text)
    item = json.dumps({"topic": "user", "value": 9})
    await psql.execute("select pg_notify('atom', $1)", item)
    await psql.close()

    await eventually(lambda: one.heard)
    assert [("user", "9")] == one.heard


async def test_what_does_not_fit_is_refused(worker):
    """PostgreSQL takes less than 8,000 bytes; the caller hears it at once."""
    one = await worker()
    with pytest.raises(ValueError, match="do not fit"):
        one.publish_soon("table", "x" * 7_900)
    with pytest.raises(ValueError, match="do not fit"):
        await one.publish("table", "é" * 4_000)
    await one.publish("table", "x" * 7_800)

    await eventually(lambda: one.heard)
    assert 1 == len(one.heard)


async def test_listener_that_fails_stops_nobody(worker, caplog):
    """A fault in one cache leaves the others coherent."""
    one = await worker(start=False)
    one._listeners["user"].insert(0, lambda value: 1 / 0)
    await one.start()
    await one.publish("user", "7")

    await eventually(lambda: one.heard)
    assert "listener of user failed" in caplog.text


async def test_asynchronous_listener_is_run(worker):
    """A store is dropped by awaiting; the bus does that."""
    one, done = await worker(), []

    async def listener(value):
        await asyncio.sleep(0)
        done.append(value)

    one.on("table", listener)
    await one.publish("table", "test")

    await eventually(lambda: done == ["test"])


async def test_loss_is_noticed_at_once_and_mended(worker, url):
    """A connection ended by the server: lost, regained, and heard again."""
    one, two = await worker(), await worker()
    assert ["regained"] == one.states
    await hang_up_all(url)

    await eventually(lambda: one.states == ["regained", "lost", "regained"])
    await eventually(lambda: two.states == ["regained", "lost", "regained"])
    await two.publish("user", "7")
    await eventually(lambda: one.heard == [("user", "7")])


async def test_what_was_noted_in_a_silence_is_said_after_it(worker, url):
    """One's own writes are heard here at once, elsewhere when the bus is back."""
    base, _, name = url.rpartition("/")
    wire = Wire(int(base.rpartition(":")[2]))
    await wire.mend()
    one = await worker(f"postgresql://near@127.0.0.1:{wire.port}/{name}")
    two = await worker()
    await wire.cut()
    await eventually(lambda: not one.connected)

    one.publish_soon("table", "test")
    assert not await one.publish("user", "7")
    assert [("table", "test"), ("user", "7")] == one.heard
    assert [] == two.heard
    await wire.mend()
    await eventually(lambda: len(two.heard) == 2)

    assert [("table", "test"), ("user", "7")] == two.heard
    await one.close()
    await wire.cut()


async def test_silent_death_is_noticed(worker, url, monkeypatch):
    """A network that swallows everything is found out by asking."""
    monkeypatch.setattr(module, "ALIVE", 0.2)
    monkeypatch.setattr(module, "ANSWER", 0.2)
    base, _, name = url.rpartition("/")
    wire = Wire(int(base.rpartition(":")[2]))
    await wire.mend()
    one = await worker(f"postgresql://near@127.0.0.1:{wire.port}/{name}")
    assert one.connected
    wire.deafen()

    await eventually(lambda: one.states == ["regained", "lost"])
    assert not one.connected
    await wire.cut()
    await one.close()


async def test_start_without_a_database_waits_for_it(worker, url, caplog):
    """The start is not refused; nobody may rely on the bus until it is there."""
    caplog.set_level(logging.INFO)
    base, _, name = url.rpartition("/")
    wire = Wire(int(base.rpartition(":")[2]))
    one = await worker(f"postgresql://near@127.0.0.1:{wire.port}/{name}")
    assert not one.connected
    assert [] == one.states
    await wire.mend()

    await eventually(lambda: one.states == ["regained"])
    await one.close()
    await wire.cut()


async def test_closed_bus_has_said_everything(worker):
    """What was noted last is not lost at the end."""
    one, two = await worker(), await worker()
    one.publish_soon("table", "test")
    await one.close()

    await eventually(lambda: two.heard == [("table", "test")])


async def test_what_is_heard_at_the_end_begins_nothing(database_url):  # noqa: F811
    """A note that comes while the bus closes starts no work on a pool that is going."""
    began = []

    async def work(value):
        began.append(value)

    bus = Bus(database_url)
    bus.on("late", work)
    await bus.start()
    await bus.close()
    bus._heard(None, 0, "atom", '{"topic": "late", "value": "1"}')
    await asyncio.sleep(0.05)

    assert [] == began
