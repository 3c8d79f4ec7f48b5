"""How long a worker may be behind the others, as docs/pipeline.md states it."""

import os
import signal
import time
from contextlib import contextmanager

import pytest

from tests.acceptance.operations import eventually, hands, running
from tests.acceptance.people import newcomer

WRITTEN = 0.5  # seconds until a write is seen by every worker
SILENT = 7.0  # until a connection that is silent is given up


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Serve by two workers."""
    code = tmp_path_factory.mktemp("two")
    values = {"config_workers": "2", "config_redis_url": ""}
    config = 'config_api = {"/ops/rows-memory": {"cache_sec": ["inmemory", 60]}}'
    with running(code, values, config=config) as api:
        yield api


@contextmanager
def silent_bus(api):
    """Freeze the processes of PostgreSQL that workers hear by: nothing is cut."""
    text = "select pid from pg_stat_activity where application_name = 'atom bus'"
    pids = [row["pid"] for row in api.sql(text)]
    assert 2 == len(pids)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue  # its worker has hung up


def test_a_write_is_soon_seen_by_every_worker(two):
    """The worker that wrote at once, the other within the bound."""
    ada = newcomer(two)
    with hands(two.url, 2) as (writer, other):
        slowest = 0.0
        for number in range(20):
            path = f"/ops/rows-memory?title=seen%20{number}"
            for hand in (writer, other):
                assert [] == hand.ask(path).json()
            body = {"title": f"seen {number}"}
            create = "/my/object-create?table=test"
            assert 200 == writer.ask(create, ada, "POST", json=body).status_code
            assert 1 == len(writer.ask(path).json())
            took = eventually(lambda path=path: other.ask(path).json(), 5)
            slowest = max(slowest, took)
    assert slowest < WRITTEN


def test_a_silent_bus_lets_nobody_pass_for_long(two):
    """A user who is switched off is refused by both workers within the bound."""
    ada = newcomer(two)
    with hands(two.url, 2) as both:
        for hand in both:
            assert 200 == hand.ask("/my/profile", ada).status_code
        with silent_bus(two):
            two.sql("update users set is_active = 0 where id = $1", ada.id)
            began = time.monotonic()
            for hand in both:
                eventually(
                    lambda hand=hand: hand.ask("/my/profile", ada).status_code == 403,
                    SILENT + 3,
                )
            assert time.monotonic() - began < SILENT + 1
