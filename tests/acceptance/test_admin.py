"""What stands behind an api id: any row of any table, one statement, and the log."""

import json
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.acceptance.people import newcomer

READ = "/admin/object-read"
RUN = "/admin/db-runner"


def refused(answer, *statuses):
    """Check that a call was refused in the one shape, telling no insides."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    told = answer.json()
    assert 0 == told["status"]
    for inside in ("Traceback", "asyncpg", "DETAIL:", "$argon2"):
        assert inside not in answer.text
    return told


@pytest.fixture(scope="module")
def clerk(api):
    """An admin who may create and read, and nothing else."""
    return newcomer(api, api_access="1, 5,x,,")


ROUTES = [
    (1, "POST", "/admin/object-create?table=test"),
    (2, "PUT", "/admin/object-update?table=test"),
    (3, "PUT", "/admin/ids-update"),
    (4, "DELETE", "/admin/ids-delete"),
    (5, "GET", f"{READ}?table=test"),
    (6, "POST", RUN),
    (1, "POST", "/admin/rows/test"),
    (2, "PUT", "/admin/rows/test"),
    (5, "GET", "/admin/rows/test"),
]


@pytest.mark.parametrize(("number", "method", "path"), ROUTES)
def test_route_is_for_who_lists_its_id(api, ada, clerk, number, method, path):
    """401 for nobody, 403 for a user, and an answer for who has the id."""
    assert "token missing" == refused(api.call(method, path), 401)["message"]
    assert "api access denied" == refused(api.call(method, path, ada), 403)["message"]
    refused(api.call(method, path, "root"), 401)
    answer = api.call(method, path, clerk, json={})
    assert (403 == answer.status_code) is (number not in {1, 5}), answer.text


@pytest.mark.parametrize("listed", ["", " ", "x", "0", "-5", "55", "5 5", "５", "1;5"])
def test_odd_list_of_rights_grants_nothing(api, listed):
    """Only whole numbers joined by commas count."""
    person = newcomer(api, api_access=listed)

    refused(api.call("GET", f"{READ}?table=test", person), 403)


def test_admin_works_on_rows_of_others(api, admin, ada):
    """Created, read, changed and deleted, whoever made them."""
    made = api.message(
        "POST", "/my/object-create?table=test", ada, json={"title": "ada's"}
    )
    body = {"id": made, "title": "admin's", "is_verified": 1}
    path = "/admin/object-update?table=test"

    assert made == api.message("PUT", path, admin, json=body)
    (row,) = api.message("GET", f"{READ}?table=test&id==,{made}", admin)
    assert ("admin's", 1, ada.id, admin.id) == (
        row["title"],
        row["is_verified"],
        row["created_by_id"],
        row["updated_by_id"],
    )
    body = {"table": "test", "ids": [made]}
    assert 1 == api.message("DELETE", "/admin/ids-delete", admin, json=body)
    assert [] == api.sql("select from test where id = $1", made)


def test_password_is_hashed_here_too(api, admin):
    """On every way of writing one; `is_serialize=0` changes nothing."""
    word = "correct horse battery"
    path = "/admin/object-create?table=users"
    names = [f"made-{n}-{time.time_ns()}" for n in range(3)]
    one = {"type": 1, "username": names[0], "password": word}
    made = [api.message("POST", f"{path}&is_serialize=0", admin, json=one)]
    many = [{"type": 1, "username": name, "password": word} for name in names[1:]]
    made += api.message("POST", path, admin, json=many)
    body = {"id": made[1], "password": word}
    api.message("PUT", "/admin/object-update?table=users", admin, json=body)
    body = {"table": "users", "ids": made[2:], "column": "password", "value": word}
    api.message("PUT", "/admin/ids-update", admin, json=body)

    rows = api.sql("select password from users where id = any($1)", made)
    assert 3 == len(rows)
    assert all(row["password"].startswith("$argon2id$") for row in rows)
    for name in names:
        login = {"type": 1, "username": name, "password": word}
        assert 200 == api.call("POST", "/auth/login-password", json=login).status_code


def test_rights_given_here_hold_at_once(api, admin):
    """And so does taking them away; the token stays the same."""
    person = newcomer(api)

    def status():
        return api.call("GET", f"{READ}?table=report_user", person).status_code

    assert 403 == status()
    path = "/admin/object-update?table=users"
    for access, expected in (("5", 200), (None, 403)):
        body = {"id": person.id, "api_access": access}
        api.message("PUT", path, admin, json=body)
        deadline = time.monotonic() + 3
        while status() != expected and time.monotonic() < deadline:
            time.sleep(0.02)
        assert expected == status()


UNKNOWN = ["nope", "pg_user", "atom.session", "session", "Test", "test; drop", ""]


@pytest.mark.parametrize("table", UNKNOWN)
def test_unknown_table_is_told(api, admin, table):
    """Also to an admin there is only what is in the catalog."""
    given = {"table": table}
    body = {"title": "x"}
    refused(
        api.call("POST", "/admin/object-create", admin, params=given, json=body),
        400,
        404,
    )
    refused(api.call("GET", READ, admin, params=given), 400, 404)


@pytest.mark.parametrize(
    "body",
    [
        {"id": 2**62, "is_deleted": 1},
        {"id": 1, "type": "x"},
        {"id": 5, "created_at": "2020-01-01"},
        {"id": "x", "title": "x"},
        {"id": 10**30, "title": "x"},
        {"title": "x"},
        {"id": 1, "nope": 1},
    ],
    ids=repr,
)
def test_odd_update_is_refused(api, admin, body):
    """Named, and nothing is changed."""
    answer = api.call("PUT", "/admin/object-update?table=test", admin, json=body)

    refused(answer, 400, 404, 422)


def test_first_user_is_not_deleted(api, admin):
    """Nor are protected ones, nor many at once."""
    body = {"table": "users", "ids": [1]}
    refused(api.call("DELETE", "/admin/ids-delete", admin, json=body), 403, 409)
    body = {"table": "users", "ids": [newcomer(api, is_protected=1).id]}
    refused(api.call("DELETE", "/admin/ids-delete", admin, json=body), 403, 409)
    assert api.sql("select from users where id = 1")


def test_read_of_one_admin_is_not_the_answer_of_another(api, admin, clerk):
    """It is cached for each caller apart, and dropped when the table is written."""
    path = f"{READ}?table=test&limit=1&title==,cached"
    made = api.message(
        "POST", "/admin/object-create?table=test", admin, json={"title": "cached"}
    )
    first = api.call("GET", path, admin)
    deadline = time.monotonic() + 3
    hits = 0
    while hits < 3:  # the news of the write may come late and drop it once more
        assert time.monotonic() < deadline
        again = api.call("GET", path, admin)
        hits = hits + 1 if "x-cache" in again.headers else 0
        time.sleep(0.1)
    other = api.call("GET", path, clerk)

    assert "x-cache" not in first.headers
    assert first.json() == again.json()
    assert first.headers["content-type"] == again.headers["content-type"]
    assert "x-cache" not in other.headers
    body = {"table": "test", "ids": [made]}
    api.message("DELETE", "/admin/ids-delete", admin, json=body)
    assert [] == api.message("GET", path, admin)


def test_who_lost_the_right_is_not_served_from_the_cache(api):
    """The gate stands before the cache."""
    person = newcomer(api, api_access="5")
    path = f"{READ}?table=test&limit=3"
    assert 200 == api.call("GET", path, person).status_code
    api.sql("update users set api_access = null where id = $1", person.id)
    deadline = time.monotonic() + 3
    while 200 == api.call("GET", path, person).status_code:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    refused(api.call("GET", path, person), 403)


READING = [
    ("select 1 as a", [{"a": 1}]),
    ("select updated_at from test where false offset 0", []),
    ("with x as (select 2 as b) select b from x", [{"b": 2}]),
    ("select 'it''s; here' as c", [{"c": "it's; here"}]),
]


@pytest.mark.parametrize(("query", "expected"), READING)
def test_statement_that_reads_is_run(api, admin, query, expected):
    """Words that look like writing do not matter, only what it does."""
    assert expected == api.message("POST", RUN, admin, json={"query": query})


WRITING = [
    "copy (select 1) to program 'touch /tmp/atom-was-here'",
    "copy test to '/tmp/atom-was-here'",
    "copy test from program 'id'",
    "select 1 into atom_was_here",
    "create table atom_was_here (a int)",
    "create temp table atom_was_here (a int)",
    "do $$ begin perform 1; end $$",
    "select pg_read_file('/etc/passwd')",
    "select pg_ls_dir('/')",
    "select lo_import('/etc/passwd')",
    "select pg_sleep(60)",
    "select pg_terminate_backend(pid) from pg_stat_activity",
    "select pg_reload_conf()",
    "select set_config('role', 'postgres', false)",
    "select current_setting('data_directory')",
    "select nextval('test_id_seq')",
    "select setval('test_id_seq', 1)",
    "select pg_notify('atom', '{}')",
    "select dblink('', 'select 1')",
    "select query_to_xml('delete from test', true, true, '')",
    "with x as (delete from test returning 1) select * from x",
    "with x as (insert into test (title) values ('x') returning 1) select * from x",
    "update test set title = 'x'",
    "insert into test (title) values ('x')",
    "delete from test",
    "truncate test",
    "drop table test",
    "alter table test add column x int",
    "grant all on test to public",
    "set role postgres",
    "reset role",
    "vacuum",
    "listen atom",
    "lock table test",
    "begin",
    "commit",
    "select 1; delete from test",
    "select 1; select 2",
    "/* select */ delete from test",
    "-- select\ndelete from test",
    "explain analyze delete from test",
    "prepare x as delete from test",
    "execute x",
    "declare c cursor for select 1",
    "call x()",
    "select * from atom.session",
    "select * from pg_authid",
    "select * from pg_shadow",
    "select rolpassword from pg_roles",
    "select * from pg_stat_activity",
    "select password from users",
    "select * from users",
    "select u from users u",
    "select to_jsonb(u) from users u",
    "select row_to_json(users) from users",
    "select (u).password from users u",
    "select array_agg(password) from users",
    "select 1 from users where password like '$argon2%'",
    "select id from users order by password",
    "table users",
    "select otp from otp",
    "select id from test for update",
    "",
    " ",
    ";",
    "nope",
    "select 1/0",
    "select 'a\0b'",
    "select * from nope",
    "(" * 5000,
    "select " + "1+" * 20000 + "1",
    "values (pg_sleep(60))",
    "select 1 where pg_sleep(60) is null",
]


@pytest.mark.parametrize("query", WRITING, ids=lambda q: q[:50] or "empty")
def test_statement_that_does_more_than_read_is_refused(api, admin, query):
    """Files, settings, other schemas, secrets, effects: never, and in no disguise."""
    before = api.sql("select count(*), max(id), md5(string_agg(title, '')) from test")
    begin = time.perf_counter()

    answer = api.call("POST", RUN, admin, json={"query": query})

    refused(answer, 400, 403, 404, 409, 422)
    assert time.perf_counter() - begin < 15
    assert before == api.sql(
        "select count(*), max(id), md5(string_agg(title, '')) from test"
    )


@pytest.mark.parametrize("body", [{}, {"query": 5}, {"query": None}, {"query": ["a"]}])
def test_statement_is_a_text(api, admin, body):
    """One, and named query."""
    refused(api.call("POST", RUN, admin, json=body), 422)


def test_second_asking_is_served_from_the_cache(api):
    """The same type and body, and the log says which was which."""
    first, again = api.call("GET", "/test"), None
    deadline = time.monotonic() + 5
    while again is None or again.status_code == 429:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        again = api.call("GET", "/test")

    assert "hit" == again.headers["x-cache"]
    if first.status_code == 200:
        assert first.json() == again.json()
    assert "application/json" == again.headers["content-type"]


def logged(server, what, **wanted):
    """Return the rows of log_api that have these values, once one is there."""
    names = " and ".join(f"{name} = ${n}" for n, name in enumerate(wanted, 1))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        rows = server.sql(f"select * from log_api where {names}", *wanted.values())
        if rows:
            return rows
        time.sleep(0.1)
    raise AssertionError(f"no row of log_api: {what}")


def test_every_way_of_answering_has_its_type(api, admin):
    """1 background, 2 from cache, 3 executed, 4 filled the cache, 5 refused."""
    path = f"{READ}?table=test&limit=7"
    api.message("GET", path, admin)
    api.message("GET", path, admin)
    api.call("GET", "/nope/for/the/log")
    api.call("GET", "/public/info?otp=987654&google_token=zzz&a=b")
    create = "/my/object-create?table=test&is_background=1"
    assert "added in background" == api.message(
        "POST", create, admin, json={"title": "in the background"}
    )

    api_of = {"api": READ, "query_param": "table=test&limit=7"}
    logged(api, "from cache", type=2, created_by_id=admin.id, **api_of)
    logged(api, "filled", type=4, created_by_id=admin.id, **api_of)
    (row,) = logged(api, "refused", api="/nope/for/the/log")
    assert (5, 404) == (row["type"], row["status_code"])
    masked = "otp=***&google_token=***&a=b"
    (row,) = logged(api, "executed", type=3, api="/public/info", query_param=masked)
    assert 200 == row["status_code"]
    (row,) = logged(api, "background", type=1, created_by_id=admin.id)
    assert json.loads(row["description"])["status"] == 1
    assert api.sql("select from test where title = 'in the background'")


def test_background_failure_is_in_the_log(api, ada):
    """Nobody hears of it otherwise."""
    create = "/my/object-create?table=test&is_background=1"
    api.message("POST", create, ada, json={"nope": 1})

    (row,) = logged(api, "failed", type=1, created_by_id=ada.id, status_code=400)
    assert "sql.unknown_column" in row["description"]


BACKGROUND = [
    ("GET", "/my/profile?is_background=1"),
    ("GET", "/my/token-refresh?is_background=1"),
    ("GET", f"{READ}?table=test&is_background=1"),
    ("GET", "/public/info?is_background=1"),
    ("POST", "/my/object-create?table=test&is_background=2"),
    ("POST", "/my/object-create?table=test&is_background="),
    ("POST", "/my/object-create?table=test&is_background=true"),
]


@pytest.mark.parametrize(("method", "path"), BACKGROUND)
def test_background_is_for_writes_and_is_0_or_1(api, admin, method, path):
    """Reads have nobody to answer to."""
    refused(api.call(method, path, admin, json={"title": "x"}), 400)


def test_gates_stand_before_the_background(api, ada):
    """Who may not do it is told so at once."""
    path = "/admin/object-create?table=test&is_background=1"

    refused(api.call("POST", path, json={"title": "x"}), 401)
    refused(api.call("POST", path, ada, json={"title": "x"}), 403)


def test_sample_routes_touch_nothing_without_a_token(api):
    """And user 1 stays as it is."""
    before = api.sql(
        "select to_jsonb(u) - 'last_active_at' as u from users u where id = 1"
    )
    for method in ("GET", "PUT", "POST"):
        refused(api.call(method, "/postgres-update"), 401, 404, 405)
        refused(api.call(method, "/postgres-create"), 401, 404, 405)
    assert before == api.sql(
        "select to_jsonb(u) - 'last_active_at' as u from users u where id = 1"
    )


def socket(api, path, **options):
    """Open a WebSocket."""
    return connect(api.url.replace("http", "ws") + path, close_timeout=2, **options)


@pytest.mark.parametrize(
    "path", ["/ws", "/ws?token=garbage", "/ws?token=", "/ws?access_token=x"]
)
def test_socket_without_a_token_is_refused(api, path):
    """At the handshake, before anything is accepted."""
    with pytest.raises(InvalidStatus) as failure:
        socket(api, path)
    assert 401 == failure.value.response.status_code


def test_socket_with_a_token_echoes(api, ada):
    """In the header, or in the URL, as browsers must."""
    headers = ada.headers
    for words in ({"additional_headers": headers}, {}):
        path = "/ws" if words else f"/ws?token={ada.token}"
        with socket(api, path, **words) as open_socket:
            open_socket.send("hello")
            assert "hello" == open_socket.recv(timeout=5)


@pytest.mark.parametrize("path", ["/my/profile", "/root/reset-global", READ, "/nope"])
def test_socket_is_no_way_into_a_route(api, admin, path):
    """A handshake reaches WebSocket routes only."""
    for headers in (admin.headers, api.root):
        with pytest.raises((InvalidStatus, ConnectionClosed)):
            with socket(api, path, additional_headers=headers):
                pass


def test_forwarded_address_is_believed_of_nobody(api):
    """The log has the address of the connection."""
    mark = str(time.time_ns())
    headers = {"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6"}
    api.call("GET", f"/public/info?mark={mark}", headers=headers)

    (row,) = logged(api, "address", query_param=f"mark={mark}")
    assert "127.0.0.1" == row["ip_address"]
