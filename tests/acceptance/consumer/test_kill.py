"""What survives when consumers, the broker and the database are killed, over and over.

Each effect exactly once, dead letters exactly those of the poisoned messages, and the
order of each key. A soak run sends 5,000 messages.
"""

import asyncio
import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from atom.errors import Unavailable
from tests import machine
from tests.acceptance.checkout import copied
from tests.acceptance.consumer.consuming import until
from tests.acceptance.consumer.kill_place import (
    LEASE,
    ON_RABBITMQ,
    PLACES,
    Database,
    kill_tree,
)
from tests.integration.broker_contract import Place
from tests.served import environment, stop
from tests.service.fixture import own
from tests.soak import IS_SOAK, size

MESSAGES = size(80, 5000)
KEYS = 10
AHEAD = 40  # messages that may wait: the others are sent when those are done
POISONED = 29  # every so many
KILLED = ("consumer", "broker", "database")
pytestmark = machine.with_proc()
SEED = secrets.randbelow(1_000_000)
CONFIG = """
config_postgres_schema = {"table": {"step": [
    "channel-text-1-0", "key-text-1-0", "place-int-1-0", "consumer-int-1-0"]}}
"""
HANDLER = """
import asyncio, os
from extend import *

INSERT = "insert into step (channel, key, place, consumer) values (:a, :b, :c, :d)"

async def function_step(
    connection, run: str, lane: str, place: int, seconds: float = 0.01
):
    values = {"a": run, "b": lane, "c": place, "d": os.getpid()}
    await connection.execute(INSERT, values)
    await asyncio.sleep(seconds)
    while seconds < 0:  # it does not end, however it is asked to
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            continue
    if place % %d == 1:
        raise RuntimeError("poison")
""".replace("%d", str(POISONED))


@dataclass
class World:
    """A database, a broker, and consumers of one channel."""

    kind: str
    place: Place
    database: Database
    folder: Path
    config: dict[str, Any]
    channel: str = ""
    consumers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def consume(self):
        """Start one more consumer; it need not be ready."""
        number = len(self.consumers)
        words = [f"consumer_{self.kind}.py", "--channel", self.channel]
        if self.kind.startswith("celery"):
            words = ["-m", "celery", "-A", "consumer_celery", "worker", "-c", "2"]
            words += ["-n", f"{self.channel}_{number}", "--loglevel", "INFO"]
        with (self.folder / f"{self.channel}_{number}.log").open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=self.folder,
                env=environment(self.config | {"config_channel": self.channel}),
                stdout=out,
                stderr=out,
            )
        self.consumers.append(process)
        return process

    def log(self, number):
        """What a consumer of the channel logged."""
        path = self.folder / f"{self.channel}_{number}.log"
        return path.read_text(errors="replace")

    def are_ready(self):
        """Whether all consumers that live work: without a database none can begin."""
        alive = [n for n, one in enumerate(self.consumers) if one.poll() is None]
        return all(re.search(r"\bready\b", self.log(number)) for number in alive)

    def rows(self, query, *values):
        """Run a query once the database answers."""

        async def run():
            connection = await asyncpg.connect(self.database.url)
            try:
                return await connection.fetch(query, *values)
            finally:
                await connection.close()

        def attempt():
            try:
                return [asyncio.run(run())]
            except (OSError, asyncpg.PostgresError):
                return None

        return until(attempt, 60)[0]

    def done(self):
        """The rows of the channel as they were written."""
        query = "select key, place from step where channel = $1 order by id"
        return self.rows(query, self.channel)

    def is_at_work(self):
        """Whether a handler waits in its transaction."""
        query = """select from pg_stat_activity where state = 'idle in transaction'
                   and query like 'insert into step%'"""
        return self.rows(query)

    def state(self):
        """The state of the channel, and its dead letters."""

        async def run():
            async with self.place.broker() as broker:
                state = await broker.state(self.channel)
                return state, await broker.dead(self.channel, MESSAGES)

        return asyncio.run(run())


@pytest.fixture(scope="module")
def database():
    """A database for all brokers, with the tables that a consumer makes."""
    home = Path(tempfile.mkdtemp(prefix="atom-kill-")).resolve()
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, home, ignore_errors=True)
        found = Database(home)
        found.start()
        ending.callback(found.kill)
        yield found


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A folder with Atom and a handler in it."""
    folder = tmp_path_factory.mktemp("code")
    return copied(folder, config_step=CONFIG, handler_step=HANDLER)


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory):
    """The server of those that share it."""
    with own("rabbitmq", tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="module", params=PLACES)
def around(request, tmp_path_factory, database, code):
    """A broker, and how a consumer finds it."""
    folder = tmp_path_factory.mktemp(request.param.replace(" ", "_"))
    where = folder / "broker"
    if request.param in ON_RABBITMQ:
        where = request.getfixturevalue("rabbitmq")
    with PLACES[request.param](where) as place:
        place.config["config_queue_lease_sec"] = LEASE
        config = {key: str(value) for key, value in place.config.items()} | {
            "config_postgres_url": database.url,
            "config_is_postgres_init": "1",
            "config_key_root": secrets.token_hex(16),
            "config_key_jwt": secrets.token_hex(32),
            "config_atom_folder": str(folder / "atom"),
            "config_startup_wait_sec": "60",
            "config_queue_retry_sec": "0.05,0.1",
        }
        yield World(request.param, place, database, code, config)


@pytest.fixture
def world(around):
    """All of it, with a channel of the test's own."""
    ending = ".fifo" if around.kind == "sqs" else ""
    around.channel = f"c_{secrets.token_hex(4)}{ending}"
    around.consumers = []
    try:
        yield around
    finally:
        for process in around.consumers:
            if process.poll() is None:
                signal_tree(process, signal.SIGCONT)
            stop(process)


def signal_tree(process, sign):
    """Send a signal to a consumer and to its processes."""
    top = psutil.Process(process.pid)
    for each in (top, *top.children(recursive=True)):
        os.kill(each.pid, sign)


async def send(broker, channel, place, key=None, **more):
    """Send a message until it is confirmed, under one id."""
    lane = f"k{place % KEYS}"
    message_id = f"{channel} {place}"
    body = {"function": "function_step", "message_id": message_id, "key": lane}
    body |= {"run": channel, "lane": lane, "place": place, **more}
    for _ in range(300):
        try:
            await broker.send(
                channel, json.dumps(body).encode(), message_id=message_id, key=lane
            )
            return
        except Unavailable:
            await asyncio.sleep(0.2)
    raise AssertionError("the broker did not come back")


def is_poisoned(place):
    """Whether the handler fails for a message."""
    return place % POISONED == 1


async def disturb(world, what):
    """Kill something, and start it again."""
    if what == "consumer":
        alive = [each for each in world.consumers if each.poll() is None]
        victim = random.choice(alive)
        await asyncio.to_thread(kill_tree, victim.pid)
        victim.wait()
        world.consume()
        return
    if what == "database":
        await asyncio.to_thread(until, world.are_ready, 120)
        await asyncio.to_thread(world.database.kill)
        await asyncio.sleep(1)
        world.database.start()  # in this thread: it ends with the one that started it
        return
    await asyncio.to_thread(world.place.kill)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(world.place.start)


async def flood(world, disturbances):
    """Send all messages, not far ahead of what is done, with kills on the way."""
    left = list(disturbances)
    every = MESSAGES // (len(left) + 1)
    running = []
    async with world.place.broker() as broker:
        await broker.setup(world.channel)
        await asyncio.sleep(world.place.settle_seconds)
        for _ in range(2):
            world.consume()
        for place in range(MESSAGES):
            if place % every == every - 1 and left:
                await asyncio.gather(*running)
                running = [asyncio.create_task(disturb(world, left.pop(0)))]
            await send(broker, world.channel, place)
            if place % AHEAD == AHEAD - 1:
                await asyncio.to_thread(until, partial(is_near, world, place), 120)
        await asyncio.gather(*running)


def is_near(world, place):
    """Whether most of the messages sent so far are done."""
    try:
        done = len(world.done())
    except asyncpg.UndefinedTableError:
        return False
    return done >= place - place // POISONED - AHEAD


def message_id(letter):
    """Return the id of a dead letter's message."""
    return json.loads(letter.body)["message_id"]


@pytest.mark.soak
def test_every_effect_is_there_once(world):
    """Over kills of consumers, of the broker and of the database."""
    random.seed(SEED)
    order = random.sample(KILLED, k=3)
    if size(0, 1):
        order = random.choices(KILLED, k=25)
    began = time.monotonic()
    asyncio.run(flood(world, order))

    good = [place for place in range(MESSAGES) if not is_poisoned(place)]
    bad = {f"{world.channel} {at}" for at in range(MESSAGES) if is_poisoned(at)}
    until(lambda: len(world.done()) >= len(good), 180)
    until(lambda: set(map(message_id, world.state()[1])) >= bad)
    until(lambda: world.state()[0].waiting == 0)
    seconds = time.monotonic() - began

    rows = world.done()
    assert good == sorted(row["place"] for row in rows), SEED
    state, letters = world.state()
    assert bad == set(map(message_id, letters)), SEED
    assert len(bad) == len(letters), SEED  # the copies that kills leave are one
    assert {"RuntimeError: poison"} == {letter.reason for letter in letters}
    assert all(letter.attempts >= 3 for letter in letters)  # more after a kill
    for key in range(0 if world.kind == "celery pool" else KEYS):
        places = [row["place"] for row in rows if row["key"] == f"k{key}"]
        assert sorted(places) == places, (SEED, key)
    killed = dict(Counter(order))
    figures = f"{MESSAGES} messages, killed {killed}, {seconds:.0f} s, {state}"
    sys.stdout.write(f"\n{world.kind}, seed {SEED}: {figures}\n")


def test_frozen_consumer_does_no_second_effect(world):
    """Stopped in a handler for longer than its lease, and continued."""

    async def begin():
        async with world.place.broker() as broker:
            await broker.setup(world.channel)
            world.consume()
            await send(broker, world.channel, 0, seconds=1.5)

    locked = "select from pg_stat_activity where wait_event_type = 'Lock'"
    asyncio.run(begin())
    until(world.is_at_work)
    signal_tree(world.consumers[0], signal.SIGSTOP)
    world.consume()
    until(lambda: world.rows(locked), 90)  # the other one has it
    signal_tree(world.consumers[0], signal.SIGCONT)

    until(world.done)
    until(lambda: world.state()[0].waiting == 0)
    assert [0] == [row["place"] for row in world.done()]
    assert [] == world.state()[1]


if IS_SOAK:  # it takes the seconds that such a process is left

    @pytest.mark.soak
    @pytest.mark.parametrize("around", ["redis"], indirect=True)
    def test_consumer_that_cannot_end_is_ended(world):
        """With 1, and in its log what it waits for; the message comes again."""
        world.config |= {"config_queue_drain_sec": "0.5"}

        async def begin():
            async with world.place.broker() as broker:
                await broker.setup(world.channel)
                world.consume()
                await send(broker, world.channel, 0, seconds=-1)

        asyncio.run(begin())
        until(world.is_at_work)
        world.consumers[0].send_signal(signal.SIGTERM)
        assert 1 == world.consumers[0].wait(60)
        assert "it does not end" in world.log(0)
        assert "function_step" in world.log(0)
        assert [] == world.done()
        assert 1 == world.state()[0].in_hand
