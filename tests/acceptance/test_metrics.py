"""/metrics: what Prometheus reads, of one process and of several."""

import os
import re
import secrets
import signal
import time

import httpx2
import pytest

from tests import machine
from tests.acceptance.conftest import serving
from tests.acceptance.operations import Hand, eventually, hands, running

ON = {"config_is_prometheus": "1"}
ROUTER = """
import asyncio
from prometheus_client import Counter
from extend import *

router = APIRouter()
SOLD = Counter("shop_sold_total", "Sold.")


@router.get("/shop/{item}")
async def shop(item: str):
    SOLD.inc()
    return {"status": 1, "message": item}


@router.get("/slow-shop")
async def slow():
    await asyncio.sleep(2)


@router.get("/broken-shop")
async def broken():
    raise ZeroDivisionError
"""
CONFIG = """
config_api = {
    "/shop/{item}": {"cache_sec": ["inmemory", 60]},
    "/limited-shop": {"ratelimiter_times_sec": [1, 60]},
}
"""
LIMITED = """
from extend import *

router = APIRouter()


@router.get("/limited-shop")
async def limited():
    return {"status": 1, "message": "x"}
"""


def read(api, who=None):
    """Return the samples of /metrics by name with labels."""
    answer = api.call("GET", "/metrics", who)
    assert 200 == answer.status_code, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = re.findall(r"(?m)^([^#\s]\S*(?:\{.*\})?) (\S+)$", answer.text)
    return {name: float(value) for name, value in lines}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A server with metrics, and routes of a shop."""
    with serving(
        tmp_path_factory.mktemp("metrics"),
        config=ON,
        router_shop=ROUTER,
        router_limited=LIMITED,
        config__shop=CONFIG,
    ) as found:
        yield found


def test_requests_are_counted_by_route_and_not_by_path(api):
    """A template is one series, however many paths it has."""
    for number in range(5):
        api.message("GET", f"/shop/{number}")
    found = read(api)
    where = 'handler="/shop/{item}"'
    counted = f'http_requests_total{{{where},method="GET",status="2xx"}}'

    assert 5 == found[counted]
    timed = f'http_request_duration_seconds_count{{{where},method="GET"}}'
    assert 5 == found[timed]
    assert not [name for name in found if "/shop/3" in name]


def test_unknown_paths_are_one_series(api):
    """A scanner makes no new ones."""
    for _ in range(3):
        api.call("GET", f"/{secrets.token_hex(4)}")
    found = read(api)

    assert 3 <= found['http_requests_total{handler="unknown",method="-",status="4xx"}']
    assert 3 <= found['atom_refused_total{code="route.unknown"}']


def test_failures_and_refusals_are_counted(api):
    """By the class of the status, and by error code."""
    api.call("GET", "/broken-shop")
    api.call("GET", "/my/profile")
    for _ in range(3):
        api.call("GET", "/limited-shop")
    found = read(api)

    broken = 'http_requests_total{handler="/broken-shop",method="GET",status="5xx"}'
    assert 1 == found[broken]
    assert 1 <= found['atom_refused_total{code="token.missing"}']
    assert 2 == found['atom_refused_total{code="rate.exceeded"}']


def test_answers_of_the_cache_are_counted(api):
    """Those stored, and those that came from it."""
    before = read(api)
    for _ in range(4):
        api.message("GET", "/shop/again")
    after = read(api)

    def more(outcome):
        name = f'atom_cache_total{{outcome="{outcome}"}}'
        return after[name] - before.get(name, 0)

    assert (1, 3) == (more("stored"), more("cached"))


def test_what_is_in_use_is_shown(api):
    """Requests being answered, connections of the pool, the process itself."""
    machine.proc()
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(httpx2.get, f"{api.url}/slow-shop", timeout=30)
        time.sleep(0.7)
        found = read(api)
        slow.result()

    assert 2 == found["http_requests_inprogress"]  # and the question itself
    assert 20 == found['atom_pool_max{pool="primary"}']
    used = found['atom_pool_connections{pool="primary",state="used"}']
    assert 1 <= used + found['atom_pool_connections{pool="primary",state="idle"}'] <= 20
    assert found["process_resident_memory_bytes"] > 1e6


def test_metrics_of_a_drop_in_are_shown(api):
    """Made with prometheus_client, as anywhere."""
    before = read(api)["shop_sold_total"]
    api.message("GET", f"/shop/{secrets.token_hex(4)}")

    assert before + 1 == read(api)["shop_sold_total"]


def test_reading_is_not_a_row_of_the_log(api):
    """Nor the health check."""
    read(api)
    time.sleep(1)

    assert [] == api.sql("select 1 from log_api where api = '/metrics'")


def test_off_there_is_no_such_path(tmp_path):
    """Unless it is switched on."""
    with serving(tmp_path) as api:
        assert 404 == api.call("GET", "/metrics").status_code


def test_without_the_package_the_cure_is_named(tmp_path):
    """At the start in the log, and on the route."""
    blocked = {"PYTHONPATH": str(tmp_path / "path")}
    (tmp_path / "path" / "prometheus_client").mkdir(parents=True)
    (tmp_path / "path" / "prometheus_client" / "__init__.py").write_text(
        "raise ImportError('not here')"
    )
    (tmp_path / "code").mkdir()
    with serving(tmp_path / "code", config=ON | blocked) as api:
        answer = api.call("GET", "/metrics")
        cure = "Run: pip install prometheus_client"

        assert (503, "client.missing") == (answer.status_code, answer.json()["code"])
        assert answer.json()["hint"].startswith(cure)
        assert cure in api.log.read_text()
        assert 200 == api.call("GET", "/test").status_code


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Two workers."""
    code = tmp_path_factory.mktemp("shared")
    with running(code, ON | {"config_workers": "2"}) as found:
        yield found


class TestSeveralWorkers:
    """Whichever worker is asked, the numbers are those of all."""

    def test_counts_are_those_of_all(self, shop):
        """Ten requests to each are twenty, from either."""
        counted = 'http_requests_total{handler="/ops/many",method="GET",status="2xx"}'
        with hands(shop.url, 2) as found:
            for hand in found:
                for n in range(10):
                    hand.ask(f"/ops/many?n={n}&size=1")
            texts = {hand.ask("/metrics").text for hand in found}

        assert all(f"{counted} 20.0" in text for text in texts)

    def test_killed_worker_leaves_its_counts_and_not_its_gauges(self, shop):
        """What was counted stays; the pool of a dead process is nobody's."""

        def pool():
            return read(shop).get('atom_pool_max{pool="primary"}')

        eventually(lambda: 40 == pool())
        before = read(shop)
        hand = Hand(shop.url)
        os.kill(hand.pid, signal.SIGKILL)
        hand.http.close()
        with hands(shop.url, 2) as found:
            assert hand.pid not in {each.pid for each in found}
        eventually(lambda: 40 == pool())

        named = 'http_requests_total{handler="/ops/many",method="GET",status="2xx"}'
        assert before[named] == read(shop)[named]
