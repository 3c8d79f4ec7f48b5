"""Sentry: errors and durations, and nothing personal among them."""

import json
import secrets

import pytest

from tests import web
from tests.acceptance.conftest import serving
from tests.acceptance.operations import eventually

ROUTER = """
import asyncio
import logging
from extend import *

router = APIRouter()
log = logging.getLogger("shop")


@router.post("/shop/{name}")
async def shop(name: str, request: Request):
    secret_local = await request.json()
    raise ValueError(f"cannot sell to '{name}'\\nDETAIL: Key (email)=({name})")


@router.get("/shop-ok/{name}")
async def fine(name: str):
    return {"status": 1, "message": "x"}


@router.get("/shop-unique")
async def unique(request: Request, name: str):
    pool = request.app.state.client_postgres_asyncpg_pool
    work = pool.fetchval("select json($1::text)", name)
    request.app.state.ports.tasks.spawn(work, name="work of the database")


@router.get("/shop-task")
async def task(request: Request):
    async def work():
        raise LookupError("in the background")
    request.app.state.ports.tasks.spawn(work(), name="work of the shop")


@router.get("/shop-log")
async def logged():
    log.error("lost the order of %s", "zo" + "e@example.com")
    log.warning("not an error")
"""
PERSONAL = ("zoe", "example.com", "hunter2", "cookie-of", "9876543210")


@pytest.fixture(scope="module")
def sentry():
    """A stand-in that keeps what comes."""
    with web.web(web.sentry) as found:
        yield found


@pytest.fixture(scope="module")
def api(sentry, tmp_path_factory):
    """A server that sends to it."""
    dsn = sentry.url.replace("http://", f"http://{web.KEY}@") + "/7"
    values = {"config_sentry_dsn": dsn, "config_sentry_traces_sample_rate": "1"}
    code = tmp_path_factory.mktemp("sentry")
    with serving(code, config=values, router_shop=ROUTER) as found:
        yield found


def one(sentry, kind, test):
    """Return the one thing of a kind that passes a test, once it came."""
    found = []

    def came():
        found[:] = [each for each in web.envelopes(sentry, kind) if test(each)]
        return found

    eventually(came)
    assert 1 == len(found)
    return found[0]


def clean(event):
    """Check that nothing personal is anywhere in an event."""
    text = json.dumps(event)
    assert [] == [word for word in PERSONAL if word in text]
    assert not {"user", "request", "breadcrumbs", "extra"} & set(event)


def test_error_of_a_route_is_sent_without_anything_personal(api, sentry):
    """Its kind, its trace, its route, the id of the request, the release."""
    request_id = secrets.token_hex(8)
    answer = api.call(
        "POST",
        "/shop/zoe@example.com?phone=9876543210",
        json={"password": "hunter2"},
        headers={"x-request-id": request_id, "Cookie": "a=cookie-of"},
    )
    assert 500 == answer.status_code
    event = one(sentry, "event", lambda e: e["tags"].get("request_id") == request_id)

    clean(event)
    (error,) = event["exception"]["values"][-1:]
    assert ("ValueError", "cannot sell to ***") == (error["type"], error["value"])
    assert "shop" == error["stacktrace"]["frames"][-1]["function"]
    assert "POST /shop/{name}" == event["transaction"] == event["tags"]["route"]
    assert ("development", "atom@0.1.0") == (event["environment"], event["release"])


def test_error_of_the_database_keeps_its_values(api, sentry):
    """PostgreSQL quotes what it was sent, in its DETAIL."""
    api.call("GET", "/shop-unique?name=zoe")
    event = one(sentry, "event", lambda e: e.get("transaction") == "GET /shop-unique")

    clean(event)
    assert "zoe" in api.log.read_text()  # where it happened, it is there


def test_error_of_a_task_in_the_background_is_sent(api, sentry):
    """Nobody waits for it, and it is not lost."""
    api.call("GET", "/shop-task")
    event = one(
        sentry,
        "event",
        lambda e: "LookupError" in json.dumps(e.get("exception", "")),
    )

    assert "in the background" == event["exception"]["values"][-1]["value"]


def test_logged_error_is_sent_without_its_arguments(api, sentry):
    """A line below ERROR is not."""
    api.call("GET", "/shop-log")
    event = one(sentry, "event", lambda e: e.get("logger") == "shop")

    clean(event)
    assert "lost the order of %s" == event["logentry"]["message"]


def test_duration_of_a_request_is_sent_by_its_route(api, sentry):
    """With its status."""
    api.message("GET", "/shop-ok/zoe")
    sent = one(
        sentry, "transaction", lambda t: t["transaction"] == "GET /shop-ok/{name}"
    )

    clean(sent)
    assert "route" == sent["transaction_info"]["source"]
    assert "ok" == sent["contexts"]["trace"]["status"]
    assert sent["timestamp"] > sent["start_timestamp"]


def test_refusals_are_no_errors(api, sentry):
    """404 and 401 are answers."""
    before = len(web.envelopes(sentry, "event"))
    api.call("GET", "/nowhere")
    api.call("GET", "/my/profile")
    api.call("GET", "/shop-log")
    eventually(lambda: len(web.envelopes(sentry, "event")) > before)

    assert before + 1 == len(web.envelopes(sentry, "event"))


def test_last_error_is_sent_at_the_end(tmp_path):
    """What happened just before SIGTERM is flushed, within its time."""
    with web.web(web.sentry) as sentry:
        dsn = sentry.url.replace("http://", f"http://{web.KEY}@") + "/7"
        values = {"config_sentry_dsn": dsn, "config_sentry_traces_sample_rate": "0"}
        with serving(tmp_path, config=values, router_shop=ROUTER) as api:
            api.call("POST", "/shop/x", json={})
        assert 1 == len(web.envelopes(sentry, "event"))
        assert [] == web.envelopes(sentry, "transaction")
