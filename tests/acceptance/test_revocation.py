"""What it costs that a token ends at once: no query for a request. How soon it is."""

import statistics
import time

import pytest

from tests import soak
from tests.acceptance.conftest import Person
from tests.acceptance.operations import (
    eventually,
    hands,
    held,
    running,
)
from tests.acceptance.people import PASSWORD, newcomer

WORKERS = 2
ROUTE = "/ops/slow?seconds=0"  # needs a token, and nothing of the database
CONFIG = """
config_api = {
    "/ops/pid": {"is_log": 0},
    "/ops/slow": {"is_token": 1, "is_log": 0},
    "/auth/login-password": {"ratelimiter_times_sec": [100000, 60]},
}
config_is_token_cookie = 1
"""
LOCK = """lock table users, atom.token_version, atom.session, atom.api_key
          in access exclusive mode"""


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """Two workers."""
    code = tmp_path_factory.mktemp("revocation")
    values = {"config_workers": str(WORKERS)}
    with running(code, values, config=CONFIG) as found:
        yield found


@pytest.fixture(scope="module")
def workers(api):
    """A connection to each worker."""
    with hands(api.url, WORKERS) as found:
        yield found


def test_a_request_makes_no_query_of_its_caller(api, workers):
    """By token, cookie or API key: while nobody can read users, all are answered."""
    person = newcomer(api)
    body = {"name": "x", "route": ["GET /ops/slow"]}
    key = api.message("POST", "/my/api-key-create", person, json=body)
    page = {"sec-fetch-site": "same-origin"}
    callers = (
        {"authorization": f"Bearer {person.token}"},
        {"authorization": f"Bearer {key}"},
        {"cookie": f"__Host-atom_token={person.token}", **page},
    )

    def statuses(times):
        return {
            worker.http.get(ROUTE, headers=headers).status_code
            for _ in range(times)
            for worker in workers
            for headers in callers
        }

    assert {200} == statuses(1)  # each worker has read the user, and found the key
    read = "/my/api-key-read"
    eventually(lambda: api.message("GET", read, person)[0]["last_used_at"])
    with held(api.database, LOCK):
        assert {200} == statuses(10)


def again(api, person):
    """Log in once more."""
    body = {"type": 1, "username": person.username, "password": PASSWORD}
    pair = api.call("POST", "/auth/login-password", json=body).json()
    return Person(person.id, "", "", pair["message"], pair["refresh_token"])


@pytest.mark.soak
def test_a_logout_on_one_worker_is_known_on_the_other(api, workers):
    """In less than 100 ms, of 200 rounds in a soak run 99 of 100."""
    here, there = workers
    person, took = newcomer(api), []
    for _ in range(soak.size(5, 200)):
        device = again(api, person)
        assert {200} == {each.ask(ROUTE, device).status_code for each in workers}
        assert 200 == here.ask("/auth/logout", device, "POST").status_code
        began = time.monotonic()
        eventually(lambda: there.ask(ROUTE, device).status_code == 401)  # noqa: B023
        took.append((time.monotonic() - began) * 1000)
        assert 401 == here.ask(ROUTE, device).status_code
    took.sort()
    p99 = took[int(len(took) * 0.99)]
    middle = statistics.median(took)
    print(f"logout to 401 elsewhere: median {middle:.1f}, p99 {p99:.1f} ms")
    assert not soak.IS_SOAK or p99 < 100
