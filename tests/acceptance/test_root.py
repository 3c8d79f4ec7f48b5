"""What only the root key opens: schema, caches, explanations, tables as CSV."""

from concurrent.futures import ThreadPoolExecutor

import pytest

INIT, RESET = "/root/postgres-init", "/root/reset-global"
EXPORT, IMPORT = "/root/postgres-export", "/root/postgres-import"


def refused(answer, *statuses):
    """Check that a call was refused in the one shape, telling no insides."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    told = answer.json()
    assert 0 == told["status"]
    for inside in ("Traceback", "asyncpg", "DETAIL:"):
        assert inside not in answer.text
    return told


LOCKED = [
    ("GET", INIT),
    ("POST", INIT),
    ("GET", RESET),
    ("POST", RESET),
    ("GET", "/root/doctor"),
    ("GET", "/root/explain"),
    ("POST", EXPORT),
    ("POST", IMPORT),
]


@pytest.mark.parametrize(("method", "path"), LOCKED)
def test_root_key_is_needed_exactly(api, ada, admin, method, path):
    """No token of a user, no part of the key, no other scheme."""
    key = api.config["config_key_root"]
    wrong = [
        {},
        ada.headers,
        admin.headers,
        {"Authorization": f"Bearer {key[:-1]}"},
        {"Authorization": f"Bearer {key}x"},
        {"Authorization": f"Bearer {key.upper()}"},
        {"Authorization": f"Bearer {key} {key}"},
        {"Authorization": f"Bearer {key},"},
        {"Authorization": f"Basic {key}"},
        {"Authorization": key},
        {"X-Root-Key": key},
        {"Cookie": f"root={key}"},
        {"Authorization": "Bearer é".encode("latin-1")},
        {"Authorization": "Bearer " + "a" * 7000},
    ]
    for headers in wrong:
        answer = api.call(method, path, headers=headers)
        assert "token root mismatch" == refused(answer, 401)["message"]
    refused(api.call(method, f"{path}?token={key}&key={key}"), 401)


def test_root_key_is_no_user(api):
    """It opens /root and nothing else."""
    for path in ("/my/profile", "/admin/object-read?table=users"):
        refused(api.call("GET", path, "root"), 401)


SHAPE = """
select (select count(*) from pg_indexes where schemaname = 'public') as indexes,
       (select count(*) from pg_constraint) as constraints,
       (select count(*) from pg_trigger) as triggers,
       (select count(*) from information_schema.columns
        where table_schema = 'public') as columns
"""


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_schema_is_applied_once(api, method):
    """The second time there is nothing to do, and nothing is done twice."""
    before = api.sql(SHAPE)

    assert "done" == api.message(method, INIT, "root")

    assert before == api.sql(SHAPE)
    plan = api.message(method, f"{INIT}?mode=plan", "root")
    steps = plan["steps"] if isinstance(plan, dict) else plan
    assert not [step for step in steps if step]


@pytest.mark.parametrize("query", ["mode=zzz", "mode=", "is_destructive=maybe"])
def test_odd_mode_of_init_is_named(api, query):
    """And nothing is applied."""
    told = refused(api.call("GET", f"{INIT}?{query}", "root"), 422)

    assert query.partition("=")[0] in told["message"]


def test_renamed_root_user_is_not_made_again(api):
    """It exists once, whatever it is called; nobody logs in with a published name."""
    rights = "select count(*) from users where api_access is not null"
    before = api.sql(rights)
    api.sql("update users set username = 'renamed' where id = 1")
    try:
        api.message("GET", INIT, "root")
        assert before == api.sql(rights)
        assert [] == api.sql("select from users where username = 'root'")
        for name, word in (
            ("root", "root"),
            ("root", "password"),
            ("admin", "admin"),
            ("root", "rootroot"),
            ("root", api.config["config_root_password"]),
        ):
            login = {"type": 1, "username": name, "password": word}
            refused(api.call("POST", "/auth/login-password", json=login), 401)
    finally:
        api.sql("update users set username = 'root' where id = 1")


def test_reset_may_be_asked_for_by_many_at_once(api, ada):
    """Twenty in parallel all succeed, and requests go on meanwhile."""
    with ThreadPoolExecutor(20) as threads:
        calls = [
            threads.submit(api.call, "GET", RESET, "root")
            if n % 2
            else threads.submit(api.call, "GET", "/my/profile", ada)
            for n in range(40)
        ]
    assert {200} == {call.result().status_code for call in calls}


def test_table_made_past_the_server_is_known_after_a_reset(api, ada):
    """A new column is read and written; its owner rules hold from the first moment."""
    api.sql("create table public.shelf (id bigint primary key, created_by_id bigint)")
    try:
        api.sql("insert into public.shelf values (1, 1)")
        api.message("GET", RESET, "root")
        assert [] == api.message("GET", "/my/object-read?table=shelf", ada)
        answer = api.call("GET", "/public/object-read?table=shelf")
        assert "table not allowed" == refused(answer, 403)["message"]
    finally:
        api.sql("drop table public.shelf")
        api.message("GET", RESET, "root")
    refused(api.call("GET", "/my/object-read?table=shelf", ada), 404)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("path=/nope", 404),
        ("path=", 404),
        ("path=/my/profile&method=BREW", 404),
        ("path=/my/profile&user_id=0", 422),
        ("path=/my/profile&user_id=x", 422),
        ("path=/my/profile&user_id=99999999999999999999", 422),
        ("path=my/profile", 404),
        ("path=%00", 404),
    ],
)
def test_odd_question_to_explain_is_refused(api, query, status):
    """With the nearest path, where there is one."""
    refused(api.call("GET", f"/root/explain?{query}", "root"), status)


def test_explain_of_a_user_who_is_not_there(api):
    """A token of theirs would be refused."""
    path = "/root/explain?path=/my/profile&user_id=999999999"

    assert "token" == api.message("GET", path, "root")["refused_by"]


def export(api, query):
    """Ask for rows as CSV."""
    return api.call("POST", EXPORT, "root", json={"query": query})


def test_export_is_csv(api):
    """Attached, with a header, lines ended by CR LF."""
    answer = export(api, "select 1 as a")

    assert (200, "a\r\n1\r\n") == (answer.status_code, answer.text)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "query_result.csv" in answer.headers["content-disposition"]


NO_EXPORT = [
    "delete from test",
    "with x as (delete from test returning *) select * from x",
    "with x as (update test set title = '' returning *) select * from x",
    "insert into test (title) values ('x') returning *",
    "select 1; delete from test",
    "select 1 into atom_was_here",
    "drop table test",
    "copy (select 1) to program 'id'",
    "select pg_read_file('/etc/passwd')",
    "select * from users",
    "select password from users",
    "select u from users u",
    "select * from atom.session",
    "do $$ begin end $$",
    "nope",
    "",
    ";",
]


@pytest.mark.parametrize("query", NO_EXPORT, ids=lambda q: q[:40] or "empty")
def test_export_of_what_does_more_than_read_is_refused_before_the_first_byte(
    api, query
):
    """With a status of its own, and nothing done."""
    before = api.sql("select count(*), max(id) from test")

    refused(export(api, query), 400, 403, 404, 422)

    assert before == api.sql("select count(*), max(id) from test")


def load(api, text, **form):
    """Send a CSV file."""
    form = {"mode": "create", "table": "test"} | form
    files = {"file": ("x.csv", text, "text/csv")}
    return api.call("POST", IMPORT, "root", data=form, files=files)


def test_import_creates_updates_and_deletes(api):
    """And answers how many rows there were."""
    assert 2 == load(api, "title,rating\r\ncsv a,1\r\ncsv b,2\r\n").json()["message"]
    ids = [row["id"] for row in api.sql("select id from test where title like 'csv _'")]
    text = "id,title\n" + "".join(f"{one},csv new\n" for one in ids)
    assert 2 == load(api, text, mode="update").json()["message"]
    text = "id\n" + "".join(f"{one}\n" for one in ids)
    assert 2 == load(api, text, mode="delete").json()["message"]
    assert [] == api.sql("select from test where id = any($1)", ids)


NO_IMPORT = [
    ({"mode": "zzz"}, "title\nx\n", "create"),
    ({"mode": ""}, "title\nx\n", "mode"),
    ({"table": "nope"}, "title\nx\n", "nope"),
    ({"table": "atom.session"}, "id\nx\n", ""),
    ({"table": "test; drop table test"}, "title\nx\n", ""),
    ({}, "nope\nx\n", "nope"),
    ({}, "title,title\nx,y\n", "title"),
    ({}, "title,rating\nx,1\ny,oops\n", "rating"),
    ({}, "title\nx,y\n", ""),
    ({}, "", ""),
    ({}, "\n", ""),
    ({}, b"title\n\xff\n", ""),
    ({}, b"title\nimport a\n\0\n", ""),
    ({}, 'title\n"never ended', ""),
    ({"mode": "update"}, "title\nx\n", "id"),
    ({"mode": "delete"}, "title\nx\n", "id"),
    ({"mode": "update"}, "id,title\nx,y\n", ""),
]


@pytest.mark.parametrize(("form", "text", "named"), NO_IMPORT, ids=repr)
def test_import_that_cannot_be_read_is_refused_whole(api, form, text, named):
    """What is wrong is named; no row is kept."""
    before = api.sql("select count(*), max(id) from test")

    told = refused(load(api, text, **form), 400, 403, 404, 409, 422)

    assert named in told["message"] + told["hint"]
    assert before[0]["count"] == api.sql("select count(*) from test")[0]["count"]


def test_import_of_nothing(api):
    """No file is named as missing; a header alone is no row."""
    form = {"mode": "create", "table": "test"}
    told = refused(api.call("POST", IMPORT, "root", data=form), 400, 422)
    assert "file" in told["message"]
    assert 0 == load(api, "title\n").json()["message"]


def test_password_is_not_imported_as_it_is_written(api):
    """No way in stores one: a hash is taken, anything else refused."""
    text = "type,username,password\n1,imported,correct horse\n"
    told = refused(load(api, text, table="users"), 400)

    assert "password" in told["message"]
    assert "correct horse" not in told["message"]
    assert [] == api.sql("select from users where username = 'imported'")
