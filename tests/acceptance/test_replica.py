"""Reads on replicas: in turn, true for who wrote, going on when one is away."""

import asyncio
import secrets
import time
from contextlib import contextmanager

import asyncpg
import pytest

from tests.acceptance.conftest import serving
from tests.acceptance.operations import eventually, hands, running
from tests.served import free_port
from tests.streaming import primary, streaming

OPEN = """
config_table = {
    "test": {"public": {"read": 1, "create": 1}, "my": {"read": 1, "create": "owner"}},
}
config_api = {
    "/kept": {"cache_sec": ["inmemory", 60]},
}
"""
KEPT = """
from extend import *

router = APIRouter()


@router.get("/kept")
async def kept(request: Request, title: str):
    asked = [("title", f"=,{title}"), ("column", "id")]
    found = await function_object_read_postgres(request.app, "test", asked)
    return responses.Response(found, media_type="application/json")
"""
REACHED = "select pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
LAGGING = {"config_postgres_read_lag_max_sec": "3600"}


@pytest.fixture(scope="module")
def cluster():
    """A primary and two replicas."""
    with primary() as url, streaming(url) as one, streaming(url) as other:
        yield url, one, other


def sql(url, text, *values):
    """Run a statement; return its value."""

    async def run():
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(text, *values)
        finally:
            await connection.close()

    return asyncio.run(run())


def near(cluster, **values):
    """Return config of a server on the cluster."""
    url, one, other = cluster
    return {
        "config_postgres_url": url,
        "config_postgres_url_read": f"{one.url},{other.url}",
        "config_is_postgres_init": "1",
        **values,
    }


@pytest.fixture(scope="module")
def api(cluster, tmp_path_factory):
    """A server that takes any lag."""
    folder = tmp_path_factory.mktemp("replica")
    values = near(cluster, **LAGGING, config_postgres_read_own_writes_sec="3")
    with serving(folder, config=values, config__open=OPEN, router_kept=KEPT) as found:
        caught_up(cluster)
        yield found


def caught_up(cluster):
    """Wait until both replicas have what the primary has."""
    url, one, other = cluster
    at = sql(url, "select pg_current_wal_lsn()::text")
    for each in (one, other):
        eventually(lambda each=each: sql(each.url, REACHED, at))


@contextmanager
def paused(cluster):
    """Have the replicas stand still."""
    caught_up(cluster)
    _, one, other = cluster
    for each in (one, other):
        sql(each.url, "select pg_wal_replay_pause()")
    try:
        yield
    finally:
        for each in (one, other):
            sql(each.url, "select pg_wal_replay_resume()")
        caught_up(cluster)


def found(api, title, who=None):
    """Say whether a row with this title is read."""
    tier = "my" if who else "public"
    query = f"table=test&title==,{title}&column=id"
    return bool(api.message("GET", f"/{tier}/object-read?{query}", who))


def added(api, who=None):
    """Add a row; return its title."""
    tier, title = "my" if who else "public", secrets.token_hex(6)
    api.message("POST", f"/{tier}/object-create?table=test", who, json={"title": title})
    return title


def test_reads_go_to_the_replicas_in_turn(api, cluster):
    """What only one of them has is found every other time."""
    url, one, other = cluster
    caught_up(cluster)
    sql(other.url, "select pg_wal_replay_pause()")
    try:
        title = secrets.token_hex(6)
        sql(url, "insert into test (title, type) values ($1, 1)", title)
        at = sql(url, "select pg_current_wal_lsn()::text")
        eventually(lambda: sql(one.url, REACHED, at))
        seen = [found(api, title) for _ in range(10)]
    finally:
        sql(other.url, "select pg_wal_replay_resume()")

    assert 5 == seen.count(True), seen


def test_who_wrote_reads_it_and_others_do_not_wait(api, cluster):
    """For as long as config says; then from the replica again."""
    ada, bob = api.person(), api.person()
    with paused(cluster):
        title = added(api, ada)
        assert all(found(api, title, ada) for _ in range(6))
        assert not any(found(api, title, bob) for _ in range(2))
        time.sleep(3.2)
        assert not found(api, title, ada)


def test_stranger_who_wrote_reads_it(api, cluster):
    """By address."""
    with paused(cluster):
        title = added(api)
        assert all(found(api, title) for _ in range(4))
    time.sleep(3.2)


def test_answer_that_is_cached_is_that_of_the_primary(api, cluster):
    """A write drops it; it is not filled again with what was before."""
    ada, bob = api.person(), api.person()
    with paused(cluster):
        title = added(api, ada)
        path = f"/kept?title={title}"
        first = api.call("GET", path, bob)
        assert (200, 1) == (first.status_code, len(first.json())), first.text
        assert api.call("GET", path, bob).headers.get("x-cache") == "hit"


def test_replica_that_dies_is_left_out_and_comes_back(api, cluster):
    """No request fails; the log has both moments."""
    _, one, other = cluster
    caught_up(cluster)
    title = added(api)
    one.stop()
    assert all(found(api, title) for _ in range(10))
    other.stop()
    assert all(found(api, title) for _ in range(10))
    eventually(lambda: "is left out" in api.log.read_text())
    one.start()
    other.start()
    caught_up(cluster)
    back = f"the replica at 127.0.0.1:{one.port} is read again"
    eventually(lambda: back in api.log.read_text())
    time.sleep(3.2)  # no longer one who has just written
    with paused(cluster):
        title = secrets.token_hex(6)
        sql(cluster[0], "insert into test (title, type) values ($1, 1)", title)
        assert not found(api, title)


def test_one_that_lags_is_left_out_and_comes_back(cluster, tmp_path):
    """Beyond config_postgres_read_lag_max_sec; an idle primary is no lag."""
    url = cluster[0]
    values = near(cluster, config_postgres_read_lag_max_sec="1")
    with serving(tmp_path, config=values, config__open=OPEN, router_kept=KEPT) as api:
        with paused(cluster):
            title = secrets.token_hex(6)
            sql(url, "insert into test (title, type) values ($1, 1)", title)
            eventually(lambda: found(api, title))
            text = api.log.read_text()
            assert 2 == text.count("is left out: it lags by")
        eventually(lambda: 2 == api.log.read_text().count("is read again"))
        time.sleep(2.5)
        assert 2 == api.log.read_text().count("is left out")


def test_own_writes_are_read_on_every_worker(cluster, tmp_path):
    """At once, whichever worker is asked."""
    values = near(cluster, **LAGGING, config_workers="2")
    with running(tmp_path, values) as api, paused(cluster):
        ada = api.person()
        with hands(api.url, 2) as workers:
            for number in range(20):
                writer, reader = workers[number % 2], workers[(number + 1) % 2]
                title = secrets.token_hex(6)
                made = writer.ask(
                    "/my/object-create?table=test",
                    ada,
                    "POST",
                    json={"title": title},
                )
                assert 200 == made.status_code, made.text
                query = f"table=test&title==,{title}"
                rows = reader.ask(f"/my/object-read?{query}", ada).json()["message"]
                assert 1 == len(rows)


def test_replica_away_at_the_start_is_taken_up(cluster, tmp_path):
    """One of two is enough; the other is named."""
    gone = f"postgresql://near@127.0.0.1:{free_port()}/postgres"
    values = near(cluster, config_postgres_url_read=f"{gone},{cluster[1].url}")
    with serving(
        tmp_path, config=values | LAGGING, config__open=OPEN, router_kept=KEPT
    ) as api:
        title = added(api)
        caught_up(cluster)
        assert all(found(api, title) for _ in range(4))
        (finding,) = (
            each
            for each in api.message("GET", "/root/doctor", "root")
            if each["name"] == "client_postgres_read"
        )
        assert "ok" == finding["state"]
        assert "1 of 2" in finding["version"]
        assert gone.partition("@")[2].partition("/")[0] in api.log.read_text()
