"""The relay on a real database: nothing lost, in order, one hand at a time."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict

import pytest

from atom.event import outbox
from atom.event.publish import publish
from atom.event.relay import Away, Relay
from atom.postgres.named import Named
from tests.integration.near import (
    connected,
    database_url,  # noqa: F401
    fresh_database,
)
from tests.integration.outbox_world import database_of, events_of, make_outbox
from tests.integration.relay_process import TARGETS
from tests.served import ROOT


@pytest.fixture
async def url(database_url):  # noqa: F811
    """A database of this test's own, with an outbox."""
    async with fresh_database(database_url) as address:
        await make_outbox(address)
        yield address


@pytest.fixture
async def database(url):
    async with database_of(url) as opened:
        yield opened


class Noting:
    """A target that notes what it got, and fails as a test wants."""

    def __init__(self, fails=lambda event: None, seconds=0.0):
        self.got = []
        self.fails = fails
        self.seconds = seconds
        self.at_once = self.most_at_once = 0

    async def deliver(self, claimed):
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(self.seconds)
            if (error := self.fails(claimed.event)) is not None:
                raise error
            self.got.append(claimed.event)
        finally:
            self.at_once -= 1

    @property
    def numbers(self):
        return [event.payload["number"] for event in self.got]


async def publish_many(database, events, count, aggregates=5, name="order.made"):
    """Publish numbered events of some aggregates."""
    for number in range(count):
        about = {"aggregate_id": number % aggregates, "payload": {"number": number}}
        await publish(Named(database), events, name, **about)


class running:
    """A relay for the length of a block."""

    def __init__(self, database, events, targets, **options):
        given = {"lease": 5.0, "poll": 0.05, "away": (0.05, 0.2), **options}
        self.relay = Relay(database, None, events, targets, **given)

    async def __aenter__(self):
        self.relay.start()
        return self.relay

    async def __aexit__(self, *_):
        await self.relay.close(5)


async def until(true, seconds=30):
    """Wait until something that is asked holds."""
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.02)


def settled(database):
    """Return a question: whether nothing is pending."""

    async def ask():
        text = "select count(*) from atom.outbox where state = 'pending'"
        return not await database.value(text)

    return ask


def per_aggregate(events):
    """Return the numbers of events, by aggregate, as they came."""
    found = defaultdict(list)
    for event in events:
        found[event.aggregate_id].append(event.payload["number"])
    return found


async def test_events_are_delivered_once_each_and_in_order(database):
    """Of each aggregate in the order they were published, several side by side."""
    events = events_of("kafka", "redis")
    kafka, redis = Noting(seconds=0.002), Noting()
    await publish_many(database, events, 120)
    async with running(database, events, {"kafka": kafka, "redis": redis}):
        await until(settled(database))

    for target in (kafka, redis):
        assert sorted(target.numbers) == list(range(120))
        for numbers in per_aggregate(target.got).values():
            assert numbers == sorted(numbers)
    assert 1 < kafka.most_at_once <= 5
    assert {e.event_id for e in kafka.got} == {e.event_id for e in redis.got}


async def test_the_order_is_not_that_of_the_rows_on_disk(database):
    """Where an update has moved the first events behind the others."""
    target, events = Noting(), events_of("one")
    await publish_many(database, events, 10, aggregates=1)
    await database.run("update atom.outbox set metadata = metadata where id < 5")
    async with running(database, events, {"one": target}):
        await until(settled(database))

    assert list(range(10)) == target.numbers


async def test_a_failing_event_holds_up_its_aggregate_alone(database):
    """The others go on; it is tried as often as `retry` has it, then it is dead, with
    the reason; and its aggregate goes on behind it."""
    events = events_of("kafka", retry=(0.1, 0.1))
    tries, before = [], []

    def fails(event):
        if event.payload["number"] == 3:
            tries.append(event.event_id)
            return ValueError("the third")
        if event.payload["number"] == 8:
            before.append(len(tries))
        return None

    kafka = Noting(fails)
    await publish_many(database, events, 20)
    async with running(database, events, {"kafka": kafka}) as relay:
        await until(settled(database))
        assert (19, 1) == (relay.lanes["kafka"].delivered, relay.lanes["kafka"].dead)

    assert 3 == len(tries)
    assert 1 == len(set(tries))
    assert [3] == before
    assert sorted(kafka.numbers) == [n for n in range(20) if n != 3]
    assert per_aggregate(kafka.got)["3"] == [8, 13, 18]
    place = kafka.numbers.index(8)
    others = [n for n in range(20) if n % 5 != 3]
    assert set(others) <= set(kafka.numbers[:place])
    (dead,) = await outbox.listed(database, state="dead", event_type=None, limit=9)
    assert (tries[0], 3, "ValueError: the third") == (
        dead["event_id"],
        dead["attempts"],
        dead["error"],
    )


async def test_of_three_targets_only_the_failing_one_is_tried_again(database):
    """What the others got they get once."""
    events = events_of("kafka", "redis", "webhook:crm", retry=(0.05, 0.05, 0.05))
    left = Counter({"redis": 2})

    def fails(event):
        left["redis"] -= 1
        return OSError("not yet") if left["redis"] >= 0 else None

    targets = {"kafka": Noting(), "redis": Noting(fails), "webhook:crm": Noting()}
    await publish_many(database, events, 1)
    async with running(database, events, targets):
        await until(settled(database))

    assert {1} == {len(target.got) for target in targets.values()}
    assert 1 == len({target.got[0].event_id for target in targets.values()})
    rows = await database.rows("select target, attempts, state from atom.outbox")
    assert {("kafka", 1, "done"), ("redis", 3, "done"), ("webhook:crm", 1, "done")} == {
        tuple(row) for row in rows
    }


async def test_a_target_that_is_away_costs_no_try(database):
    """Its events wait; the other targets go on; then all of them come in order."""
    events = events_of("kafka", "redis", retry=())
    away = True
    kafka, redis = Noting(lambda _: Away("gone") if away else None), Noting()
    await publish_many(database, events, 40)
    async with running(database, events, {"kafka": kafka, "redis": redis}):

        async def others():
            return len(redis.got) == 40

        await until(others)
        await asyncio.sleep(0.5)
        assert [] == kafka.got
        away = False
        await until(settled(database))

    assert sorted(kafka.numbers) == list(range(40))
    for numbers in per_aggregate(kafka.got).values():
        assert numbers == sorted(numbers)
    assert {"done"} == {
        row["state"] for row in await database.rows("select state from atom.outbox")
    }


async def test_a_broker_is_away_for_an_hour(database):
    """A simulated hour: every pause is over at once, and it is asked a hundred times.
    Events that are published meanwhile wait behind the others."""
    events = events_of("kafka", retry=(5, 30, 300))
    clock = {"left": 100}

    def fails(_):
        clock["left"] -= 1
        return Away("connection refused") if clock["left"] >= 0 else None

    kafka = Noting(fails)
    await publish_many(database, events, 10)
    async with running(database, events, {"kafka": kafka}, away=(0.001, 0.002)):

        async def half():
            return clock["left"] < 50

        await until(half)
        await publish_many(database, events, 10)
        await until(settled(database))

    assert 20 == len(kafka.got) == len({event.event_id for event in kafka.got})
    assert 1 == await database.value("select max(attempts) from atom.outbox")


async def test_no_event_before_its_commit_and_none_after_a_rollback(database):
    """What is in a transaction is not there for the relay."""
    events, kafka = events_of("kafka"), Noting()
    async with running(database, events, {"kafka": kafka}):
        async with database.transaction():
            await publish_many(database, events, 3)
            await asyncio.sleep(0.3)
            assert [] == kafka.got
        with pytest.raises(RuntimeError, match="undone"):
            async with database.transaction():
                await publish_many(database, events, 3)
                raise RuntimeError("undone")
        await until(settled(database))
        await asyncio.sleep(0.2)

    assert [0, 1, 2] == sorted(kafka.numbers)


async def test_the_order_of_ids_is_not_the_order_of_commits(database):
    """An event that is committed late is not lost, whatever was delivered before."""
    events, kafka = events_of("kafka"), Noting()
    late = asyncio.Event()

    async def slowly():
        async with database.transaction():
            await publish_many(database, events, 1, name="order.made")
            await late.wait()

    task = asyncio.create_task(slowly())
    await asyncio.sleep(0.2)
    async with running(database, events, {"kafka": kafka}):
        await publish_many(database, events, 5)
        await until(settled(database))
        assert 5 == len(kafka.got)
        late.set()
        await task
        await until(settled(database))

    assert 6 == len(kafka.got)


async def test_two_relays_share_the_events(database):
    """Each is in one hand; the order of an aggregate holds over both."""
    events = events_of("kafka")
    one, two = Noting(seconds=0.005), Noting(seconds=0.005)
    async with (
        running(database, events, {"kafka": one}, most=20),
        running(database, events, {"kafka": two}, most=20),
    ):
        await publish_many(database, events, 300, aggregates=7)
        await until(settled(database))

    assert sorted(one.numbers + two.numbers) == list(range(300))
    assert one.got
    assert two.got


async def test_a_slow_event_keeps_its_lease(database):
    """It is not delivered twice, even if it takes many times the lease."""
    events, kafka = events_of("kafka"), Noting(seconds=2.0)
    await publish_many(database, events, 1)
    async with (
        running(database, events, {"kafka": kafka}, lease=0.5),
        running(database, events, {"kafka": kafka}, lease=0.5),
    ):
        await until(settled(database))

    assert [0] == kafka.numbers


async def test_what_is_not_finished_at_the_end_is_there_at_once(database):
    """Another relay need not wait for the lease, and no try was counted."""
    events, slow, kafka = events_of("kafka"), Noting(seconds=60), Noting()
    await publish_many(database, events, 4)
    relay = running(database, events, {"kafka": slow}, lease=600).relay
    relay.start()

    async def begun():
        return slow.at_once == 4

    await until(begun)
    await relay.close(0.1)
    async with running(database, events, {"kafka": kafka}):
        await until(settled(database), 5)

    assert [0, 1, 2, 3] == sorted(kafka.numbers)
    assert 1 == await database.value("select max(attempts) from atom.outbox")


async def test_dead_events_are_replayed_and_old_ones_purged(database):
    """Replay has the same id; the purge takes what was settled long ago, dead too."""
    events = events_of("kafka", "redis", retry=())
    is_broken = True
    kafka = Noting(lambda _: ValueError("no") if is_broken else None)
    await publish_many(database, events, 3)
    async with running(database, events, {"kafka": kafka, "redis": Noting()}):
        await until(settled(database))
        found = await outbox.state(database)
        assert 3 == found["kafka"]["dead"]
        is_broken = False
        dead = await outbox.listed(database, state="dead", event_type=None, limit=9)
        ids = sorted(each["event_id"] for each in dead)
        assert 1 == await outbox.replay(database, ids[:1])
        assert 2 == await outbox.replay(database, None, "kafka")
        assert 0 == await outbox.replay(database, None)
        await until(settled(database))

    assert ids == sorted(event.event_id for event in kafka.got)
    assert 0 == await outbox.purge(database, 3600)
    await database.run("update atom.outbox set settled_at = now() - interval '2 hours'")
    assert 6 == await outbox.purge(database, 3600)


async def test_the_relay_is_killed_again_and_again(url, database, tmp_path):
    """kill -9 in the middle of batches, two relays at a time: nothing is lost, each
    aggregate comes in order, and what comes twice has the same id."""
    events, count = events_of(*TARGETS), 400
    path = tmp_path / "delivered"
    command = [sys.executable, "-m", "tests.integration.relay_process"]

    def started():
        words = [*command, url, str(path), "0.004"]
        return subprocess.Popen(words, cwd=ROOT)

    relays = [started(), started()]
    publishing = asyncio.create_task(publish_many(database, events, count, 11))
    try:
        until_time = time.monotonic() + 10
        number = 0
        while time.monotonic() < until_time:
            await asyncio.sleep(1.5)
            place = number % 2
            os.kill(relays[place].pid, signal.SIGKILL)
            relays[place].wait()
            relays[place] = started()
            number += 1
        await publishing
        await until(settled(database), 90)
    finally:
        for relay in relays:
            relay.kill()
            relay.wait()

    lines = [line.split() for line in path.read_text().splitlines()]
    for target in TARGETS:
        first = {}
        for _, name, event_id, aggregate, text in lines:
            if name == target:
                first.setdefault(event_id, (aggregate, int(text)))
        assert count == len(first)
        by = defaultdict(list)
        for aggregate, value in first.values():
            by[aggregate].append(value)
        for numbers in by.values():
            assert numbers == sorted(numbers)
    assert number >= 3
    assert {"done"} == {
        row["state"] for row in await database.rows("select state from atom.outbox")
    }


async def test_every_connection_is_cut_again_and_again(url, database):
    """As by a database that is started again: the relay goes on, nothing is lost."""
    events, kafka = events_of("kafka"), Noting(seconds=0.01)
    await publish_many(database, events, 300, aggregates=9)
    admin = await connected(url)
    try:
        async with running(database, events, {"kafka": kafka}, lease=1.0):
            for _ in range(8):
                await asyncio.sleep(0.25)
                await admin.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )

            async def ask():
                text = "select count(*) from atom.outbox where state = 'pending'"
                return not await admin.fetchval(text)

            await until(ask, 60)
    finally:
        await admin.close()

    first = dict.fromkeys(kafka.numbers)
    assert set(first) == set(range(300))
    for aggregate in range(9):
        numbers = [number for number in first if number % 9 == aggregate]
        assert numbers == sorted(numbers)


async def test_a_backlog_is_claimed_by_index_without_statistics(database):
    """100,000 events that came at once, 1,000 of them tried later: a claim reads
    no more than it must, also where PostgreSQL takes the table for a small one."""
    await database.run("alter table atom.outbox set (autovacuum_enabled = off)")
    await database.run(
        "insert into atom.outbox (event_id, target, event_type, aggregate_type,"
        " aggregate_id, metadata, payload)"
        " select gen_random_uuid(), 'kafka', 'order.made', 'order',"
        " (n % 5000)::text, '{}', '{}' from generate_series(1, 100000) n"
    )
    await database.run(
        "update atom.outbox set due_at = now() + interval '1 hour' where id <= 1000"
    )
    first = await outbox.claim(database, "kafka", 200, 60.0)
    assert [1001, 1200] == [first[0].id, first[-1].id]
    async with database.transaction() as connection:
        await connection.value(outbox.BEGIN, "kafka")
        plan = await connection.rows(
            "explain (analyze, buffers, format text) " + outbox.CLAIM,
            *("kafka", 200, 60.0),
        )
    text = "\n".join(row[0] for row in plan)
    (line,) = [row for row in text.splitlines() if "outbox_pending on outbox" in row]

    assert "hashed SubPlan" in text
    assert "Sort Key" not in text
    assert int(re.search(r"rows=(\d+)[^)]*loops=1\)$", line)[1]) <= 200
