"""queue=batch of the running server: parallel callers, SIGTERM, kill -9."""

import random
import secrets
import signal
import threading
import time

import asyncpg
import httpx2
import pytest

from tests.acceptance.conftest import opened
from tests.acceptance.operations import TLS, at_once
from tests.integration.near import database_url
from tests.served import serve, stop
from tests.soak import size

__all__ = ["database_url"]

RUNS = size(6, 60)
PATH = "/my/object-create?table=test&queue=batch"


@pytest.fixture(scope="module")
def values(database_url):
    """Config of servers that come and go on one database."""
    return {
        "config_postgres_url": database_url,
        "config_is_postgres_init": "1",
        "config_key_jwt": secrets.token_hex(32),
    }


@pytest.fixture(scope="module")
def batched(values):
    """A server on it."""
    with serve(values) as served:
        running = opened(served)
        yield running
        running.http.close()


@pytest.fixture(scope="module")
def people(batched):
    """Three users."""
    return [batched.person() for _ in range(3)]


def create(url, who, body, path=PATH):
    """Ask over a connection of one's own."""
    with httpx2.Client(base_url=url, timeout=30, verify=TLS) as http:
        return http.post(path, json=body, headers=who.headers)


def test_sixty_at_once_are_sixty_rows_of_their_callers(batched, people):
    """Distinct ids, each that of the row its caller sent."""
    mark = secrets.token_hex(4)
    answers = at_once(
        60,
        lambda n: create(batched.url, people[n % 3], {"title": f"{mark} {n}"}),
    )
    ids = [answer.json()["message"] for answer in answers]
    rows = batched.sql(
        "select id, title, created_by_id from test where title like $1", f"{mark}%"
    )
    found = {row["id"]: (row["title"], row["created_by_id"]) for row in rows}

    assert {200} == {answer.status_code for answer in answers}
    assert 60 == len(rows) == len(set(ids))
    assert [(f"{mark} {n}", people[n % 3].id) for n in range(60)] == [
        found[each] for each in ids
    ]


def test_a_bad_row_among_good_ones_is_the_only_one_refused(batched, people):
    """Its caller hears a 409 naming the column; the others are written."""
    user = batched.person().id
    sent = [{"user_id": user}, {"user_id": user}, {"user_id": user + 10**6}]
    answers = at_once(
        3,
        lambda n: create(
            batched.url, people[0], sent[n], PATH.replace("=test", "=report_user")
        ),
    )
    codes = sorted(answer.status_code for answer in answers)
    told = next(a.json()["message"] for a in answers if a.status_code == 409)

    assert [200, 200, 409] == codes
    assert "A row with the same created_by_id, user_id already exists." == told


def test_other_queues_say_what_there_is(batched, people):
    """400 naming the choices; 503 for one that is not configured, with its key."""
    unknown = create(batched.url, people[0], {"title": "x"}, PATH + "h")
    missing = create(
        batched.url, people[0], {"title": "x"}, PATH.replace("batch", "redis")
    )
    both = create(
        batched.url, people[0], {"title": "x"}, PATH + "&on_conflict=title&mode=merge"
    )

    assert (400, "Did you mean 'batch'?") == (
        unknown.status_code,
        unknown.json()["hint"],
    )
    assert "batch, redis, rabbitmq" in unknown.json()["message"]
    assert (503, "client.missing") == (missing.status_code, missing.json()["code"])
    assert "config_redis_pubsub_url" in missing.json()["hint"]
    assert 400 == both.status_code


def test_a_list_is_written_at_once(batched, people):
    """It is one statement already: ids in order."""
    body = [{"title": f"list {n}"} for n in range(3)]
    made = create(batched.url, people[0], body).json()["message"]

    assert [made[0], made[0] + 1, made[0] + 2] == made


def test_order_and_its_lines_over_http(batched, people):
    """/my/object-create-many: one transaction, ids in order."""
    me = people[0]
    body = [
        {"table": "test", "object": {"title": "order"}, "as": "order"},
        {"table": "message", "object": {"user_id": "$order.id", "description": "d"}},
    ]
    made = batched.message("POST", "/my/object-create-many", me, json=body)
    body[1]["object"]["user_id"] = "$ordr.id"
    refused = batched.call("POST", "/my/object-create-many", me, json=body)
    (message,) = batched.sql("select * from message where id = $1", made[1])

    assert (made[0], me.id) == (message["user_id"], message["created_by_id"])
    assert "Entry 1: There is no earlier entry 'ordr'." == refused.json()["message"]
    assert "Did you mean 'order'?" == refused.json()["hint"]


def test_upsert_and_lists_over_http(batched, people):
    """on_conflict and mode are parameters; object-update takes a list."""
    me, path = people[0], "/my/object-create?table=report_user"
    keys = "&on_conflict=created_by_id,user_id&mode="
    body = [{"user_id": people[1].id}, {"user_id": people[2].id}]
    made = batched.message("POST", path + keys + "merge", me, json=body)
    again = batched.message("POST", path + keys + "ignore", me, json=body[::-1])
    rows = [{"id": each, "user_id": me.id + 1000 + n} for n, each in enumerate(made)]
    changed = batched.message(
        "PUT", "/my/object-update?table=report_user", me, json=rows
    )
    other = batched.call(
        "PUT", "/my/object-update?table=report_user", people[1], json=rows
    )

    assert made == again[::-1] == changed
    assert 404 == other.status_code


def pending(api, who, mark, count=3):
    """Begin so many creates; return their threads and where the answers will be."""
    answers = []

    def ask(number):
        answers.append(create(api.url, who, {"title": f"{mark} {number}"}))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


def titles(url, mark):
    """Return the rows of a mark, as {title: [ids]}."""
    import asyncio

    async def read():
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(
                "select id, title from test where title like $1", f"{mark}%"
            )
        finally:
            await connection.close()

    found = {}
    for row in asyncio.run(read()):
        found.setdefault(row["title"], []).append(row["id"])
    return found


def test_sigterm_writes_and_answers_what_waits(values, people, database_url):
    """Three that wait for more rows get their ids, and the server ends with 0."""
    slow = {"config_batch_wait_ms": "1000", "config_batch_object_create": "1000"}
    for _ in range(5):  # a machine that is busy may let the second pass
        mark = secrets.token_hex(4)
        with serve(values | slow) as served:
            threads, answers = pending(opened(served), people[0], mark)
            time.sleep(0.4)
            before = titles(database_url, mark)
            code = stop(served.process)
            for thread in threads:
                thread.join(60)
        if before == {} and len(answers) == 3:
            break
    ids = {answer.json()["message"] for answer in answers}

    assert {} == before
    assert 0 == code
    assert ids == {each for (each,) in titles(database_url, mark).values()}
    assert 3 == len(ids)


def test_sigterm_writes_also_what_nobody_waits_for_any_longer(
    values, people, database_url
):
    """The grace of the callers is over while the table is locked; then it is free."""
    import asyncio

    mark = secrets.token_hex(4)
    soon = {"config_graceful_timeout_sec": "1"}

    async def locked(served):
        connection = await asyncpg.connect(database_url)
        try:
            await connection.execute("begin; lock table test in exclusive mode")
            threads, _ = pending(opened(served), people[0], mark)
            waiting = "select exists (select from pg_locks where not granted)"
            async with asyncio.timeout(30):
                while not await connection.fetchval(waiting):
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.4)
            served.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(2)
            await connection.execute("commit")
        finally:
            await connection.close()
        for thread in threads:
            thread.join(60)

    threading.excepthook, before = (lambda args: None), threading.excepthook
    try:
        with serve(values | soon) as served:
            asyncio.run(locked(served))
            code = stop(served.process)
    finally:
        threading.excepthook = before

    assert 0 == code
    assert [1, 1, 1] == [len(ids) for ids in titles(database_url, mark).values()]


@pytest.mark.soak
@pytest.mark.parametrize("run", range(RUNS))
def test_kill_loses_nothing_that_was_answered(values, people, database_url, run):
    """kill -9 at a random moment: every acknowledged id is there, none twice."""
    mark = secrets.token_hex(4)
    acknowledged: dict[str, int] = {}

    def write(url, name):
        number = 0
        with httpx2.Client(base_url=url, timeout=20, verify=TLS) as http:
            while True:
                number += 1
                title = f"{mark} {name} {number}"
                try:
                    answer = http.post(
                        PATH, json={"title": title}, headers=people[name % 3].headers
                    )
                except httpx2.HTTPError:
                    return
                assert 200 == answer.status_code, answer.text
                acknowledged[title] = answer.json()["message"]

    with serve(values) as served:
        threads = [
            threading.Thread(target=write, args=(served.url, n)) for n in range(12)
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while not acknowledged and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(random.random())
        served.process.kill()
        for thread in threads:
            thread.join(60)
    time.sleep(0.2)  # a statement that PostgreSQL has received is still carried out
    found = titles(database_url, mark)

    assert acknowledged
    assert {title: [each] for title, each in acknowledged.items()} == {
        title: found.get(title) for title in acknowledged
    }
    assert {1} == {len(ids) for ids in found.values()}
    assert len(acknowledged) == len(set(acknowledged.values()))
