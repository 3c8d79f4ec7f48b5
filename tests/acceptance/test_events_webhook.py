"""Webhooks: from a row that is written to a receiver that checks the signature."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.acceptance.conftest import serving
from tests.served import environment

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER = "whsec_" + base64.b64encode(KEY[::-1]).decode()
CONFIG = """
config_postgres_schema = {{"table": {{
    "booking": ["created_by_id-bigint-0-btree", "code-text-0-0", "otp-text-0-0"],
}}}}
config_table = {{"booking": {{"my": "owner"}}}}
config_event = {{
    "row.booking.created": {{"target": ["webhook"], "retry": [0.2, 0.2]}},
    "row.booking.deleted": {{"target": "webhook"}},
    "user.greeted": {{"target": "webhook"}},
}}
config_webhook = {{
    "crm": {{"url": "{url}/crm", "secret": "{secret}", "types": ["row.*"],
             "is_private": 1, "timeout_sec": 2}},
    "audit": {{"url": "{url}/audit", "secret": "{other}", "is_private": 1,
               "types": ["row.booking.created"]}},
    "closed": {{"url": "http://localhost:{port}/closed", "secret": "{secret}",
                "types": "user.*"}},
}}
"""
ROUTER = """
from fastapi import APIRouter, Request
from function import function_event

router = APIRouter()


@router.post("/greet")
async def greet(request: Request):
    made = await function_event(request, "user.greeted", payload={"to": "all"})
    return {"status": 1, "message": made}
"""


class Receiver(ThreadingHTTPServer):
    """Keeps every request, and answers as a test wants."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answering)
        self.got = []
        self.answers = {}  # by path: a list of statuses, the last one for ever
        self.slow = 0.0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, path):
        return [(head, body) for where, head, body in self.got if where == path]

    def answer(self, path):
        statuses = self.answers.get(path) or [204]
        return statuses.pop(0) if len(statuses) > 1 else statuses[0]


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Keep a request, whatever its method: who follows a 302 comes with GET."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.got.append((self.path, dict(self.headers), body))
        time.sleep(self.server.slow)
        status = self.server.answer(self.path)
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_):
        """Keep quiet."""


@pytest.fixture(scope="module")
def receiver():
    server = Receiver()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory, receiver):
    """A server in development: it delivers events itself."""
    port = receiver.server_port
    config = CONFIG.format(
        url=f"http://127.0.0.1:{port}", port=port, secret=SECRET, other=OTHER
    )
    folder = tmp_path_factory.mktemp("webhook")
    files = {"config_events": config, "router_events": ROUTER}
    with serving(folder, **files) as running:
        running.folder = folder
        yield running


@pytest.fixture(scope="module")
def eve(shop):
    return shop.person()


@pytest.fixture(autouse=True)
def quiet(receiver):
    receiver.got.clear()
    receiver.answers.clear()
    receiver.slow = 0.0


def until(true, seconds=30):
    """Wait until something holds; return it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.05)
    return found


def create(shop, eve, **row):
    return shop.message("POST", "/my/object-create?table=booking", eve, json=row)


def outbox(shop, made, target):
    text = (
        "select * from atom.outbox where aggregate_id = $1 and target = $2"
        " and event_type = 'row.booking.created'"
    )
    return shop.sql(text, str(made), target)[0]


def signed(key, headers, body):
    """Return what a receiver computes, by the specification."""
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(key, text, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def command(shop, *words):
    """Run `python main.py event …` beside the server."""
    return subprocess.run(
        [sys.executable, "main.py", "event", *words],
        cwd=shop.folder,
        env=environment({**shop.config, "config_postgres_url": shop.database}),
        capture_output=True,
        text=True,
        timeout=90,
    )


def test_a_row_that_is_created_comes_signed(shop, eve, receiver):
    """To each endpoint that takes its type, with that endpoint's secret."""
    made = create(shop, eve, code="a", otp="123")
    until(lambda: receiver.of("/crm") and receiver.of("/audit"))
    (head, body), (other, same) = receiver.of("/crm")[0], receiver.of("/audit")[0]
    head, other = ({k.lower(): v for k, v in each.items()} for each in (head, other))

    assert head["webhook-signature"] == signed(KEY, head, body)
    assert other["webhook-signature"] == signed(KEY[::-1], other, same)
    assert abs(time.time() - int(head["webhook-timestamp"])) < 60
    assert "application/json" == head["content-type"]
    event = json.loads(body)
    assert body == same
    assert head["webhook-id"] == event["event_id"]
    assert ["aggregate_id", "aggregate_type", "event_id", "event_type", "metadata"] == (
        sorted(event)[:5]
    )
    assert ("row.booking.created", str(made), "a") == (
        event["event_type"],
        event["aggregate_id"],
        event["payload"]["row"]["code"],
    )
    assert event["occurred_at"].endswith("+00:00")
    assert eve.id == event["metadata"]["user_id"]
    assert "123" not in body.decode()
    until(lambda: outbox(shop, made, "webhook:crm")["state"] == "done")


def test_a_failure_is_tried_again_with_the_same_id(shop, eve, receiver):
    """And the endpoint that took it gets it once."""
    receiver.answers["/crm"] = [500, 302, 200]
    made = create(shop, eve, code="b")
    until(lambda: outbox(shop, made, "webhook:crm")["state"] == "done")
    until(lambda: outbox(shop, made, "webhook:audit")["state"] == "done")

    ids = [json.loads(body)["event_id"] for _, body in receiver.of("/crm")]
    assert 3 == len(ids)
    assert 1 == len(set(ids))
    assert 1 == len(receiver.of("/audit"))
    assert [] == receiver.of("/elsewhere")


def test_after_the_last_try_it_is_dead_and_replayed_by_a_command(shop, eve, receiver):
    """With the reason; after the replay it has the same id."""
    receiver.answers["/crm"] = [503]
    made = create(shop, eve, code="c")
    until(lambda: outbox(shop, made, "webhook:crm")["state"] == "dead")
    event_id = str(outbox(shop, made, "webhook:crm")["event_id"])
    assert 3 == len(receiver.of("/crm"))
    done = command(shop, "dead", "--json")
    assert 0 == done.returncode, done.stderr
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    (found,) = [each for each in listed if each["event_id"] == event_id]
    assert ("webhook:crm", 3) == (found["target"], found["attempts"])
    assert "the endpoint answers 503" in found["error"]
    receiver.answers.clear()
    done = command(shop, "replay", event_id)
    assert (0, "1 to be delivered again.\n") == (done.returncode, done.stdout)
    until(lambda: outbox(shop, made, "webhook:crm")["state"] == "done")
    assert {event_id} == {json.loads(b)["event_id"] for _, b in receiver.of("/crm")}
    assert 1 == command(shop, "replay", event_id).returncode
    assert 2 == command(shop, "replay").returncode
    assert 2 == command(shop, "replay", "nonsense").returncode


def test_an_endpoint_that_is_slow_is_given_up_in_time(shop, eve, receiver):
    """After its timeout, whatever it does later."""
    receiver.slow = 4.0
    made = create(shop, eve, code="d")
    until(lambda: outbox(shop, made, "webhook:crm")["error"])

    assert "no answer in 2 s" in outbox(shop, made, "webhook:crm")["error"]
    receiver.slow = 0.0
    until(lambda: outbox(shop, made, "webhook:crm")["state"] == "done")


def test_410_ends_it_at_once(shop, eve, receiver):
    """The receiver wants no more of it."""
    receiver.answers["/crm"] = [410]
    made = create(shop, eve, code="e")
    until(lambda: outbox(shop, made, "webhook:crm")["state"] == "dead")

    assert 1 == len(receiver.of("/crm"))


def test_a_private_address_is_refused(shop, receiver):
    """Unless its entry allows it; nothing was sent."""
    made = shop.message("POST", "/greet")
    text = "select * from atom.outbox where event_id = $1::text::uuid"
    until(lambda: shop.sql(text, made)[0]["state"] == "dead")

    assert "private network" in shop.sql(text, made)[0]["error"]
    assert [] == receiver.of("/closed")


def test_a_row_that_is_deleted_comes_after_it_was_created(shop, eve, receiver):
    """In order, also where the first one had to be tried again."""
    receiver.answers["/crm"] = [500, 200]
    made = create(shop, eve, code="f")
    shop.message("DELETE", f"/my/rows/booking/{made}", eve)
    until(lambda: len(receiver.of("/crm")) == 3)

    names = [json.loads(body)["event_type"] for _, body in receiver.of("/crm")]
    assert ["row.booking.created"] * 2 + ["row.booking.deleted"] == names
    done = command(shop, "list", "--type", "row.booking.deleted")
    assert "webhook:crm" in done.stdout


FAULTS = {
    "config_event['user created']: not the name": {"user created": {}},
    "no target 'kafak'. Did you mean 'kafka'?": {"a.b": {"target": ["kafak"]}},
    "no table 'bookin'. Did you mean 'booking'?": {"row.bookin.created": {}},
    "'create' is not created, updated, deleted.": {"row.booking.create": {}},
    "unknown key 'targets'. Did you mean 'target'?": {"a.c": {"targets": []}},
    "['retry']: expected a list of seconds": {"a.d": {"retry": 5}},
    "no entry of config_webhook takes b.c": {"b.c": {"target": "webhook"}},
    "the target sns needs 'topic'": {"a.e": {"target": "sns"}},
}


def test_every_fault_is_reported_at_the_start(tmp_path):
    """All at once, with the nearest right word; a secret is not shown."""
    from tests.acceptance.checkout import copied

    events = {name: entry for each in FAULTS.values() for name, entry in each.items()}
    webhook = {"crm": {"url": "ftp://x", "secret": "hunter2", "types": ["row.*"]}}
    text = (
        'config_postgres_schema = {"table": {"booking": ["code-text-0-0"]}}\n'
        f"config_event = {events!r}\nconfig_webhook = {webhook!r}\n"
    )
    code = copied(tmp_path, config_events=text)
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=code,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=90,
    )

    assert 0 != done.returncode
    for fault in FAULTS:
        assert fault in done.stderr, done.stderr
    assert "config_webhook['crm']['url']: expected https://" in done.stderr
    assert "config_webhook['crm']['secret']: expected whsec_" in done.stderr
    assert "hunter2" not in done.stderr
