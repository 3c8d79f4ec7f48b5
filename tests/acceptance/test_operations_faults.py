"""PostgreSQL and Redis die or hang under a running server, and come back."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from embedded.folder import urls
from tests import machine
from tests.acceptance.operations import (
    Reader,
    Writer,
    at_once,
    at_work,
    eventually,
    family,
    hands,
    running,
    still,
)

SHAPE = {"status", "message", "code", "hint", "request_id"}
WORKERS = 2
COMMAND_SECONDS = 3  # who does not need the database must not wait that long


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """Two workers on an embedded PostgreSQL and an embedded Valkey."""
    code = tmp_path_factory.mktemp("faults")
    values = {
        "config_workers": str(WORKERS),
        "config_batch_log_api_sec": "0.5",
        "config_postgres_command_timeout_sec": str(COMMAND_SECONDS),
    }
    with running(code, values) as found:
        yield found


@pytest.fixture
def workers(api):
    """A connection to each worker."""
    with hands(api.url, WORKERS) as found:
        yield found


def process(api, name):
    """Return the id of the server's child that executes a program."""
    for pid in family(api.process.pid):
        if machine.proc(f"{pid}/exe").resolve().name == name:
            return pid
    raise AssertionError(f"no {name} runs")


def postmaster(api):
    """Return the id of the postmaster."""
    file = Path(api.config["config_atom_folder"], "postgres", "postmaster.pid")
    return int(file.read_text().splitlines()[0])


@contextmanager
def hung(pid):
    """Stop a process in its tracks for as long as the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def timed(ask):
    """Return an answer and the seconds it took."""
    began = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - began


class TestRedis:
    def test_hung_redis_holds_nobody_up(self, api, workers):
        """Limits are counted by each process, cached routes do their work, all soon."""
        valkey = process(api, "valkey-server")
        with hung(valkey):
            told = [
                timed(lambda h=hand: h.ask("/ops/limited"))
                for hand in workers
                for _ in range(7)
            ]
            cached = [
                timed(lambda h=hand: h.ask("/ops/once?mark=hung")) for hand in workers
            ]
        codes = [answer.status_code for answer, _ in told]

        assert [200] * 5 + [429] * 2 == codes[:7] == codes[7:]
        assert max(seconds for _, seconds in told) < 2
        assert {200} == {answer.status_code for answer, _ in cached}
        assert max(seconds for _, seconds in cached) < 4

    def test_killed_redis_is_taken_up_again(self, api, workers):
        """Nobody hears of its death; soon, counts and answers are shared again."""
        os.kill(process(api, "valkey-server"), signal.SIGKILL)
        answers = [
            hand.ask(path)
            for hand in workers
            for path in ("/ops/limited-too", "/ops/once?mark=killed")
        ]
        assert {200} == {answer.status_code for answer in answers}

        def shared():
            heads = [hand.ask("/ops/csv?again=1").headers for hand in workers]
            return [head.get("x-cache") for head in heads] == ["hit"] * WORKERS

        eventually(shared)
        with redis.Redis.from_url(
            urls(api.config["config_atom_folder"])["config_redis_url"]
        ) as store:
            workers[0].ask("/ops/limited-too")
            eventually(lambda: list(store.scan_iter("atom:count:*limited-too*")))


class TestPostgres:
    def test_killed_database_loses_no_acknowledged_row(self, api):
        """Killed twice under load: 503 meanwhile, healed after, every row is there."""
        who = api.person()
        writers = [Writer(api.url, who, f"writer {n}") for n in range(4)]
        reader = Reader(api.url)

        def made():
            return sum(len(writer.acknowledged) for writer in writers)

        with at_work(reader, *writers):
            for _ in range(2):
                before = made()
                eventually(lambda b=before: made() > b + 40, 60)
                os.kill(postmaster(api), signal.SIGKILL)
                time.sleep(0.3)
                after = made()
                eventually(lambda a=after: made() > a + 40, 60)
        acknowledged = {t: i for w in writers for t, i in w.acknowledged.items()}
        refused = [answer for writer in writers for answer in writer.refused]
        rows = api.sql("select id, title from test where title like 'writer %'")
        found = {row["title"]: row["id"] for row in rows}

        assert len(found) == len(rows), "a row was written twice"
        assert {} == {t: i for t, i in acknowledged.items() if found.get(t) != i}
        assert refused
        assert {503} == {answer.status_code for answer in refused}
        assert {"client.silent"} == {answer.json()["code"] for answer in refused}
        assert {True} == {answer.json().keys() >= SHAPE for answer in refused}
        assert {200} == set(reader.codes)
        assert reader.slowest < 4.5  # who waits for the database waits 5 s
        assert max(writer.slowest for writer in writers) < 10

        def logged():
            text = "select count(*) n from log_api where query_param = 'x=logged'"
            return api.sql(text)[0]["n"]

        eventually(lambda: logged() == len(reader.codes))
        time.sleep(1)
        assert len(reader.codes) == logged()

    def test_work_in_the_background_waits_for_the_database(self, api, workers):
        """What was acknowledged while the database was away is done once it is back."""
        machine.proc()  # before anything is stopped
        read = "/public/object-read?table=test"
        os.kill(postmaster(api), signal.SIGSTOP)  # it makes no more processes
        before = family(postmaster(api))
        os.kill(postmaster(api), signal.SIGKILL)
        # What a process began may be lost with it.
        eventually(lambda: not still(before))
        for number in range(20):
            answer = workers[number % WORKERS].ask(
                "/public/object-create?table=test&is_background=1",
                method="POST",
                json={"title": f"away {number}"},
            )
            assert "added in background" == answer.json()["message"]

        def rows():
            text = "select count(*) n from test where title like 'away %'"
            return api.sql(text)[0]["n"]

        def done():
            text = (
                "select description from log_api where api = '/public/object-create'"
                " and type = 1"
            )
            return [row["description"] for row in api.sql(text)]

        eventually(lambda: {h.ask(read).status_code for h in workers} == {200}, 60)
        eventually(lambda: len(done()) == 20, 60)
        assert 20 == rows(), done()

    def test_everything_works_again(self, api, workers):
        """After the deaths: reset, revocation and caches, on every worker."""
        answers = at_once(20, lambda _: api.call("GET", "/root/reset-global", "root"))
        assert {200} == {answer.status_code for answer in answers}
        who = api.person()
        for active, status in ((0, 403), (1, 200)):
            api.sql("update users set is_active = $1 where id = $2", active, who.id)

            def told(status=status):
                codes = {h.ask("/my/profile", who).status_code for h in workers}
                return codes == {status}

            assert eventually(told) < 4

    def test_hung_database_holds_up_only_who_needs_it(self, api, workers):
        """Others are answered at once; who needs it hears 503 or 504 in due time."""
        who = api.person()
        pids = [
            pid
            for pid in family(postmaster(api))
            if machine.proc(f"{pid}/exe").resolve().name == "postgres"
        ]
        with ExitStack() as stack:
            for pid in pids:
                stack.enter_context(hung(pid))
            with ThreadPoolExecutor(8) as pool:
                asked = [
                    pool.submit(timed, lambda h=hand: h.ask("/my/token-refresh", who))
                    for hand in workers
                ]
                told = [timed(lambda: api.call("GET", "/?x=hung")) for _ in range(50)]
                waited = [one.result(60) for one in asked]

        assert {200} == {answer.status_code for answer, _ in told}
        assert max(seconds for _, seconds in told) < COMMAND_SECONDS
        assert {answer.status_code for answer, _ in waited} <= {503, 504}
        assert max(seconds for _, seconds in waited) < COMMAND_SECONDS + 5

        def well():
            return {h.ask("/my/profile", who).status_code for h in workers} == {200}

        assert eventually(well) < 8
