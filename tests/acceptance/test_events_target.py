"""Events through every target at once: from a row over HTTP to an effect, each once.

One server delivers, one consumer of each broker handles; a broker that the machine
lacks is left out, and listed at the end of the run.
"""

import json
import re
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import boto3
import pytest

from tests.acceptance.conftest import serving
from tests.acceptance.consumer.consuming import consuming, until
from tests.acceptance.test_events_webhook import SECRET, Receiver
from tests.integration.near import redis_url  # noqa: F401
from tests.served import environment, free_port, stop
from tests.service.aws import REGION, keys

NAMES = (
    *("handler", "webhook", "redis", "rabbitmq", "kafka", "celery"),
    *("sqs", "sns", "sns_raw"),
)
KEPT = 3  # updates of each row, after it was created
HANDLER = """
import logging
from atom.observe.request_context import REQUEST_ID

SQL = ("insert into effect (what, code, place, event_id, request_id, context)"
       " values (:what, :code, :place, :event_id, :request_id, :context)")
log = logging.getLogger("shop")


async def note(connection, what, event):
    row = event.payload["row"]
    log.warning("handled %s", row["code"])
    await connection.execute(SQL, {
        "what": what, "code": row["code"], "place": row["place"],
        "event_id": event.event_id, "request_id": event.metadata["request_id"],
        "context": REQUEST_ID.get()})
"""
BOTH = """

async def on_row_by_{name}_{verb}(event, connection, app):
    await note(connection, "{name}", event)
"""
TABLE = ["created_by_id-bigint-0-btree", "code-text-0-0", "place-bigint-0-0"]
EFFECT = [
    *("what-text-1-0", "code-text-1-0", "place-bigint-1-0", "event_id-text-1-0"),
    *("request_id-text-0-0", "context-text-0-0"),
]


def files(names, channels, topics, receiver):
    """Return the config and the handlers: a table, and two events of it, for each."""
    tables = {f"by_{name}": TABLE for name in names}
    events = {
        f"row.by_{name}.{verb}": {
            "target": "sns" if name == "sns_raw" else name,
            "channel": channels.get(name, "unused"),
            "topic": topics.get(name, ""),
        }
        for name in names
        for verb in ("created", "updated")
    }
    events["shop.lost"] = {"target": "webhook", "retry": []}
    url = f"http://127.0.0.1:{receiver.server_port}"
    entry = {"secret": SECRET, "is_private": 1}
    hooks = {
        "crm": {**entry, "url": f"{url}/crm", "types": ["row.*"]},
        "away": {**entry, "url": f"{url}/away", "types": ["shop.lost"]},
    }
    receiver.answers["/away"] = [500]
    config = {
        "config_postgres_schema": {"table": {**tables, "effect": EFFECT}},
        "config_table": {
            **{name: {"my": "owner"} for name in tables},
            "effect": {"my": {"create": True}},
        },
        "config_event": events,
        "config_webhook": hooks,
    }
    handlers = (
        BOTH.format(name=name, verb=verb)
        for name in names
        if name != "webhook"
        for verb in ("created", "updated")
    )
    return {
        "config_events": "\n".join(f"{k} = {v!r}" for k, v in config.items()),
        "handler_events": HANDLER + "".join(handlers),
        "router_events": ROUTER,
    }


ROUTER = """
from extend import *

router = APIRouter()


@router.post("/lose")
async def lose(request: Request):
    return {"status": 1, "message": await function_event(request, "shop.lost")}
"""


def topics_of(aws_url, queue):
    """Make the topics: one wraps what it hands to the queue, the other does not."""
    given = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    given |= {"endpoint_url": aws_url, "region_name": REGION}
    session = boto3.session.Session()
    sns, sqs = session.client("sns", **given), session.client("sqs", **given)
    order = {"FifoQueue": "true"}
    url = sqs.create_queue(QueueName=queue, Attributes=order)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    made = {}
    for name, is_raw in (("sns", "false"), ("sns_raw", "true")):
        topic = f"{queue.removesuffix('.fifo')}_{name}.fifo"
        made[name] = sns.create_topic(Name=topic, Attributes={"FifoTopic": "true"})[
            "TopicArn"
        ]
        sns.subscribe(
            TopicArn=made[name],
            Protocol="sqs",
            Endpoint=found["Attributes"]["QueueArn"],
            Attributes={
                "RawMessageDelivery": is_raw,
                # An attribute of each message, without which none would come.
                "FilterPolicy": json.dumps(
                    {"event_type": [{"prefix": f"row.by_{name}."}]}
                ),
            },
        )
    return made


@contextmanager
def worker(folder, config):
    """Run a Celery worker of one process until the block ends."""
    command = [sys.executable, "-m", "celery", "-A", "consumer_celery", "worker"]
    log = folder / "consumer_celery.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "-c", "1", "--loglevel=INFO"],
            cwd=folder,
            env=environment(config),
            stdout=out,
            stderr=out,
        )
    try:
        until(lambda: "ready." in log.read_text() or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        stop(process)


@pytest.fixture(scope="module")
def receiver():
    """Takes webhooks."""
    server = Receiver()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def shop(request, tmp_path_factory, redis_url, aws_url, receiver):  # noqa: F811
    """A server that delivers, and the consumers: `shop.names` are the targets."""
    folder = tmp_path_factory.mktemp("targets")
    own = f"c_{secrets.token_hex(4)}"
    config = keys(aws_url) | {
        "config_redis_pubsub_url": redis_url,
        "config_channel": own,
        "config_is_prometheus": "1",
    }
    names, channels = list(NAMES), dict.fromkeys(NAMES, own)
    channels["sqs"] = f"{own}.fifo"
    for name, key, fixture in (
        ("rabbitmq", "config_rabbitmq_url", "rabbitmq_url"),
        ("celery", "config_celery_broker_url", "rabbitmq_url"),
        ("kafka", "config_kafka_url", "real_kafka_url"),
    ):
        try:
            config[key] = request.getfixturevalue(fixture)
        except pytest.skip.Exception:
            names.remove(name)  # listed as absent at the end of the run
    topics = topics_of(aws_url, channels["sqs"])
    made = files(names, channels, topics, receiver)
    with serving(folder, config=config, **made) as running, ExitStack() as stack:
        own_config = running.config | {"config_postgres_url": running.database}
        running.folder, running.names, running.ports = folder, names, {}
        around = [worker(folder, own_config)] if "celery" in names else []
        for name in ("redis", "rabbitmq", "kafka", "sqs"):
            if name in names:
                running.ports[name] = port = free_port()
                words = ("--channel", channels[name], "--metrics-port", str(port))
                around.append(consuming(name, folder, own_config, *words))
        with ThreadPoolExecutor() as pool:
            processes = list(pool.map(stack.enter_context, around))
        running.channels = channels
        yield running
        for process in processes:  # all at once
            process.terminate()


@pytest.fixture(scope="module")
def eve(shop):
    """Who writes rows."""
    return shop.person()


def write(shop, eve, name, code):
    """Create a row and change it, each by a request with an id of its own."""
    head = {"x-request-id": f"{code}-0"}
    body, table = {"code": code, "place": 0}, f"by_{name}"
    made = shop.message(
        "POST", f"/my/object-create?table={table}", eve, json=body, headers=head
    )
    for place in range(1, KEPT + 1):
        head = {"x-request-id": f"{code}-{place}"}
        body = {"id": made, "place": place}
        path = f"/my/object-update?table={table}"
        shop.message("PUT", path, eve, json=body, headers=head)


def effects(shop, name, code):
    """Return what was handled of a row, in the order in which it was."""
    text = "select * from effect where what = $1 and code = $2 order by id"
    return shop.sql(text, name, code)


def is_delivered(shop):
    """Whether the outbox has nothing left to deliver."""
    states = shop.sql("select distinct state from atom.outbox")
    return "pending" not in {row["state"] for row in states}


def received(receiver, code):
    """Return the webhooks of a row: the id, and the place."""
    found = []
    for head, body in receiver.of("/crm"):
        row = json.loads(body)["payload"]["row"]
        if row["code"] == code:
            found.append((head["webhook-id"], row["place"]))
    return found


@pytest.fixture(scope="module")
def handled(shop, eve, receiver):
    """Rows written for every target, all delivered, and then delivered once more."""
    names = [name for name in shop.names if name != "webhook"]
    for name in shop.names:
        write(shop, eve, name, f"one-{name}")
    until(lambda: is_delivered(shop), 60)
    for name in names:
        until(lambda name=name: effects(shop, name, f"one-{name}")[KEPT:], 60)
    shop.sql(
        "update atom.outbox set state = 'pending', settled_at = null, attempts = 0,"
        " due_at = now()"
    )
    until(lambda: is_delivered(shop), 60)
    for name in shop.names:
        write(shop, eve, name, f"two-{name}")
    for name in names:
        until(lambda name=name: effects(shop, name, f"two-{name}")[KEPT:], 60)
    until(lambda: is_delivered(shop), 60)
    return names


@pytest.mark.parametrize("name", NAMES)
def test_each_event_has_one_effect_in_order(shop, receiver, handled, name):
    """Also when it is delivered twice: of the four events of a row, four effects."""
    if name not in shop.names:
        pytest.skip(f"absent: {name}")
    order = list(range(KEPT + 1))
    if name == "webhook":  # what comes twice has the same id
        once = dict(received(receiver, "one-webhook"))
        assert order == list(once.values())
        assert 2 * len(order) == len(received(receiver, "one-webhook"))
        return

    for code in (f"one-{name}", f"two-{name}"):
        assert order == [row["place"] for row in effects(shop, name, code)]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "webhook"])
def test_handler_has_the_request_that_caused_it(shop, handled, name):
    """In the event, around the handler, and in each line that it logs."""
    if name not in shop.names:
        pytest.skip(f"absent: {name}")
    code = f"one-{name}"
    wanted = [f"{code}-{place}" for place in range(KEPT + 1)]
    found = effects(shop, name, code)
    assert wanted == [row["request_id"] for row in found]
    assert wanted == [row["context"] for row in found]
    consumer = "sqs" if name.startswith("sns") else name
    log = shop.log if name == "handler" else shop.folder / f"consumer_{consumer}.log"
    lines = re.findall(rf"shop \[(\S+)\] handled {code}$", log.read_text(), re.M)
    assert wanted == lines


def samples(text):
    """Return the samples of a page of metrics, by name with labels."""
    lines = re.findall(r"(?m)^([^#\s]\S*(?:\{.*\})?) (\S+)$", text)
    return {name: float(value) for name, value in lines}


def test_metrics_of_the_server_that_delivers(shop, handled):
    """Published and dead by target, produced by a route."""
    shop.message("POST", "/lose")
    path = "/my/object-create?table=effect&queue=redis"
    row = {"what": "queued", "code": "q", "place": 1, "event_id": "q"}
    shop.message("POST", path, shop.person(), json=row)

    def counted():
        found = samples(shop.call("GET", "/metrics").text)
        return found.get('atom_event_dead_total{target="webhook:away"}') and found

    found = until(counted)
    each = 3.0 * (KEPT + 1)  # the first row twice
    wanted = {name: each for name in shop.names if name not in ("webhook", "sns_raw")}
    wanted |= {"sns": 2 * each, "webhook:crm": each}
    assert wanted == {
        name: found[f'atom_event_published_total{{target="{name}"}}'] for name in wanted
    }
    assert 1 == found['atom_event_dead_total{target="webhook:away"}']
    assert "atom_event_lag_seconds" in found
    labels = f'broker="redis",channel="{shop.channels["redis"]}"'
    assert 1 == found[f"atom_queue_produced_total{{{labels}}}"]


@pytest.mark.parametrize("name", ["redis", "rabbitmq", "kafka", "sqs"])
def test_metrics_of_a_consumer(shop, handled, name):
    """Every delivery is counted, and what waits."""
    if name not in shop.names:
        pytest.skip(f"absent: {name}")
    url = f"http://127.0.0.1:{shop.ports[name]}/metrics"
    labels = f'broker="{name}",channel="{shop.channels[name]}"'
    least = 3 * (KEPT + 1) if name != "sqs" else 6 * (KEPT + 1)

    def counted():
        found = samples(shop.http.get(url).text)
        done = found.get(f'atom_queue_consumed_total{{{labels},outcome="done"}}', 0)
        return done >= least and 0 == found.get(f"atom_queue_lag{{{labels}}}")

    until(counted)
