"""SQS as a broker, on moto's server behind a gate that can be closed."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from uuid import uuid4

import pytest

from atom.aws import Aws, AwsConfig, publish
from atom.client import opened
from atom.client.aws import SNS, SQS
from atom.config.keys import KEYS
from atom.config.view import view
from atom.errors import ConfigError, Unavailable
from atom.queue import sqs
from atom.queue.broker import Delivery
from atom.queue.message import parse
from atom.queue.sqs_message import Token
from tests.gate import Gate
from tests.integration.broker_contract import BrokerContract, Place, sent, take
from tests.service.aws import keys

LEASE = 2.0
DEFAULTS = {key.name: key.default for key in KEYS}


@pytest.fixture
def place(aws_url):
    """SQS; a kill closes the way to it, since moto keeps nothing over its own end."""
    gate = Gate(aws_url)
    config = {**keys(gate.url), "config_queue_lease_sec": LEASE}
    yield Place(
        config,
        (SQS, SNS),
        sqs.broker,
        gate.close,
        gate.open,
    )
    gate.close()


class TestStandard(BrokerContract):
    """A queue without an order, which moto keeps nevertheless."""


class TestFifo(BrokerContract):
    """A queue that keeps the order of each key."""

    others = (("n", b"same"),)  # it takes an id once

    async def twice_dead(self, broker, channel):
        """Reject one message twice."""
        await broker.send(channel, b"same", message_id="m", key="k")
        async with broker.subscribe(channel, prefetch=1) as one:
            (held,) = await take(aiter(one), 1)
            await one.reject(held, "broken", 1)
            await one.reject(held, "broken", 1)

    @pytest.fixture
    async def channel(self, broker):
        """A FIFO queue of this test's own."""
        name = f"c_{uuid4().hex[:12]}.fifo"
        await broker.setup(name)
        return name


@pytest.fixture
async def broker(place):
    async with place.broker() as broker:
        yield broker


@pytest.fixture
async def aws(place):
    """The services, for looking."""
    config = {**DEFAULTS, **place.config}
    async with opened((SQS, SNS), config) as live:
        yield Aws(live, view(AwsConfig, config))


def named():
    return f"c_{uuid4().hex[:12]}"


async def url_of(aws, channel):
    return (await aws.call("sqs", "get_queue_url", QueueName=channel))["QueueUrl"]


class TestTopic:
    """`config_sqs_topic`: the queue takes what a topic of SNS publishes."""

    @pytest.mark.parametrize("ending", ["", ".fifo"])
    async def test_setup_subscribes_the_queue_once(self, place, aws, ending):
        """Topic, access, filter; the second time there is nothing to do."""
        channel, topic = named() + ending, f"t_{uuid4().hex[:8]}{ending}"
        place.config |= {
            "config_sqs_topic": topic,
            "config_sqs_event_list": ("user.created", "user.gone"),
        }
        async with place.broker() as broker:
            made = await broker.setup(channel)
            assert [] == await broker.setup(channel)
            assert f"topic {topic}" in made
            assert f"subscription of {channel} to {topic}" in made

            more = {"Attributes": {"FifoTopic": "true"}} if ending else {}
            made = await aws.call("sns", "create_topic", Name=topic, **more)
            arn = made["TopicArn"]
            event = {"event_type": "user.created", "event_id": "e-1"}
            for kind in ("user.changed", "user.created"):
                body = json.dumps({**event, "event_type": kind})
                await publish(
                    aws, arn, body, {"event_type": kind}, key="k", message_id=kind
                )
            async with broker.subscribe(channel, prefetch=5) as one:
                (found,) = await take(aiter(one), 1)
                await one.accept([found])
            state = await broker.state(channel)

        assert event == json.loads(found.body)  # raw, not in an envelope of SNS
        assert {"event_type": "user.created"} == dict(found.headers)
        assert ("user.created", "e-1") == (parse(found).name, parse(found).id)
        assert (0, 0) == (state.waiting, state.in_hand)
        place.config["config_sqs_event_list"] = ()
        async with place.broker() as broker:
            changed = await broker.setup(channel)
        assert [f"FilterPolicy of the subscription of {channel} to {topic}"] == changed

    async def test_policy_lets_that_topic_send_and_no_other(self, place, aws):
        """And the dead letters are where SQS itself would move a message."""
        channel = named()
        arn = (await aws.call("sns", "create_topic", Name="by-arn"))["TopicArn"]
        place.config["config_sqs_topic"] = arn
        async with place.broker() as broker:
            await broker.setup(channel)
        answer = await aws.call(
            "sqs",
            "get_queue_attributes",
            QueueUrl=await url_of(aws, channel),
            AttributeNames=["All"],
        )
        found = answer["Attributes"]

        (statement,) = json.loads(found["Policy"])["Statement"]
        assert {"ArnEquals": {"aws:SourceArn": arn}} == statement["Condition"]
        assert found["QueueArn"] == statement["Resource"]
        redrive = json.loads(found["RedrivePolicy"])
        assert f"{found['QueueArn']}_dead" == redrive["deadLetterTargetArn"]
        assert 1000 == int(redrive["maxReceiveCount"])

    async def test_envelope_of_sns_is_unwrapped(self, aws, broker):
        """Of a subscription that someone made without raw delivery."""
        channel = named()
        await broker.setup(channel)
        topic = (await aws.call("sns", "create_topic", Name=named()))["TopicArn"]
        answer = await aws.call(
            "sqs",
            "get_queue_attributes",
            QueueUrl=await url_of(aws, channel),
            AttributeNames=["QueueArn"],
        )
        given = {"Protocol": "sqs", "Endpoint": answer["Attributes"]["QueueArn"]}
        await aws.call("sns", "subscribe", TopicArn=topic, **given)
        await publish(aws, topic, '{"function": "function_x", "a": 1}')
        async with broker.subscribe(channel, prefetch=1) as one:
            (found,) = await take(aiter(one), 1)
            await one.accept([found])

        message = parse(found)
        assert ("function_x", {"a": 1}) == (message.name, message.arguments)
        assert message.id != found.message_id  # the id of SNS, the same in every queue


async def test_message_of_another_program_is_taken(aws, broker):
    """Its attributes are headers, its id that of SQS, of a FIFO queue the key."""
    channel = f"{named()}.fifo"
    await broker.setup(channel)
    kind = {"DataType": "String", "StringValue": "a.b"}
    sent_as = await aws.call(
        "sqs",
        "send_message",
        QueueUrl=await url_of(aws, channel),
        MessageBody="plain",
        MessageGroupId="group-1",
        MessageAttributes={"event_type": kind},
    )
    async with broker.subscribe(channel, prefetch=1) as one:
        (found,) = await take(aiter(one), 1)
        await one.accept([found])

    assert (b"plain", "group-1") == (found.body, found.key)
    assert f"sqs {sent_as['MessageId']}" == found.message_id
    assert {"event_type": "a.b"} == dict(found.headers)


async def test_message_that_is_not_extended_is_delivered_again(broker):
    """After its lease, to another consumer, counted."""
    channel = named()
    await broker.setup(channel)
    ids = await sent(broker, channel, 1)
    async with broker.subscribe(channel, prefetch=1) as frozen:
        await take(aiter(frozen), 1)
        async with broker.subscribe(channel, prefetch=1) as other:
            (found,) = await take(aiter(other), 1)
            await other.accept([found])

    assert (ids[0], 2) == (found.message_id, found.count)


async def test_dead_letter_of_a_fifo_queue_dies_again(broker):
    """Within the five minutes in which SQS drops what has the same id."""
    channel = f"{named()}.fifo"
    await broker.setup(channel)
    await sent(broker, channel, 1, key="a")
    for number in range(3):
        async with broker.subscribe(channel, prefetch=1) as one:
            (found,) = await take(aiter(one), 1)
            await one.reject(found, f"broken {number}", 1)
        (dead,) = await broker.dead(channel, 10)
        assert f"broken {number}" == dead.reason
        assert 1 == await broker.replay(channel, None)


async def test_message_sent_twice_to_a_fifo_queue_is_there_once(broker):
    """As after a confirmation that was lost."""
    channel = f"{named()}.fifo"
    await broker.setup(channel)
    for _ in range(2):
        await broker.send(channel, b"{}", message_id="same", key="ä b")

    assert 1 == await broker.purge(channel, dead=False)


async def test_channel_without_a_queue_is_named_with_the_cure(broker):
    """To who sends, and to a consumer that starts."""
    with pytest.raises(Unavailable, match="no queue 'nowhere'") as caught:
        await broker.send("nowhere", b"{}", message_id="a")
    assert "python main.py queue setup sqs" in caught.value.hint
    with pytest.raises(ConfigError, match="queue setup sqs --channel nowhere"):
        async with broker.subscribe("nowhere", prefetch=1):
            pass
    state = await broker.state("nowhere")
    assert (None, None, None) == (state.waiting, state.in_hand, state.dead)


class Partly(BaseHTTPRequestHandler):
    """An SQS that fails at one message of the first batch."""

    asked: ClassVar[list[list[str]]] = []
    sender_fault = False

    def do_POST(self):
        """Answer JSON, as SQS."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = {"QueueUrl": f"http://{self.headers['host']}/1/q"}
        if self.headers["x-amz-target"].endswith("Batch"):
            ids = [each["ReceiptHandle"] for each in body["Entries"]]
            self.asked.append(ids)
            failed = [
                {"Id": each["Id"], "Code": "Bad", "SenderFault": self.sender_fault}
                for each in body["Entries"]
                if each["ReceiptHandle"] == "r3" and len(self.asked) == 1
            ]
            answer = {"Successful": [], "Failed": failed}
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Print nothing."""


@pytest.mark.parametrize("sender_fault", [False, True])
async def test_batch_that_is_settled_in_part_is_finished(place, sender_fault):
    """What SQS failed at is tried again alone; what it will never take is an error."""
    Partly.asked, Partly.sender_fault = [], sender_fault
    server = ThreadingHTTPServer(("127.0.0.1", 0), Partly)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    place.config |= keys(f"http://127.0.0.1:{server.server_port}")
    held = [Delivery(b"", Token(f"m{n}", f"r{n}")) for n in range(12)]
    try:
        async with place.broker() as broker:
            one = sqs.SqsSubscription(broker, "q", 20)
            if sender_fault:
                with pytest.raises(Unavailable, match="did not settle 1 messages: Bad"):
                    await one.accept(held)
            else:
                await one.accept(held)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    first = [f"r{n}" for n in range(10)]
    if sender_fault:
        assert [first] == Partly.asked
    else:
        assert [first, ["r3"], ["r10", "r11"]] == Partly.asked
