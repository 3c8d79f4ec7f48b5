"""Behind PgBouncer in transaction mode: three processes of PostgreSQL for everybody."""

import asyncio
import os
import pwd
import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx2
import pytest

from atom.client.postgres import open_pool, opened_database
from atom.config import keys
from atom.config import resolve as settings
from atom.errors import ApiError
from atom.postgres.named import Named
from tests.acceptance.conftest import opened
from tests.acceptance.operations import TLS, held
from tests.integration.debian import environment, unpacked
from tests.integration.near import (
    connected,
    database_url,
    free_port,
    wait_for_port,
)
from tests.served import ROOT, serve, stop
from tests.served import environment as configured

__all__ = ["database_url"]

SIZE = 3
INI = """
[databases]
* = host=127.0.0.1 port={server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
{more}
"""
# What docs/deploy.md has the operator tell PostgreSQL, for want of sessions.
ROLE = """
create role app login createrole createdb;
alter role app set statement_timeout = '30s';
alter role app set lock_timeout = '1s';
alter role app set idle_in_transaction_session_timeout = '60s';
alter role app set jit = off;
alter role app set timezone = 'Asia/Tokyo';
create database shop owner app;
create database other owner app;
"""
LEFT = """
select current_user::text as role,
  array(select name from pg_settings
        where source = 'session' and setting is distinct from reset_val
        and name not in ('TimeZone', 'application_name', 'client_encoding',
                         'DateStyle', 'IntervalStyle', 'standard_conforming_strings'))
    as settings,
  array(select name from pg_prepared_statements) as prepared,
  array(select pg_listening_channels()) as channels,
  (select count(*) from pg_locks
   where locktype = 'advisory' and pid = pg_backend_pid()) as locks,
  (select count(*) from pg_class where relpersistence = 't') as temporary
"""
CLEAN = {
    "role": "app",
    "settings": [],
    "prepared": [],
    "channels": [],
    "locks": 0,
    "temporary": 0,
}


@contextmanager
def bouncer(database, more="", size=SIZE):
    """Run PgBouncer before a PostgreSQL; yield its port. It refuses to run as root."""
    tree = unpacked("pgbouncer")
    program = next((tree / "usr").glob("*bin/pgbouncer"))
    port, server = free_port(), database.rpartition(":")[2].partition("/")[0]
    options = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        users, ini = Path(folder, "users.txt"), Path(folder, "pgbouncer.ini")
        users.write_text('"app" ""\n')
        ini.write_text(
            INI.format(server=server, port=port, users=users, size=size, more=more)
        )
        process = subprocess.Popen(
            [program, ini],
            env=environment(tree),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            **options,
        )
        try:
            wait_for_port(port)
            yield port
        finally:
            process.kill()
            process.wait(30)


def through(port, name="shop"):
    """Return the address of a database behind a port."""
    return f"postgresql://app@127.0.0.1:{port}/{name}"


@pytest.fixture(scope="module")
def direct(database_url):
    """The address of PostgreSQL itself."""

    async def prepare():
        near = await connected(database_url)
        for statement in filter(str.strip, ROLE.split(";")):
            await near.execute(statement)
        await near.close()

    asyncio.run(prepare())
    return through(database_url.rpartition(":")[2].partition("/")[0])


@pytest.fixture(scope="module")
def pooled(direct):
    """The same database behind the pooler."""
    with bouncer(direct) as port:
        yield through(port)


@pytest.fixture(scope="module")
def values(direct, pooled):
    """What docs/deploy.md says to set."""
    return {
        "config_postgres_url": pooled,
        "config_postgres_url_direct": direct,
        "config_postgres_statement_cache_size": "0",
        "config_postgres_lock_timeout_sec": "1",
        "config_read_timeout_ms": "800",
        "config_is_postgres_init": "1",
        "config_key_jwt": secrets.token_hex(32),
    }


@pytest.fixture(scope="module")
def api(values):
    """Two workers behind the pooler."""
    with serve({**values, "config_workers": "2"}) as served:
        running = opened(served)
        running.database = values["config_postgres_url_direct"]
        yield running
        running.http.close()


@pytest.fixture(scope="module")
def ada(api):
    """A user."""
    return api.person()


@pytest.fixture(scope="module")
def admin(api):
    """A user with every api id."""
    made = api.person(api_access="1,2,3,4,5,6")
    body = {"query": "select 1 as one"}
    again(lambda: api.call("POST", "/admin/db-runner", made, json=body), {200})
    return made


def again(ask, codes, times=20, seconds=90):
    """Ask until so many answers in a row have one of these codes, of every worker."""
    until, found = time.monotonic() + seconds, 0
    while found < times:
        assert time.monotonic() < until, (found, codes)
        found = found + 1 if ask().status_code in codes else 0


async def left_behind(url):
    """Return what each process of the pooler still keeps of those who used it."""
    others = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(SIZE)]
    found, seen = [], set()
    try:
        for other in others:
            await other.execute("begin")
            seen.add(await other.fetchval("select pg_backend_pid()"))
            found.append(dict(await other.fetchrow(LEFT)))
        for other in others:
            await other.execute("rollback")
    finally:
        for other in others:
            await other.close()
    assert SIZE == len(seen)
    return found


async def mixed(api, who, number):
    """Ask one of six things; return what was wrong, or None."""
    mark = f"mixed {number}"
    row = {"title": mark}
    asked = {
        0: ("GET", "/my/object-read?table=test&limit=5&is_count=1", None),
        1: ("POST", "/my/object-create?table=test", row),
        2: ("POST", "/my/object-create?table=test&queue=batch", row),
        3: ("POST", "/my/object-create?table=test", [row, row, {**row, "rating": 1}]),
        4: ("GET", "/my/profile", None),
        5: ("GET", "/public/object-read?table=test&order=id desc&limit=3", None),
    }
    method, path, body = asked[number % len(asked)]
    async with httpx2.AsyncClient(base_url=api.url, timeout=60, verify=TLS) as http:
        for _ in range(10):  # 800 ms for a read are too few where all is slow
            answer = await http.request(method, path, json=body, headers=who.headers)
            if method != "GET" or answer.status_code != 504:
                break
    return None if answer.status_code == 200 else (path, answer.text)


def test_three_hundred_at_once_go_without_an_error(api, ada):
    """Reads, single rows, batches, lists: each is answered, each row is there once."""

    async def all_of_them():
        return await asyncio.gather(*(mixed(api, ada, n) for n in range(300)))

    assert [] == [found for found in asyncio.run(all_of_them()) if found]
    (found,) = api.sql(
        "select count(*), count(distinct title) as titles"
        " from test where title like 'mixed %'"
    )
    assert (50 + 50 + 150, 150) == (found["count"], found["titles"])


def test_a_row_lives_its_whole_life(api, ada):
    """Created, read, updated, deleted; times are UTC, whatever PostgreSQL's habit."""
    made = api.message("POST", "/my/object-create?table=test", ada, json={"title": "l"})
    body = {"id": made, "title": "m"}
    api.message("PUT", "/my/object-update?table=test", ada, json=body)
    (row,) = api.message("GET", f"/my/object-read?table=test&id==,{made}", ada)
    api.message("DELETE", "/my/ids-delete", ada, json={"table": "test", "ids": [made]})

    assert "m" == row["title"]
    assert row["created_at"].endswith("+00:00")
    assert [] == api.message("GET", f"/my/object-read?table=test&id==,{made}", ada)


def test_read_timeout_cancels_what_runs(api, direct):
    """504, and no process of PostgreSQL is still at it."""
    with held(direct, "lock table test in access exclusive mode"):
        answer = api.call("GET", "/public/object-read?table=test&limit=2")
        waiting = api.sql(
            "select pid from pg_stat_activity where wait_event_type = 'Lock'"
        )

    assert answer.status_code in {504, 409}, answer.text
    assert [] == waiting


@pytest.mark.parametrize("queue", ["", "&queue=batch"])
def test_write_that_meets_a_lock_is_told_soon(api, ada, direct, queue):
    """409 in about config_postgres_lock_timeout_sec, not after a statement's time."""
    with held(direct, "lock table test in exclusive mode"):
        answer = api.call(
            "POST", f"/my/object-create?table=test{queue}", ada, json={"title": "x"}
        )

    assert (409, "row.busy") == (answer.status_code, answer.json()["code"])


def test_csv_goes_in_and_out(api):
    """Created, updated by way of a temporary table, and read out again."""
    path, form = "/root/postgres-import", {"table": "test", "mode": "create"}
    text = "title,rating\r\n" + "".join(f"csv {n},{n}\r\n" for n in range(200))
    for mode in ("create", "update"):
        if mode == "update":
            ids = api.sql("select id from test where title like 'csv %'")
            text = "id,rating\r\n" + "".join(f"{row['id']},7\r\n" for row in ids)
        files = {"file": ("rows.csv", text.encode(), "text/csv")}
        form["mode"] = mode
        assert 200 == api.message("POST", path, "root", data=form, files=files)
    query = {"query": "select title from test where title like 'csv %' and rating = 7"}
    answer = api.call("POST", "/root/postgres-export", "root", json=query)

    assert 200 == answer.status_code
    assert 201 == len(answer.text.splitlines())


ESCAPES = [
    "set role app",
    "reset role",
    "select set_config('role', 'app', false)",
    "listen atom",
    "select password from users",
    "create temporary table t (a int)",
    "prepare p as select 1",
    "select 1; set statement_timeout = 0",
]

# Answered, since every login may: of the login's own session nothing is kept.
OWN = [
    "select set_config('search_path', 'atom', false)",
    "select pg_advisory_lock(1)",
]


def test_runner_leaves_nothing_to_the_next(api, admin, pooled):
    """No role, setting, lock or statement in any process of the pooler."""
    path = "/admin/db-runner"
    read = {"query": "select count(*) from test"}
    for escape in ESCAPES:
        answer = api.call("POST", path, admin, json={"query": escape})
        assert answer.status_code in {400, 403, 422}, (escape, answer.text)
        api.message("POST", path, admin, json=read)
    for query in OWN:
        api.message("POST", path, admin, json={"query": query})
        settings = "select current_setting('search_path') as path"
        told = api.message("POST", path, admin, json={"query": settings})
        assert [{"path": "public"}] == told
    held = "select count(*) from pg_locks where locktype = 'advisory'"
    held += " and granted and pid in (select pid from pg_stat_activity"
    held += " where application_name = 'atom sandbox')"
    assert [{"count": 0}] == api.sql(held)
    assert [CLEAN] * SIZE == asyncio.run(left_behind(pooled))


def test_revocation_reaches_both_workers(api, direct):
    """Whoever is switched off by SQL is refused by each of them, by way of the bus."""
    bob = api.person()

    def asked():
        # A connection of its own: either worker may take it.
        with httpx2.Client(base_url=api.url, timeout=20, verify=TLS) as http:
            return http.get("/my/profile", headers=bob.headers)

    again(asked, {200})
    api.sql("update users set is_active = 0 where id = $1", bob.id)
    again(asked, {401, 403})


def test_tables_are_changed_by_one_at_a_time(api, pooled, direct):
    """Six at once on two workers: all end well, the column is back, no lock is left."""
    api.sql("alter table test drop column tag")

    async def together():
        async with httpx2.AsyncClient(
            base_url=api.url, timeout=60, verify=TLS, headers=api.root
        ) as http:
            path = "/root/postgres-init"
            return await asyncio.gather(*(http.get(path) for _ in range(6)))

    answers = asyncio.run(together())
    assert [200] * 6 == [answer.status_code for answer in answers], answers[0].text
    assert 1 == len(
        api.sql(
            "select 1 from pg_attribute"
            " where attrelid = 'test'::regclass and attname = 'tag'"
        )
    )
    assert [CLEAN] * SIZE == asyncio.run(left_behind(pooled))


def test_log_is_complete_after_the_end(values, ada, api):
    """SIGTERM: each request that was answered is a row of log_api."""
    mark = secrets.token_hex(6)
    with serve(values) as served:
        with httpx2.Client(base_url=served.url, verify=TLS) as http:
            codes = [
                http.get(f"/public/info?mark={mark}").status_code for _ in range(40)
            ]
        assert 0 == stop(served.process)

    assert {200} == set(codes)
    (row,) = api.sql(
        "select count(*) from log_api where query_param like $1", f"%{mark}%"
    )
    assert 40 == row["count"]


CACHE = {"config_postgres_statement_cache_size": "1024"}
ALONE = {"config_postgres_url_direct": ""}
WRONG = {
    "cache on": (
        CACHE,
        "",
        "loses prepared statements.*config_postgres_statement_cache_size=0",
    ),
    "nothing set": (CACHE | ALONE, "", "config_postgres_statement_cache_size=0"),
    "nobody hears": (ALONE, "", "config_postgres_url_direct: LISTEN receives nothing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_are_told_at_start(values, direct, case):
    """It does not start, and names the key to set."""
    changed, more, told = WRONG[case]
    with bouncer(direct, more) as port:
        url = {"config_postgres_url": through(port)}
        with pytest.raises(RuntimeError, match=f"(?s)ended with [13]\\b.*{told}"):
            with serve({**values, **url, **changed}):
                pass


def test_schema_command_refuses_a_pooler(values):
    """It takes a lock for a session, which would stay behind in the pooler."""
    done = subprocess.run(
        [sys.executable, "main.py", "schema", "apply"],
        cwd=ROOT,
        env=configured({**values, **ALONE, "config_key_root": secrets.token_hex(16)}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 1 == done.returncode
    assert "config_postgres_url_direct: this needs a session" in done.stderr


@pytest.fixture
async def narrow(values, direct):
    """A pool of the product's own, before a pooler with a single process."""
    config = dict(settings.resolve(keys.KEYS, [])) | {
        "config_postgres_url_direct": direct,
        "config_postgres_statement_cache_size": 0,
        "config_postgres_acquire_timeout_sec": 2.0,
        "config_postgres_lock_timeout_sec": 1.5,
    }
    with bouncer(direct, size=1) as port:
        config["config_postgres_url"] = through(port)
        pool = await open_pool(through(port), config)
        try:
            yield pool, config
        finally:
            pool.terminate()


async def test_value_that_does_not_fit_holds_no_process(narrow):
    """The statement was prepared and never run: somebody else gets through."""
    pool, config = narrow
    database = opened_database(config, pool)
    named = Named(database)
    other = await asyncpg.connect(
        config["config_postgres_url"], statement_cache_size=0, timeout=10
    )
    with pytest.raises(ApiError):
        await database.value("select $1::int", "x")
    assert 1 == await other.fetchval("select 1", timeout=10)
    with pytest.raises(ApiError):
        await named.fetch_val("select :a::int", {"a": "x"})
    assert 1 == await other.fetchval("select 1", timeout=10)
    await other.close()


async def test_transactions_keep_their_limits(narrow):
    """Ours and those of the user's own code, for their time only."""
    pool, config = narrow
    database = opened_database(config, pool)
    named = Named(database)
    ask = "select current_setting('lock_timeout')"
    async with database.transaction() as connection:
        assert "1500ms" == await connection.value(ask)
    async with named.transaction():
        assert "1500ms" == await named.fetch_val(ask)
    assert "1s" == await database.value(ask)  # the role's
