"""`celery -A consumer_celery worker`, with RabbitMQ and with Redis as its broker."""

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager

import pytest

from atom.client import opened
from atom.client.celery import CELERY
from atom.config.keys import KEYS
from atom.queue.celery import TASK, broker, queue_name
from tests import machine
from tests.acceptance.conftest import serving
from tests.acceptance.consumer.consuming import until
from tests.integration.near import free_port, valkey
from tests.served import environment, stop

DEFAULTS = {key.name: key.default for key in KEYS}
CONFIG = """
config_postgres_schema = {"table": {"note": [
    "created_at-timestamptz-0-0", "created_by_id-bigint-0-btree", "text-text-1-0"]}}
config_table = {"note": {"my": "owner"}}
"""
HANDLER = """
import asyncio
import os
import signal
from extend import *

async def insert(connection, text):
    query = "insert into note (text) values (:text)"
    await connection.execute(query, {"text": text})

async def function_note(connection, text: str):
    await insert(connection, text)

async def function_fail(connection, app, text: str):
    await insert(connection, text)
    raise RuntimeError("out of ink")

async def function_slow(connection, text: str):
    await insert(connection, text)
    open(text, "w").close()
    while not os.path.exists(text + ".go"):
        await asyncio.sleep(0.05)

async def function_die(connection, text: str):
    await insert(connection, text)
    if not os.path.exists(text):
        open(text, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module", params=["rabbitmq", "redis"])
def url(request):
    """A broker of Celery's."""
    if request.param == "rabbitmq":
        yield request.getfixturevalue("rabbitmq_url")
    else:
        with valkey(free_port()) as url:
            yield url


@pytest.fixture(scope="module")
def shop(tmp_path_factory, url):
    """A server that sends tasks."""
    folder = tmp_path_factory.mktemp("shop")
    config = {
        "config_celery_broker_url": url,
        "config_channel": f"c_{secrets.token_hex(4)}",
        "config_queue_retry_sec": "0.1,0.2",
        "config_queue_lease_sec": "3",
        "config_queue_drain_sec": "6",
    }
    files = {"config_note": CONFIG, "handler_note": HANDLER}
    with serving(folder, config=config, **files) as running:
        running.folder = folder
        running.config |= {
            "config_postgres_url": running.database,
            "config_log_level": "DEBUG",
        }
        yield running


@contextmanager
def working(shop, channel=None):
    """Run a worker with two processes until the block ends."""
    config = shop.config | ({"config_channel": channel} if channel else {})
    name = f"worker_{secrets.token_hex(3)}"
    log = shop.folder / f"{name}.log"
    command = [sys.executable, "-m", "celery", "-A", "consumer_celery", "worker"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "-c", "2", "--loglevel=INFO", "-n", name],
            cwd=shop.folder,
            env=environment(config),
            stdout=out,
            stderr=out,
        )
    try:
        until(lambda: "ready." in log.read_text() or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        process.log = log
        yield process
    finally:
        stop(process)


@pytest.fixture(scope="module")
def worker(shop):
    """One worker for most tests."""
    with working(shop) as process:
        yield process


@asynccontextmanager
async def sender(shop):
    """Open the broker as a process of Atom does."""
    values = {
        "config_celery_broker_url": shop.config["config_celery_broker_url"],
        "config_queue_lease_sec": 3.0,
    }
    config = DEFAULTS | values
    async with opened((CELERY,), config) as live:
        yield broker(live, config)


def with_broker(shop, work, channel=None):
    """Run `await work(broker, channel)`."""

    async def run():
        async with sender(shop) as found:
            return await work(found, channel or shop.config["config_channel"])

    return asyncio.run(run())


def ask(shop, function, message_id=None, channel=None, **arguments):
    """Send a message that asks for a function."""
    message_id = message_id or secrets.token_hex(8)
    body = {"function": function, "message_id": message_id, **arguments}
    raw(shop, json.dumps(body).encode(), message_id, channel)


def raw(shop, body, message_id, channel=None):
    """Send a body as it is."""

    def send(found, at):
        return found.send(at, body, message_id=message_id)

    with_broker(shop, send, channel)


def dead(shop, mark):
    """Return the dead letters with a mark in their body."""
    letters = with_broker(shop, lambda found, at: found.dead(at, 100))
    return [letter for letter in letters if mark.encode() in letter.body]


def count(shop, text):
    """Return how many notes have a text."""
    (row,) = shop.sql("select count(*) from note where text = $1", text)
    return row["count"]


def test_row_of_a_route_is_written_by_the_worker(shop, worker):
    """`queue=celery` answers with the id of the message."""
    eve = shop.person()
    path = "/my/object-create?table=note&queue=celery"
    assert 36 == len(shop.message("POST", path, eve, json={"text": "later"}))
    read = "/my/object-read?table=note&text==,later"
    (found,) = until(lambda: shop.message("GET", read, eve))
    assert eve.id == found["created_by_id"]


def test_message_has_one_effect(shop, worker):
    """However often it is sent; also when its body is not ASCII."""
    for _ in range(3):
        ask(shop, "function_note", "one-effect", text="einmal \u00e9 \U0001f600")
    ask(shop, "function_note", "last-effect", text="last")
    until(lambda: count(shop, "last"))
    time.sleep(1)
    assert 1 == count(shop, "einmal \u00e9 \U0001f600")


def test_copies_of_a_dead_letter_are_one(shop, worker):
    """As a kill leaves them: one is listed, one is sent again."""

    def number():
        return with_broker(shop, lambda found, at: found.state(at)).dead

    before = number()
    for _ in range(2):
        raw(shop, b"not json twin", "twin")
    until(lambda: number() == before + 2)
    assert ["twin"] == [letter.id for letter in dead(shop, "twin")]

    assert 1 == with_broker(shop, lambda found, at: found.replay(at, ["twin"]))
    until(lambda: number() == before + 1)
    assert ["twin"] == [letter.id for letter in dead(shop, "twin")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json m1", "is not JSON"),
        (b"\xff\x00 m2", "is not JSON"),
        (b'{"function": "function_nate", "message_id": "m3"}', "Did you mean"),
        (b'{"function": "function_note", "message_id": "m4"}', "text: Field required"),
    ],
)
def test_what_cannot_be_done_is_dead_at_once(shop, worker, body, reason):
    """With the body as it was sent."""
    mark = re.search(rb"m\d", body)[0].decode()
    raw(shop, body, "m")
    (letter,) = until(lambda: dead(shop, mark))
    assert (body, 1) == (letter.body, letter.attempts)
    assert reason in letter.reason
    assert letter.died_at.tzinfo is not None


def test_failure_is_tried_again_then_dead_and_replayed(shop, worker):
    """Three attempts without an effect; a replay begins with the first."""
    ask(shop, "function_fail", "f1", text="no ink")
    for _ in range(2):
        (letter,) = until(lambda: dead(shop, "no ink"))
        assert ("RuntimeError: out of ink", 3) == (letter.reason, letter.attempts)
        assert "f1" == letter.id
        assert 1 == with_broker(shop, lambda found, at: found.replay(at, ["f1"]))
        until(lambda: not dead(shop, "no ink"), 5) if _ else None
    (letter,) = until(lambda: dead(shop, "no ink"))
    assert 0 == count(shop, "no ink")
    assert with_broker(shop, lambda found, at: found.purge(at, dead=True))
    assert [] == dead(shop, "")


def test_order_needs_rabbitmq(shop):
    """Redis would not keep it: the worker ends, and names the key."""
    config = shop.config | {
        "config_celery_broker_url": "redis://127.0.0.1:1/0",
        "config_celery_is_ordered": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "consumer_celery", "worker"],
        cwd=shop.folder,
        env=environment(config),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode
    assert "config_celery_is_ordered needs RabbitMQ" in ended.stderr


def test_sigterm_finishes_what_is_in_hand(shop):
    """Warm shutdown: the task is done, the worker ends with 0."""
    text = channel = f"slow_{secrets.token_hex(4)}"
    with working(shop, channel) as own:
        ask(shop, "function_slow", channel=channel, text=text)
        until((shop.folder / text).exists)
        own.send_signal(signal.SIGTERM)
        until(lambda: "Warm shutdown" in own.log.read_text())
        (shop.folder / f"{text}.go").touch()
        assert 0 == own.wait(20)
    assert 1 == count(shop, text)


def test_process_that_dies_loses_nothing(shop, worker):
    """Killed within a handler; another process does it, once."""
    text = f"die_{secrets.token_hex(4)}"
    ask(shop, "function_die", text=text)
    until(lambda: count(shop, text))
    time.sleep(1)
    assert 1 == count(shop, text)


def test_messages_in_hand_together_are_each_settled(shop):
    """As one process has them: done, dead, tried again, and one that ends it."""
    channel = f"many_{secrets.token_hex(4)}"
    notes = [("function_note", f"{channel}_{number}") for number in range(60)]
    others = [("function_fail", "together"), ("function_die", f"{channel}_die")]

    async def send(found, at):
        for function, text in [*notes[:30], *others, *notes[30:]]:
            body = {"function": function, "text": text}
            await found.send(at, json.dumps(body).encode(), message_id=text)
        await found.send(at, b"not json many", message_id="many")

    with_broker(shop, send, channel)
    some = f"""select count(*), count(distinct text) as texts from note
               where text like '{channel}%'"""

    def state():
        return with_broker(shop, lambda found, at: found.state(at), channel)

    with working(shop, channel):
        until(lambda: shop.sql(some)[0]["texts"] == 61)
        until(lambda: state().dead == 2)
        assert 0 == state().waiting
    assert [{"count": 61, "texts": 61}] == shop.sql(some)
    letters = with_broker(shop, lambda found, at: found.dead(at, 9), channel)
    assert {"many", "together"} == {letter.id for letter in letters}


def test_worker_that_is_killed_loses_nothing(shop):
    """With all of its processes; the next worker takes over, after the lease."""
    text = channel = f"kill_{secrets.token_hex(4)}"
    with working(shop, channel) as own:
        ask(shop, "function_slow", channel=channel, text=text)
        until((shop.folder / text).exists)
        for each in [*machine.process(own.pid).children(recursive=True), own]:
            os.kill(each.pid, signal.SIGKILL)
        own.wait()
    assert 0 == count(shop, text)
    (shop.folder / f"{text}.go").touch()
    with working(shop, channel):
        until(lambda: count(shop, text))
        time.sleep(1)
    assert 1 == count(shop, text)


def test_message_of_another_program_is_a_dead_letter(shop, worker):
    """Nor is what is not a task, does not exist or has other arguments lost."""

    async def send(found, channel):
        name = queue_name(found._config, channel)

        def work(link):
            with link.Producer() as producer:
                producer.publish("plain text", routing_key=name, exchange="")
                producer.publish({"a": "json"}, routing_key=name, exchange="")
            for task, words in {"other.task": ["theirs"], TASK: [1, "ours"]}.items():
                found._celery.send_task(task, args=words, queue=name, connection=link)

        await found.wire.run(work)

    with_broker(shop, send)
    (letter,) = until(lambda: dead(shop, "plain text"))
    assert "cannot be decoded" in letter.reason
    (letter,) = until(lambda: dead(shop, "json"))
    assert "not a Celery task" in letter.reason
    (letter,) = until(lambda: dead(shop, "theirs"))
    assert "other.task" in letter.reason
    (letter,) = until(lambda: dead(shop, "ours"))
    assert "neither 'function'" in letter.reason
