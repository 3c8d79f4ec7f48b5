"""consumer_kafka.py on a real Kafka: rows, order, kills and freezes, commands."""

import json
import secrets
import signal
import subprocess
import sys

import confluent_kafka
import pytest

from atom.client.kafka import KAFKA
from atom.queue.kafka import broker
from tests.acceptance.conftest import serving
from tests.acceptance.consumer.consuming import asking, consuming, until
from tests.served import environment, free_port

CONFIG = """
config_postgres_schema = {"table": {"note": ["created_by_id-bigint-0-btree",
                                             "text-text-1-0", "place-bigint-0-0"]}}
config_table = {"note": {"my": {"read": "created_by_id = :me", "create": True}}}
"""
HANDLER = """
import asyncio
import os
from extend import *

async def function_note(connection, text: str, place: int):
    query = "insert into note (text, place) values (:text, :place)"
    await connection.execute(query, {"text": text, "place": place})

async def function_wait(connection, text: str, path: str):
    while not os.path.exists(path):
        await asyncio.sleep(0.05)
    await connection.execute("insert into note (text) values (:text)", {"text": text})

async def function_slow(connection, text: str, seconds: float):
    await asyncio.sleep(seconds)
    await connection.execute("insert into note (text) values (:text)", {"text": text})
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory, real_kafka_url):
    """A server that sends messages to Kafka, on a channel of its own."""
    folder = tmp_path_factory.mktemp("shop")
    config = {
        "config_kafka_url": real_kafka_url,
        "config_channel": f"c_{secrets.token_hex(4)}",
        "config_queue_retry_sec": "0.1,0.2",
        "config_queue_lease_sec": "6",
    }
    files = {"config_note": CONFIG, "handler_note": HANDLER}
    with serving(folder, config=config, **files) as running:
        running.folder = folder
        running.config |= {"config_postgres_url": running.database}
        yield running


@pytest.fixture(scope="module")
def producer(real_kafka_url):
    """Another program's, by another library."""
    yield confluent_kafka.Producer({"bootstrap.servers": real_kafka_url})


@pytest.fixture(scope="module")
def kafka(real_kafka_url):
    """The broker, as this process sees it."""
    with asking((KAFKA,), broker, {"config_kafka_url": real_kafka_url}) as ask:
        yield ask


@pytest.fixture
def channel(kafka):
    """A channel of this test's own."""
    name = f"c_{secrets.token_hex(4)}"
    kafka("setup", name)
    return name


def command(shop, *words):
    """Run `python main.py queue …`; return its lines."""
    done = subprocess.run(
        [sys.executable, "main.py", "queue", *words],
        cwd=shop.folder,
        env=environment(shop.config),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


def state(kafka, channel):
    """Return how many messages wait, and how many are dead."""
    found = kafka("state", channel)
    return found.waiting, found.dead


def ask(producer, channel, function, key=None, **arguments):
    """Send a message that asks for a function."""
    body = {"function": function, "message_id": secrets.token_hex(8), **arguments}
    producer.produce(channel, json.dumps(body), key=key)


def texts(shop, text):
    """Return the places of the notes with a text, as they were written."""
    query = "select place from note where text = $1 order by id"
    return [row["place"] for row in shop.sql(query, text)]


def test_row_of_a_route_is_written_by_the_consumer(shop):
    """The answer is the id of the message; the row is the caller's."""
    eve = shop.person()
    path = "/my/object-create?table=note&queue=kafka"
    with consuming("kafka", shop.folder, shop.config):
        assert 36 == len(shop.message("POST", path, eve, json={"text": "later"}))
        read = "/my/object-read?table=note&text==,later"
        (found,) = until(lambda: shop.message("GET", read, eve))
    assert eve.id == found["created_by_id"]


def test_order_of_a_key_is_kept_and_the_poisoned_are_dead(
    shop, producer, kafka, channel
):
    """A message of another program: its key is the record's, its id in the body."""
    for place in range(60):
        for key in ("a", "b", "c"):
            ask(
                producer, channel, "function_note", key, text=channel + key, place=place
            )
        if place % 20 == 0:
            ask(producer, channel, "function_note", "a", text=channel, place="wrong")
    producer.flush(30)
    with consuming("kafka", shop.folder, shop.config, "--channel", channel):
        until(lambda: all(59 in texts(shop, channel + key) for key in ("a", "b", "c")))
        until(lambda: state(kafka, channel) == (0, 3))
    for key in ("a", "b", "c"):
        assert list(range(60)) == texts(shop, channel + key)


def test_sigterm_finishes_what_is_in_hand(shop, producer, kafka, channel):
    """The one being handled is done and settled; the process ends with 0."""
    with consuming("kafka", shop.folder, shop.config, "--channel", channel) as own:
        ask(producer, channel, "function_slow", text=channel, seconds=2)
        producer.flush(30)
        until(lambda: in_transaction(shop))
        own.send_signal(signal.SIGTERM)
        assert 0 == own.wait(20)
    assert 1 == len(texts(shop, channel))
    assert (0, 0) == state(kafka, channel)


def in_transaction(shop):
    """Whether a handler is at work."""
    query = """select 1 from pg_stat_activity
               where state = 'idle in transaction' and pid <> pg_backend_pid()"""
    return shop.sql(query)


@pytest.mark.parametrize("is_frozen", [False, True], ids=["killed", "frozen"])
def test_partition_of_a_lost_consumer_moves(shop, producer, kafka, channel, is_frozen):
    """To one that is alive; the effect is there once, also when the lost one thaws."""
    options = ("--channel", channel)
    with consuming("kafka", shop.folder, shop.config, *options) as own:
        ask(producer, channel, "function_slow", text=channel, seconds=1)
        producer.flush(30)
        until(lambda: in_transaction(shop))
        own.send_signal(signal.SIGSTOP if is_frozen else signal.SIGKILL)
        if is_frozen:
            query = """select pg_terminate_backend(pid) from pg_stat_activity
                       where state = 'idle in transaction'"""
            shop.sql(query)  # as idle_in_transaction_session_timeout does
        log = shop.folder / f"{channel}.log"
        with consuming("kafka", shop.folder, shop.config, *options, log=log):
            until(lambda: texts(shop, channel), seconds=60)
            own.send_signal(signal.SIGCONT)
            until(lambda: state(kafka, channel) == (0, 0))
            ask(producer, channel, "function_slow", text=channel, seconds=0)
            producer.flush(30)
            until(lambda: 2 == len(texts(shop, channel)), seconds=60)
            until(lambda: state(kafka, channel) == (0, 0))
    assert 2 == len(texts(shop, channel))


def test_commands(shop, producer, kafka, channel):
    """Dead letters are listed and replayed; setup is done once."""
    own = ("--channel", channel)
    assert ["nothing to create"] == command(shop, "setup", "kafka", *own)
    for _ in range(3):
        ask(producer, channel, "gone")
    producer.flush(30)
    with consuming("kafka", shop.folder, shop.config, *own):
        until(lambda: (0, 3) == state(kafka, channel))
    (line,) = command(shop, "list", *own, "--json")
    assert (0, 3) == (json.loads(line)["waiting"], json.loads(line)["dead"])
    lines = command(shop, "dead", "kafka", *own, "--json")
    letters = [json.loads(line) for line in lines]
    assert 3 == len(letters)
    assert "no function 'gone'" in letters[0]["reason"]
    assert ["3 sent again"] == command(shop, "replay", "kafka", "--all", *own)
    assert (3, 0) == state(kafka, channel)


def test_lag_is_what_the_group_has_not_settled(shop, producer, channel):
    """At the metrics of a consumer, and as another library counts it."""
    port, stop = free_port(), shop.folder / f"go_{channel}"
    labels = f'broker="kafka",channel="{channel}"'
    for _ in range(4):
        ask(producer, channel, "function_wait", key="a", text=channel, path=str(stop))
    producer.flush()

    def lag():
        page = shop.http.get(f"http://127.0.0.1:{port}/metrics").text
        found = dict(line.rsplit(" ", 1) for line in page.splitlines())
        return float(found.get(f"atom_queue_lag{{{labels}}}", -1))

    words = ("--channel", channel, "--metrics-port", str(port))
    with consuming("kafka", shop.folder, shop.config, *words):
        until(lambda: 4 == lag())
        assert 4 == behind(shop, channel)
        stop.touch()
        until(lambda: 0 == lag())
        assert 0 == behind(shop, channel)
    assert 4 == len(texts(shop, channel))


def behind(shop, channel):
    """Return by how much the group lags, as librdkafka knows it."""
    reader = confluent_kafka.Consumer(
        {"bootstrap.servers": shop.config["config_kafka_url"], "group.id": "atom"}
    )
    try:
        numbers = reader.list_topics(channel, timeout=10).topics[channel].partitions
        places = [confluent_kafka.TopicPartition(channel, each) for each in numbers]
        total = 0
        for place in reader.committed(places, timeout=10):
            low, high = reader.get_watermark_offsets(place, timeout=10)
            total += high - max(low, place.offset)
        return total
    finally:
        reader.close()
