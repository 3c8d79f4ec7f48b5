"""consumer_sqs.py: what a message in SQS does, however it came there."""

import json
import secrets
import signal
import subprocess
import sys
from functools import cache

import boto3
import pytest

from tests.acceptance.conftest import serving
from tests.acceptance.consumer.consuming import consuming, until
from tests.served import environment
from tests.service.aws import REGION, keys

CONFIG = """
config_postgres_schema = {"table": {"note": ["text-text-1-0"]}}
"""
OTHERS = ("config_s3_region_name", "config_ses_region_name")
HANDLER = """
import asyncio
from extend import *

async def function_note(connection, text: str, seconds: float = 0):
    query = "insert into note (text) values (:text)"
    await connection.execute(query, {"text": text})
    await asyncio.sleep(seconds)

async def on_note_wanted(event, connection, app):
    await function_note(connection, event.payload["text"])
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory, aws_url):
    """A server, and the folder its consumers run in."""
    folder = tmp_path_factory.mktemp("shop")
    config = {
        **{key: value for key, value in keys(aws_url).items() if key not in OTHERS},
        "config_channel": f"c_{secrets.token_hex(6)}",
        "config_queue_retry_sec": "0.1,0.2",
        "config_queue_lease_sec": "2",
    }
    files = {"config_note": CONFIG, "handler_note": HANDLER}
    with serving(folder, config=config, **files) as running:
        running.folder = folder
        running.config |= {"config_postgres_url": running.database}
        yield running


@pytest.fixture(scope="module")
def aws(aws_url):
    """Returns a client of a service, as another program would have."""

    @cache
    def client(service):
        return boto3.session.Session().client(
            service,
            region_name=REGION,
            endpoint_url=aws_url,
            aws_access_key_id="other",
            aws_secret_access_key="other",
        )

    return client


def command(shop, *words, **config):
    """Run `python main.py queue …`; return its lines."""
    done = subprocess.run(
        [sys.executable, "main.py", "queue", *words],
        cwd=shop.folder,
        env=environment(shop.config | config),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def channel(shop, aws, request):
    """A queue of the test's own, as someone made it by hand."""
    ending = getattr(request, "param", "")
    name = f"c_{secrets.token_hex(6)}{ending}"
    order = {"FifoQueue": "true"} if ending else {}
    for each in (name, f"{name}_dead"):
        if not ending or each == name:
            aws("sqs").create_queue(QueueName=each, Attributes=order)
    return name


def send(aws, channel, body, **arguments):
    """Send a message as another program would."""
    sqs = aws("sqs")
    url = sqs.get_queue_url(QueueName=channel)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body), **arguments)


def note(text, **more):
    """Return a message that writes a note."""
    return {"function": "function_note", "message_id": text, "text": text, **more}


def count(shop, text):
    """Return how many notes have a text."""
    (row,) = shop.sql("select count(*) from note where text = $1", text)
    return row["count"]


def in_transaction(shop):
    """Whether a handler is at work."""
    query = """select 1 from pg_stat_activity
               where state = 'idle in transaction' and pid <> pg_backend_pid()"""
    return shop.sql(query)


def is_settled(aws, channel):
    """Whether nothing waits, and nothing is in hand."""
    sqs = aws("sqs")
    url = sqs.get_queue_url(QueueName=channel)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    names = ("", "NotVisible")
    return {"0"} == {
        found["Attributes"][f"ApproximateNumberOfMessages{name}"] for name in names
    }


def test_message_has_one_effect_and_a_bad_one_is_dead(shop, aws, channel):
    """Sent by the server's broker or by another program, and twice."""
    with consuming("sqs", shop.folder, shop.config, "--channel", channel) as process:
        for _ in range(3):
            send(aws, channel, note("once"))
        send(aws, channel, {"function": "function_nate", "message_id": "bad"})
        until(lambda: is_settled(aws, channel))
        assert process.poll() is None
    assert 1 == count(shop, "once")
    (line,) = command(shop, "dead", "sqs", "--channel", channel, "--json")
    assert "Did you mean" in json.loads(line)["reason"]


def test_event_of_a_topic_is_handled(shop, aws):
    """By a subscription of `queue setup`, and by one that someone made, enveloped."""
    channel, topic = f"c_{secrets.token_hex(6)}", f"t_{secrets.token_hex(6)}"
    own = {"config_sqs_topic": topic, "config_sqs_event_list": "note.wanted"}
    made = command(shop, "setup", "sqs", "--channel", channel, **own)
    assert any(topic in line for line in made)
    sns, sqs = aws("sns"), aws("sqs")
    url = sqs.get_queue_url(QueueName=channel)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    queue = found["Attributes"]["QueueArn"]
    other = sns.create_topic(Name=f"{topic}_other")["TopicArn"]
    sns.subscribe(TopicArn=other, Protocol="sqs", Endpoint=queue)
    kind = {"DataType": "String", "StringValue": "note.wanted"}
    topics = [sns.create_topic(Name=topic)["TopicArn"], other]
    for arn in topics * 2:
        event = {"event_type": "note.wanted", "event_id": arn, "payload": {"text": arn}}
        sns.publish(
            TopicArn=arn,
            Message=json.dumps(event),
            MessageAttributes={"event_type": kind},
        )
    with consuming("sqs", shop.folder, shop.config, "--channel", channel):
        until(lambda: is_settled(aws, channel))
    assert [1, 1] == [count(shop, arn) for arn in topics]


@pytest.mark.parametrize("channel", [".fifo"], indirect=True)
def test_order_of_a_group_is_kept(shop, aws, channel):
    """Of a FIFO queue, while each takes its time."""
    texts = [f"{channel} {number}" for number in range(6)]
    for text in texts:
        given = {"MessageGroupId": "a", "MessageDeduplicationId": text.replace(" ", "")}
        send(aws, channel, note(text, seconds=0.1), **given)
    with consuming("sqs", shop.folder, shop.config, "--channel", channel):
        until(lambda: is_settled(aws, channel))
    rows = shop.sql(
        "select text from note where text like $1 order by id", f"{channel}%"
    )
    assert texts == [row["text"] for row in rows]


def test_message_that_takes_longer_than_its_lease_is_done_once(shop, aws, channel):
    """It is kept in hand while it is worked at; another consumer does not get it."""
    own = ("--channel", channel)
    with consuming("sqs", shop.folder, shop.config, *own):
        other = shop.folder / "other.log"
        with consuming("sqs", shop.folder, shop.config, *own, log=other):
            send(aws, channel, note(channel, seconds=4))
            until(lambda: is_settled(aws, channel))
    assert 1 == count(shop, channel)


def test_what_a_killed_consumer_held_is_done_by_the_next(shop, aws, channel):
    """After the lease; with one effect."""
    own = ("--channel", channel)
    with consuming("sqs", shop.folder, shop.config, *own) as process:
        send(aws, channel, note(channel, seconds=1))
        until(lambda: in_transaction(shop))
        process.kill()
        process.wait()
    assert 0 == count(shop, channel)
    with consuming("sqs", shop.folder, shop.config, *own):
        until(lambda: is_settled(aws, channel))
    assert 1 == count(shop, channel)


def test_sigterm_finishes_what_is_in_hand(shop, aws, channel):
    """And ends with 0."""
    with consuming("sqs", shop.folder, shop.config, "--channel", channel) as process:
        send(aws, channel, note(channel, seconds=1))
        until(lambda: in_transaction(shop))
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(20)
    assert (1, True) == (count(shop, channel), is_settled(aws, channel))


@pytest.mark.parametrize(
    ("config", "cure"),
    [
        ({}, "python main.py queue setup sqs --channel c_never_made"),
        ({"config_sqs_region_name": ""}, "config_sqs_region_name"),
        ({"config_aws_secret_access_key": ""}, "Set config_aws_secret_access_key."),
    ],
)
def test_consumer_that_cannot_begin_names_the_cure(shop, config, cure):
    """No queue, or half of the keys: it exits with 1."""
    log = shop.folder / f"{secrets.token_hex(4)}.log"
    own = ("--channel", "c_never_made")
    with consuming("sqs", shop.folder, shop.config | config, *own, log=log) as process:
        assert 1 == process.wait(30)
    assert cure in log.read_text()
