"""Events in one process: published, handled, each effect once."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import serving
from tests.acceptance.test_events_webhook import until
from tests.integration.near import database_url  # noqa: F401
from tests.served import environment, free_port, serve

CONFIG = """
config_postgres_schema = {"table": {
    "booking": ["created_by_id-bigint-0-btree", "code-text-0-0"],
    "effect": ["what-text-1-0", "about-text-0-0", "detail-jsonb-0-0"],
}}
config_table = {"booking": {"my": "owner"}}
config_event = {
    "row.booking.created": {},
    "order.paid": {"target": "handler", "retry": [0.2, 0.2]},
}
"""
HANDLER = """
from pydantic import BaseModel

from function import function_event

SQL = "insert into effect (what, about, detail) values (:what, :about, :detail)"
calls = {}


class Greeted(BaseModel):
    name: str
    age: int = 7


EVENTS = {"user.greeted": Greeted}


async def note(connection, what, event):
    values = {"what": what, "about": event.event_id, "detail": event.payload}
    await connection.execute(SQL, values)


async def on_row_booking_created(event, connection, app):
    await note(connection, "booked", event)
    row = event.payload["row"]
    await function_event(app, "order.paid", aggregate_id=row["id"], payload=row)


async def on_order_paid(event, connection, app):
    calls[event.event_id] = calls.get(event.event_id, 0) + 1
    await note(connection, f"paid {calls[event.event_id]}", event)
    if event.payload["code"] == "bad" or (
        event.payload["code"] == "late" and calls[event.event_id] < 3
    ):
        raise RuntimeError("no money")


async def on_user_greeted(event, connection):
    await note(connection, f"greeted {event.event_type}", event)
"""
ROUTER = """
from fastapi import APIRouter, Request
from function import function_event

router = APIRouter()


@router.post("/greet")
async def greet(request: Request):
    payload = await request.json()
    made = await function_event(request, "user.greeted", payload=payload)
    return {"status": 1, "message": made}


@router.post("/wait")
async def wait(request: Request):
    return {"status": 1, "message": await function_event(request, "order.sent")}
"""
PUBLISHED = "atom_event_published_total"
WAITING = (  # an event of a broker that is not configured
    '"row.booking.created": {},',
    '"row.booking.created": {}, "order.sent": {"target": "redis"},',
)
FILES = {
    "config_events": CONFIG,
    "handler_events": HANDLER,
    "router_events": ROUTER,
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server in development: it handles events itself."""
    with serving(tmp_path_factory.mktemp("handler"), **FILES) as running:
        yield running


@pytest.fixture(scope="module")
def eve(shop):
    return shop.person()


def effects(shop, **about):
    """Return what handlers wrote, of one event or with a code in the payload."""
    rows = shop.sql("select * from effect order by id")
    for row in rows:
        row["detail"] = json.loads(row["detail"])
    return [
        row
        for row in rows
        if row["about"] == about.get("event", row["about"])
        and json.dumps(row["detail"]).count(about.get("code", "")) > 0
    ]


def create(shop, eve, code):
    path = "/my/object-create?table=booking"
    return shop.message("POST", path, eve, json={"code": code})


def test_a_row_event_is_handled_and_leads_to_another(shop, eve):
    """Without code at the route; the second has the request of the first."""
    path, head = "/my/object-create?table=booking", {"x-request-id": "first-1"}
    made = shop.message("POST", path, eve, json={"code": "one"}, headers=head)
    until(lambda: len(effects(shop, code='"one"')) == 2)

    names = [row["what"] for row in effects(shop, code='"one"')]
    assert ["booked", "paid 1"] == names
    text = "select * from atom.outbox where event_type = $1 and aggregate_id = $2"
    (paid,) = shop.sql(text, "order.paid", str(made))
    assert {"request_id": "first-1"} == json.loads(paid["metadata"])
    until(lambda: shop.sql(text, "order.paid", str(made))[0]["state"] == "done")


def test_a_handler_that_fails_leaves_nothing_and_is_tried_again(shop, eve):
    """Its effect is that of the last try alone."""
    create(shop, eve, "late")
    until(lambda: len(effects(shop, code='"late"')) == 2)

    assert ["booked", "paid 3"] == [r["what"] for r in effects(shop, code='"late"')]


def test_a_handler_that_never_succeeds_ends_as_dead(shop, eve):
    """With the reason, after the tries that `retry` has."""
    made = create(shop, eve, "bad")
    text = "select * from atom.outbox where event_type = $1 and aggregate_id = $2"

    def dead():
        rows = shop.sql(text, "order.paid", str(made))
        return rows and rows[0]["state"] == "dead" and rows[0]

    found = until(dead)
    assert (3, "RuntimeError: no money") == (found["attempts"], found["error"])
    assert ["booked"] == [row["what"] for row in effects(shop, code='"bad"')]


def test_a_model_checks_the_payload_and_fills_it(shop):
    """At the place where it is published."""
    made = shop.message("POST", "/greet", json={"name": "Ada"})
    until(lambda: effects(shop, event=made))
    (row,) = effects(shop, event=made)
    assert ("greeted user.greeted", {"name": "Ada", "age": 7}) == (
        row["what"],
        row["detail"],
    )
    answer = shop.call("POST", "/greet", json={"name": "Ada", "age": "old"})

    assert 500 == answer.status_code
    assert "event user.greeted: age:" in answer.json()["message"]


def test_an_event_that_is_delivered_again_has_no_second_effect(shop, eve):
    """As after a relay that was killed between the effect and its mark."""
    made = create(shop, eve, "again")
    until(lambda: len(effects(shop, code='"again"')) == 2)
    text = "select state from atom.outbox where aggregate_id = $1"
    until(lambda: {"done"} == {r["state"] for r in shop.sql(text, str(made))})
    shop.sql(
        "update atom.outbox set state = 'pending', due_at = now(), attempts = 0,"
        " settled_at = null where aggregate_id = $1",
        str(made),
    )
    until(lambda: {"done"} == {r["state"] for r in shop.sql(text, str(made))})

    assert 2 == len(effects(shop, code='"again"'))


def test_consumer_outbox_delivers_what_a_server_leaves(tmp_path):
    """In production the server only writes; SIGTERM ends the process with 0.

    Its metrics are on a port of its own, where the server's are not.
    """
    files = {**FILES, "config_events": CONFIG.replace(*WAITING)}
    with serving(tmp_path, config={"config_is_outbox": "0"}, **files) as shop:
        eve, port = shop.person(), free_port()
        create(shop, eve, "apart")
        create(shop, eve, "bad")
        shop.message("POST", "/wait")
        time.sleep(1.5)
        assert [] == effects(shop, code='"apart"')
        healthy = tmp_path / "healthy"
        process = subprocess.Popen(
            [
                *(sys.executable, "consumer_outbox.py"),
                *("--health-file", str(healthy), "--metrics-port", str(port)),
            ],
            cwd=tmp_path,
            env=environment({**shop.config, "config_postgres_url": shop.database}),
            stderr=subprocess.PIPE,
        )
        try:
            until(lambda: len(effects(shop, code='"apart"')) == 2)
            assert healthy.exists()

            def counted():
                page = shop.http.get(f"http://127.0.0.1:{port}/metrics").text
                found = dict(line.rsplit(" ", 1) for line in page.splitlines())
                return (
                    "1.0" == found.get('atom_event_dead_total{target="handler"}')
                    and 3 == float(found[f'{PUBLISHED}{{target="handler"}}'])
                    and 1 < float(found["atom_event_lag_seconds"])
                )

            until(counted)
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()

        assert 0 == process.returncode, log
        assert not healthy.exists()


def test_an_event_without_its_handler_stops_the_start(tmp_path):
    """Named with the nearest; and a model that is none."""
    text = HANDLER.replace("on_order_paid", "on_order_payed").replace(
        "EVENTS = {", 'EVENTS = {"user.left": dict, '
    )
    code = copied(tmp_path, **{**FILES, "handler_events": text})
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=code,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=90,
    )

    assert 0 != done.returncode
    assert (
        "config_event['order.paid']: no handler file has on_order_paid."
        " Did you mean 'order_payed'?" in done.stderr
    )
    assert "EVENTS['user.left']: not a Pydantic model" in done.stderr


def test_a_database_without_the_triggers_is_reported(tmp_path, database_url):  # noqa: F811
    """Where the server does not apply the schema itself; `schema apply` is the cure."""
    code = copied(tmp_path, **FILES)
    config = {
        "config_postgres_url": database_url,
        "config_is_postgres_init": "0",
        "config_key_root": "r" * 32,
        "config_key_jwt": "j" * 32,
    }
    words, env = [sys.executable, "main.py", "schema", "apply"], environment(config)
    before = config_without_events(code)
    subprocess.run(words, cwd=code, env=env, check=True, capture_output=True)
    (code / "config_events.py").write_text(before)
    (code / "later.txt").rename(code / "handler_events.py")
    with serve(config, code=code) as served:
        until(lambda: "no row events are written of booking" in served.log.read_text())
    subprocess.run(words, cwd=code, env=env, check=True, capture_output=True)
    with serve(config, code=code) as served:
        assert "no row events are written" not in served.log.read_text()


def config_without_events(code):
    """Take the events out of the config; return it as it was."""
    path = code / "config_events.py"
    before = path.read_text()
    path.write_text(before.partition("config_event")[0])
    (code / "handler_events.py").rename(code / "later.txt")
    return before
