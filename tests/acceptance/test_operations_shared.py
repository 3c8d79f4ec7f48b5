"""Four workers are one server: limits, cached answers, what one tells the others."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest
import redis

from embedded.folder import urls
from embedded.postgres import address
from tests.acceptance.operations import (
    at_once,
    crowd,
    eventually,
    hands,
    run_sql,
    running,
)

WORKERS = 4
SOON = 3  # seconds; what one is not told of is remembered for a day
SILENT = "Redis for rate limits is silent"
LISTENING = (
    "select count(*) n from pg_stat_activity where application_name = 'atom bus'"
)
CUT = """select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'atom bus'"""


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """Four workers on an embedded PostgreSQL and an embedded Valkey."""
    code = tmp_path_factory.mktemp("shared")
    with running(code, {"config_workers": str(WORKERS)}) as found:
        yield found


@pytest.fixture
def workers(api):
    """A connection to each worker."""
    with hands(api.url, WORKERS) as found:
        yield found


@pytest.fixture(scope="module")
def store(api):
    """The Valkey they share."""
    url = urls(api.config["config_atom_folder"])["config_redis_url"]
    with redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture(scope="module")
def boss(api):
    """The URL of the private database's superuser."""
    folder = Path(api.config["config_atom_folder"])
    words = json.loads((folder / "postgres.json").read_text())
    note = (folder / "postgres/postmaster.pid").read_text().splitlines()
    return address(Path(note[4]), "postgres", words["superuser"], "atom")


def worked(api, mark):
    """Return the workers that did the work of this mark."""
    lines = Path(api.code, "worked").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith(f"{mark} ")]


def everywhere(workers, path, who, status):
    """Return the seconds until every worker answers so, and go on doing it."""
    began = time.monotonic()

    def told():
        return {hand.ask(path, who).status_code for hand in workers} == {status}

    eventually(told)
    seconds = time.monotonic() - began
    for _ in range(3):
        assert told()
    return seconds


def test_each_process_reads_the_files_once(api, workers):
    """The parent and each worker; one that read them twice would take twice as long to
    start, and hold everything twice."""
    told = worked(api, "read")

    assert sorted(told) == sorted(
        str(pid) for pid in (api.process.pid, *(hand.pid for hand in workers))
    )


def counted_together(api, ask):
    """Return how often each status came, of a caller that has asked nothing yet.

    Asked again while a worker counts for itself: a machine that is busy may not hear
    Redis in time.
    """
    for _ in range(5):
        before = api.log.read_text().count(SILENT)
        found = Counter(answer.status_code for answer in ask(api.person()))
        if before == api.log.read_text().count(SILENT):
            break
    return found


class TestRate:
    def test_forty_calls_at_once_are_five(self, api):
        """The limit is one for all workers, and exact."""
        with crowd(api.url, 40, WORKERS) as many:

            def ask(who):
                return at_once(40, lambda n: many[n].ask("/ops/limited", who))

            assert {200: 5, 429: 35} == counted_together(api, ask)

    def test_forty_over_every_worker_are_five(self, api, workers):
        """Whichever worker is asked, the count goes on."""

        def ask(who):
            return [workers[n % WORKERS].ask("/ops/limited", who) for n in range(40)]

        assert {200: 5, 429: 35} == counted_together(api, ask)

    def test_every_count_forgets_itself(self, api, store):
        """No key of ours that counts lives on without an end."""
        api.call("GET", "/ops/limited")
        counts = {key: store.pttl(key) for key in store.scan_iter("atom:count:*")}

        assert counts
        assert not {key: left for key, left in counts.items() if not 0 < left <= 60_000}


class TestCache:
    def test_thirty_askers_of_four_workers_make_one_answer(self, api):
        """Single flight across processes: the route worked once."""
        with crowd(api.url, 30, WORKERS) as many:
            answers = at_once(30, lambda n: many[n].ask("/ops/once?mark=flight"))

        assert 1 == len(worked(api, "flight"))
        assert {answer.text for answer in answers} == {answers[0].text}
        assert {200} == {answer.status_code for answer in answers}

    def test_no_caller_gets_anothers_answer(self, api, workers):
        """Each caller has an answer of their own, on every worker."""
        people = [None, api.person(), api.person()]
        told = [
            [hand.ask("/ops/once?mark=caller", who).json()["user"] for who in people]
            for hand in workers
        ]

        assert [[None, people[1].id, people[2].id]] * WORKERS == told
        assert 3 == len(worked(api, "caller"))

    def test_answer_keeps_status_and_content_type(self, workers):
        """What was text/csv comes back as text/csv, from any worker."""
        answers = [hand.ask("/ops/csv") for hand in workers]

        assert {("a,b\n", "text/csv; header=present")} == {
            (answer.text, answer.headers["content-type"].split("; charset")[0])
            for answer in answers
        }
        assert ["hit"] * 3 == [answer.headers.get("x-cache") for answer in answers[1:]]

    def test_refusal_is_never_kept(self, workers):
        """A 400 stays a 400."""
        for hand in workers:
            answer = hand.ask("/ops/csv?status=400")
            assert (400, None) == (answer.status_code, answer.headers.get("x-cache"))

    @pytest.mark.parametrize("where", ["redis", "memory"])
    def test_write_by_one_worker_is_read_from_all(self, api, workers, where):
        """A row written through one worker drops what all have kept of that table."""
        who, title = api.person(), f"drop {where}"
        path = f"/ops/rows-{where}?title={title}"

        def counts():
            return [len(hand.ask(path).json()) for hand in workers]

        for number, writer in enumerate(workers):
            counts()
            assert "hit" == workers[-1].ask(path).headers["x-cache"]
            body = {"title": title}
            made = writer.ask(
                "/my/object-create?table=test", who, method="POST", json=body
            )
            assert 200 == made.status_code, made.text
            took = eventually(lambda n=number: counts() == [n + 1] * WORKERS)

            assert took < SOON

    def test_write_drops_only_its_own_table(self, api, workers):
        """An answer that read no table is kept."""
        who = api.person()
        workers[0].ask("/ops/once?mark=other")
        workers[0].ask("/my/object-create?table=test", who, "POST", json={"title": "o"})
        time.sleep(0.1)
        for hand in workers:
            hand.ask("/ops/once?mark=other")

        assert 1 == len(worked(api, "other"))


class TestBus:
    """Rights end and begin at once, on every worker, with the token one has."""

    def test_user_switched_off_by_sql(self, api, workers):
        """is_active=0: 403 everywhere; 1: 200 again."""
        who = api.person()
        assert everywhere(workers, "/my/profile", who, 200) < SOON
        api.sql("update users set is_active = 0 where id = $1", who.id)
        assert everywhere(workers, "/my/profile", who, 403) < SOON
        api.sql("update users set is_active = 1 where id = $1", who.id)
        assert everywhere(workers, "/my/profile", who, 200) < SOON

    def test_rights_given_and_taken_by_sql(self, api, workers):
        """api_access: the old token opens /admin and is refused again."""
        who, path = api.person(), "/admin/object-read?table=test"
        assert everywhere(workers, path, who, 403) < SOON
        api.sql("update users set api_access = '5' where id = $1", who.id)
        assert everywhere(workers, path, who, 200) < SOON
        api.sql("update users set api_access = '1,4' where id = $1", who.id)
        assert everywhere(workers, path, who, 403) < SOON

    def test_changed_password_ends_old_tokens(self, api, workers):
        """The old token is refused everywhere; a new login is let in."""
        who = api.person()
        everywhere(workers, "/my/profile", who, 200)
        body = {"id": who.id, "password": "another one", "password_old": who.password}
        api.message("PUT", "/my/object-update?table=users", who, json=body)
        assert everywhere(workers, "/my/profile", who, 401) < SOON
        login = {"type": 1, "username": who.username, "password": "another one"}
        who.token = api.message("POST", "/auth/login-password", json=login)
        assert everywhere(workers, "/my/profile", who, 200) < SOON

    @pytest.mark.parametrize("mode", ["soft", "hard"])
    def test_deleted_account_is_gone(self, api, workers, mode):
        """Soft or hard, the token is worth nothing."""
        who = api.person()
        everywhere(workers, "/my/profile", who, 200)
        api.message("DELETE", f"/my/account-delete?mode={mode}", who)
        assert everywhere(workers, "/my/profile", who, 401) < SOON

    def test_logout_ends_this_token_only(self, api, workers):
        """The token I logged out with is refused everywhere, my other one is not."""
        who = api.person()
        login = {"type": 1, "username": who.username, "password": who.password}
        other = type(who)(**vars(who))
        other.token = api.message("POST", "/auth/login-password", json=login)
        everywhere(workers, "/my/profile", who, 200)
        api.message("POST", "/auth/logout", who)
        assert everywhere(workers, "/my/profile", who, 401) < SOON
        assert everywhere(workers, "/my/profile", other, 200) < SOON

    def test_deaf_worker_asks_the_database(self, api, workers):
        """Its listening connection cut again and again, a worker tells the truth."""
        who, path = api.person(), "/ops/rows-memory?title=deaf"
        for hand in workers:
            hand.ask(path)
        for active in (0, 1, 0, 1):
            status = 200 if active else 403
            assert WORKERS == len(api.sql(CUT))
            api.sql("update users set is_active = $1 where id = $2", active, who.id)
            api.sql("insert into test (title) values ('deaf')")
            assert everywhere(workers, "/my/profile", who, status) < SOON
            eventually(lambda: api.sql(LISTENING)[0]["n"] == WORKERS)
        counts = [len(hand.ask(path).json()) for hand in workers]

        assert [4] * WORKERS == counts

    def test_worker_that_cannot_listen_asks_the_database(self, api, workers, boss):
        """For as long as nobody can be heard, nothing is remembered."""
        who = api.person()
        with crowd(api.url, 24, WORKERS) as many:
            at_once(24, lambda n: many[n].ask("/my/profile", who))
        run_sql(boss, "alter role atom connection limit 0")
        try:
            run_sql(boss, CUT)
            off, on = (
                f"update users set is_active = {n} where id = {who.id}" for n in (0, 1)
            )
            run_sql(boss, off)
            everywhere(workers, "/my/profile", who, 403)  # all know that they are deaf
            for active in (1, 0, 1, 0, 1):
                run_sql(boss, on if active else off)
                for _ in range(2):
                    codes = {
                        hand.ask("/my/profile", who).status_code for hand in workers
                    }
                    assert {200 if active else 403} == codes
        finally:
            run_sql(boss, "alter role atom connection limit -1")
        eventually(lambda: api.sql(LISTENING)[0]["n"] == WORKERS)

    def test_schema_made_by_one_is_known_to_all(self, api, workers):
        """A new table can be used on every worker after reset-global."""
        api.sql("create table if not exists public.fresh (id bigint primary key)")
        api.message("GET", "/root/reset-global", "root")
        admin = api.person(api_access="5")

        assert everywhere(workers, "/admin/object-read?table=fresh", admin, 200) < SOON

    def test_schema_changed_while_nobody_listened(self, api, workers):
        """Whoever was deaf reads the tables again when they hear again."""
        admin, path = api.person(api_access="5"), "/admin/object-read?table=late"
        assert everywhere(workers, path, admin, 404) < SOON
        api.sql(CUT)
        api.sql("create table public.late (id bigint primary key)")

        assert everywhere(workers, path, admin, 200) < SOON

    def test_twenty_resets_at_once(self, api):
        """Each is answered with done."""
        answers = at_once(20, lambda _: api.call("GET", "/root/reset-global", "root"))

        assert {(200, "done")} == {
            (answer.status_code, answer.json()["message"]) for answer in answers
        }
