"""One caller at full speed, with any of the grammar, takes it from no other."""

import random
import statistics
import threading
import time
from urllib.parse import quote

import pytest

from tests.acceptance.conftest import opened
from tests.acceptance.operations import at_once, connected, eventually
from tests.acceptance.people import newcomer
from tests.account_setup import execute
from tests.expensive import FILL, READ, reads, writes
from tests.served import serve
from tests.soak import size

SECONDS = float(size(4, 12))
CROWD = 16  # connections of the caller who asks for much


@pytest.fixture(scope="module")
def busy():
    """Serve twenty thousand rows of one user."""
    with serve() as served:
        api = opened(served)
        api.ada, api.bob = newcomer(api), newcomer(api)
        execute(api.database, FILL.format(owner=api.ada.id))
        for number in range(20):
            body = {"title": f"of bob {number}"}
            api.message("POST", "/my/object-create?table=test", api.bob, json=body)
        yield api
        api.http.close()


class Small(threading.Thread):
    """One who reads a few rows, and logs in, and asks for health; notes each answer."""

    def __init__(self, api):
        super().__init__(daemon=True)
        self.api, self.took, self.refused = api, [], []
        self.over = threading.Event()

    def run(self):
        paths = [READ + "limit=10", "/my/profile", "/health"]
        with connected(self.api.url) as http:
            number = 0
            while not self.over.is_set():
                began, number = time.monotonic(), number + 1
                answer = http.get(paths[number % 3], headers=self.api.bob.headers)
                self.took.append(time.monotonic() - began)
                if answer.status_code != 200:
                    self.refused.append(answer.text)
                time.sleep(0.01)


class Greedy(threading.Thread):
    """One connection of the caller who asks for much, as fast as it is answered."""

    def __init__(self, api, number):
        super().__init__(daemon=True)
        self.api, self.number, self.codes = api, number, set()
        self.over = threading.Event()

    def run(self):
        drawn = random.Random(self.number)
        with connected(self.api.url) as http:
            while not self.over.is_set():
                calls = [("GET", path, None) for path in reads()]
                calls += writes(self.number)
                method, path, body = drawn.choice(calls)
                answer = http.request(
                    method, path, headers=self.api.ada.headers, json=body
                )
                if answer.status_code >= 400:
                    code = answer.json()["code"]
                    self.codes.add(f"{answer.status_code} {code}")


def watched(small, seconds):
    """Ask for a while; return the median and the slowest of the answers."""
    small.start()
    time.sleep(seconds)
    small.over.set()
    small.join(30)
    return statistics.median(small.took), max(small.took)


def test_others_are_served(busy, record_property):
    """Not one error, and in the time of a busy machine rather than of a full pool."""
    alone, _ = watched(Small(busy), 3)
    greedy = [Greedy(busy, number) for number in range(CROWD)]
    for each in greedy:
        each.start()
    small = Small(busy)
    try:
        median, slowest = watched(small, SECONDS)
    finally:
        for each in greedy:
            each.over.set()
        for each in greedy:
            each.join(30)
    record_property("slowed", round(median / alone, 2))

    assert [] == small.refused
    assert median < max(2 * alone, alone + 0.25)
    assert slowest < 5
    codes = set().union(*(each.codes for each in greedy))
    known = {
        "503 pool.share",
        "503 pool.exhausted",  # its share came free just as it gave up
        "504 timeout.exceeded",
        "409 row.busy",
        "404 row.missing",
    }
    assert codes <= known, codes


def test_back_references_are_refused(busy):
    """What takes PostgreSQL seconds for one row."""
    for pattern in (r"^(.*)(.*)\1\2$", r"(a)\1", r"(a)\\\1"):
        query = f"description=~,{quote(pattern)}"
        answer = busy.call("GET", READ + query, busy.ada)
        assert 400 == answer.status_code
        assert "filter.back_reference" == answer.json()["code"]
    escaped = quote(r"a\\1")
    busy.message("GET", f"{READ}description=~,{escaped}", busy.ada)


def test_a_regular_expression_has_less_time(busy):
    """A fifth of config_read_timeout_ms."""
    slow = quote("((a?){1,80}){1,80}c((a?){1,80}){1,80}$")
    began = time.monotonic()
    answer = busy.call("GET", READ + f"title==,letters&description=~,{slow}", busy.ada)
    assert answer.status_code in {200, 400, 504}
    assert time.monotonic() - began < 4


def test_who_asks_for_more_than_a_share_hears_so(tmp_path_factory):
    """After the wait for a connection, with Retry-After; another is served at once."""
    from tests.acceptance.checkout import copied

    slow = """
from extend import *

router = APIRouter()


@router.get("/my/slow")
async def slow(request: Request) -> responses.Response:
    database = request.app.state.client_postgres
    await database.fetch_val("select pg_sleep(6)")
    return responses.JSONResponse(1)
"""
    code = copied(tmp_path_factory.mktemp("slow"), router_slow=slow)
    values = {"config_postgres_acquire_timeout_sec": "3"}
    with serve(values, code=code) as served:
        api = opened(served)
        ada, bob = newcomer(api), newcomer(api)
        slow_ones = "select count(*) from pg_stat_activity where state = 'active'"
        slow_ones += " and query = 'select pg_sleep(6)'"

        def ask(number):
            if number == 0:
                eventually(lambda: 10 == api.sql(slow_ones)[0]["count"])
                answer = api.call("GET", "/my/object-read?table=test", bob)
                return answer, api.sql(slow_ones)[0]["count"]
            return api.call("GET", "/my/slow", ada), 0

        (small, still_slow), *others = at_once(13, ask)

        assert (200, 10) == (small.status_code, still_slow)
        codes = sorted(answer.status_code for answer, _ in others)
        assert [200] * 10 + [503] * 2 == codes  # half of 20
        refused = [answer for answer, _ in others if answer.status_code == 503]
        assert {"pool.share"} == {answer.json()["code"] for answer in refused}
        assert all(answer.headers["retry-after"] for answer in refused)
        api.http.close()
