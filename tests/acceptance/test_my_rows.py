"""Rows of one's own: written, changed and deleted, and never anybody else's."""

import json
from itertools import product
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.acceptance.people import newcomer

SECRET = "the-secret-of-ada"


@pytest.fixture
def mine(api, ada):
    """A new row of ada's."""
    row = {"title": SECRET, "rating": 4.5, "location": "POINT(10 20)"}
    return api.message("POST", "/my/object-create?table=test", ada, json=row)


def stored(api, row_id):
    """Return a row of test as the database has it, None when it is gone."""
    rows = api.sql("select * from test where id = $1", row_id)
    return rows[0] if rows else None


def refused(answer, *statuses):
    """Check that a call was refused, in the one shape, with one of the statuses."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    told = answer.json()
    assert 0 == told["status"]
    assert told["message"]
    for inside in ("Traceback", "asyncpg", "DETAIL", "insert into"):
        assert inside not in answer.text
    return told


def test_created_row_is_mine(api, ada):
    """The answer is an id; the owner is who asked."""
    made = api.message("POST", "/my/object-create?table=test", ada, json={"title": "x"})

    assert isinstance(made, int)
    assert ada.id == stored(api, made)["created_by_id"]


def test_update_answers_the_id_and_keeps_the_owner(api, ada, mine):
    """And notes who changed it."""
    body = {"id": mine, "title": "y"}

    assert mine == api.message("PUT", "/my/object-update?table=test", ada, json=body)
    row = stored(api, mine)
    assert ("y", ada.id, ada.id) == (
        row["title"],
        row["created_by_id"],
        row["updated_by_id"],
    )


FOREIGN = [
    ("PUT", "/my/object-update?table=test", {"id": "{id}", "title": "taken"}, 404),
    (
        "PUT",
        "/my/ids-update",
        {"table": "test", "ids": "{id}", "column": "title", "value": "taken"},
        0,
    ),
    (
        "PUT",
        "/my/ids-update",
        {"table": "test", "ids": ["{id}"], "column": "title", "value": "taken"},
        0,
    ),
    ("DELETE", "/my/ids-delete", {"table": "test", "ids": "{id}"}, 0),
    ("DELETE", "/my/ids-delete", {"table": "test", "ids": ["{id}"]}, 0),
    ("DELETE", "/my/object-delete-any?table=test&id==,{id}", None, 0),
    ("DELETE", "/my/object-delete-any?table=test&id=>,0", None, None),
    (
        "DELETE",
        "/my/object-delete-any?table=test&or=(id=>,0;title=is,null)",
        None,
        None,
    ),
    ("DELETE", f"/my/object-delete-any?table=test&title==,{SECRET}", None, 0),
    ("DELETE", "/my/object-delete-any?table=test&created_by_id==,{ada}", None, 0),
]


def filled(template, values):
    """Put ids into a path or a body."""
    if isinstance(template, dict):
        return {name: filled(item, values) for name, item in template.items()}
    if isinstance(template, list):
        return [filled(item, values) for item in template]
    if template == "{id}":
        return values["id"]
    return template.format(**values) if isinstance(template, str) else template


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"), FOREIGN, ids=lambda v: str(v)[:60]
)
def test_row_of_another_is_not_reached(
    api, ada, bob, mine, method, path, body, expected
):
    """To bob a row of ada's is not there, whatever he calls it."""
    before = stored(api, mine)
    values = {"id": mine, "ada": ada.id}
    if isinstance(body, dict) and isinstance(body.get("ids"), str):
        body = {**body, "ids": str(mine)}
    else:
        body = filled(body, values)

    answer = api.call(method, path.format(**values), bob, json=body)

    if expected == 404:
        assert "not yours" in refused(answer, 404)["message"]
    else:
        assert 200 == answer.status_code, answer.text
        assert expected is None or expected == answer.json()["message"]
    assert before == stored(api, mine)


def test_unknown_row_and_foreign_row_look_the_same(api, bob, mine):
    """Nobody learns from an error which ids exist."""
    path = "/my/object-update?table=test"
    foreign = api.call("PUT", path, bob, json={"id": mine, "title": "x"}).json()
    unknown = api.call("PUT", path, bob, json={"id": 2**62, "title": "x"}).json()

    assert foreign.pop("request_id") != unknown.pop("request_id")
    assert foreign == unknown


READS = [
    "/my/object-read?table=test",
    "/my/object-read?table=test&id==,{id}",
    "/my/object-read?table=test&id=in,{id}|{other}",
    f"/my/object-read?table=test&title==,{SECRET}",
    "/my/object-read?table=test&title=ilike,%25secret%25",
    "/my/object-read?table=test&created_by_id==,{ada}",
    "/my/object-read?table=test&created_by_id=!=,{bob}",
    "/my/object-read?table=test&created_by_id=is distinct from,{bob}",
    "/my/object-read?table=test&or=(created_by_id==,{ada};id=>,0)",
    f"/my/object-read?table=test&or=(title==,{SECRET};title=is,null)",
    "/my/object-read?table=test&is_count=1",
    "/my/object-read?table=test&is_count=1&created_by_id==,{ada}",
    "/my/object-read?table=test&column=title",
    "/my/object-read?table=test&order=title,id&limit=1000",
    "/my/object-read?table=test&creator_key=username",
    "/my/object-read?table=test&cursor=",
    "/my/object-read?table=test&cursor={cursor}",
    "/my/object-read?table=test&cursor={cursor}&order=title,id",
    "/my/object-read?table=test&location_filter=10,20,0,1000",
    "/my/object-read?table=test&group_by=title",
    "/my/object-read?table=test&group_by=title&aggregate=count,max(rating)",
    "/my/object-read?table=test&aggregate=count,sum(rating),min(title)",
    "/my/object-read?table=test&group_by=created_by_id&aggregate=count",
    "/my/object-read?table=test&page=1&limit=1",
    "/my/object-read?table=test&user_id=is,null",
    "/my/object-read?table=message",
    "/my/object-read?table=message&user_id==,{bob}",
    "/my/object-read?table=report_user&user_id==,{bob}",
    "/my/parent-read?table=test&parent_table=users&parent_column=created_by_id",
    "/my/parent-read?table=test&parent_table=message&parent_column=id",
    "/my/parent-read?table=test&parent_table=message&parent_column=type",
    "/my/parent-read?table=report_user&parent_table=message&parent_column=user_id",
    "/my/parent-read?table=message&parent_table=message&parent_column=user_id",
    "/my/parent-read?table=test&parent_table=otp&parent_column=id",
    "/my/parent-read?table=test&parent_table=log_api&parent_column=type",
    "/my/rows/test?id==,{id}",
    "/my/rows/test?or=(id==,{id};id=>,0)",
    "/my/object-read?table=test&relation=created_by_id(username,test(title))",
    "/my/object-read?table=message&relation=user_id(id,message(id,description))",
    "/my/object-read?table=message&relation=user_id(id,message.created_by_id:count)",
    "/my/object-read?table=message&relation=user_id(id,message.user_id(description))",
    "/my/object-read?table=message&relation=user_id(id,test(id,title))",
    "/my/object-read?table=message&relation=user_id(id,test:count)",
    "/my/object-read?table=message&relation=user_id(id,email)",
    "/my/object-read?table=message&relation=user_id(id,password)",
    "/my/object-read?table=message&relation=user_id(id,log_api(api))",
    "/my/object-read?table=users&relation=message,test(title),report_user",
    "/my/message-received",
    "/my/message-inbox",
    "/my/message-thread?user_id={ada}",
]


@pytest.fixture(scope="module")
def carol(api, ada):
    """A third user, with one row, who wrote to ada once."""
    made = newcomer(api)
    body = {"title": "c"}
    made.row = api.message("POST", "/my/object-create?table=test", made, json=body)
    body = {"user_id": ada.id, "description": "from carol"}
    api.message("POST", "/my/object-create?table=message", made, json=body)
    return made


def rows_of(answer):
    """Return the rows of a success, none of a refusal."""
    return answer.json()["message"] if answer.status_code == 200 else []


@pytest.mark.parametrize("path", READS)
def test_nothing_of_ada_reaches_carol(api, ada, carol, path):
    """No filter, page, cursor, count, group, sum, distance or error tells of hers."""
    made = carol.row
    rows = [
        {"title": SECRET, "rating": 999.125, "location": "POINT(10 20)"},
        {"title": f"{SECRET} 2", "rating": 999.125, "location": "POINT(10 20)"},
    ]
    ids = api.message("POST", "/my/object-create?table=test", ada, json=rows)
    message = {"user_id": ada.id, "description": SECRET}
    written = api.message("POST", "/my/object-create?table=message", ada, json=message)
    # Carol's row carries ada's ids: pointing at something shows nothing of it.
    api.sql("update test set type = $1 where id = $2", written % 30_000, made)
    page = api.call("GET", "/my/object-read?table=test&cursor=&limit=1", ada).json()
    values = {"id": ids[0], "other": made, "ada": ada.id, "bob": carol.id}
    values["cursor"] = page["next_cursor"]

    answer = api.call("GET", path.format(**values), carol)

    assert answer.status_code in {200, 400, 403, 404}, answer.text
    text = answer.text
    assert SECRET not in text
    assert "999.125" not in text
    assert "1998.25" not in text
    assert ada.username not in text
    assert answer.json().get("count", 0) <= 1
    for row in rows_of(answer):
        related = row.get("user") or {}
        assert 0 == related.get("test_count", 0)
        assert 0 == related.get("message_created_by_id_count", 0)
        assert "title" not in row or row.get("id") not in ids
        assert row.get("created_by_id", carol.id) in {carol.id, None}
        assert row.get("count", 0) <= 1
        assert ada.id != row.get("id") or "users" not in path


TABLES_OF_ALL = ("test", "users", "otp", "log_password", "message", "report_user")


@pytest.mark.parametrize("table", [*TABLES_OF_ALL, "log_api"])
def test_every_table_shows_a_stranger_nothing(api, ada, carol, table):
    """Somebody reads what they made, in any table; and counts no more than that."""
    answer = api.call("GET", f"/my/object-read?table={table}&is_count=1", carol)

    if table in {"otp", "log_api", "log_password"}:
        refused(answer, 403)
        return
    assert 200 == answer.status_code, answer.text
    rows = answer.json()["message"]
    assert len(rows) == answer.json()["count"]
    for row in rows:
        assert carol.id == row["id" if table == "users" else "created_by_id"], row


MANAGED = [
    "created_by_id",
    "updated_by_id",
    "created_at",
    "updated_at",
    "is_protected",
    "is_active",
    "is_verified",
    "id",
    "CREATED_BY_ID",
    " created_by_id",
    "created_by_id ",
    "created_by_id\t",
    '"created_by_id"',
    "test.created_by_id",
    "created\u200b_by_id",
    "ｃreated_by_id",
]


@pytest.mark.parametrize("column", MANAGED)
@pytest.mark.parametrize("way", ["create", "list", "update", "ids"])
def test_managed_column_is_not_written(api, ada, bob, mine, column, way):
    """Who made a row, when, and what it may do is the server's to say."""
    if column == "id" and way == "update":
        return  # there it says which row is meant
    before, count = stored(api, mine), api.sql("select count(*) from test")
    path, body = "/my/object-update?table=test", {"id": mine, column: bob.id}
    method = "PUT"
    if way in {"create", "list"}:
        method, path = "POST", "/my/object-create?table=test"
        body = {"title": "x", column: bob.id}
        body = [{"title": "fine"}, body] if way == "list" else body
    if way == "ids":
        path = "/my/ids-update"
        body = {"table": "test", "ids": [mine], "column": column, "value": bob.id}

    told = refused(api.call(method, path, ada, json=body), 400)

    assert told["code"] in {"row.managed_column", "sql.unknown_column"}
    assert before == stored(api, mine)
    assert count == api.sql("select count(*) from test")


def test_same_key_twice_does_not_smuggle_an_owner(api, ada, bob):
    """Whichever of two equal keys a parser keeps, it is checked."""
    texts = [
        f'{{"title":"x","created_by_id":{ada.id},"created_by_id":{bob.id}}}',
        f'{{"created_by_id":{bob.id},"title":"x"}}',
        f'{{"title":"x","created\\u005fby_id":{bob.id}}}',
    ]
    for text in texts:
        answer = api.call(
            "POST",
            "/my/object-create?table=test",
            ada,
            content=text,
            headers={"Content-Type": "application/json"},
        )
        refused(answer, 400)


SPELLINGS = [
    "public.users",
    "Users",
    "USERS",
    '"users"',
    "users ",
    " users",
    "users\t",
    "users\n",
    "users\0",
    "users\0test",
    "ｕsers",
    "user\u0455",
    "us\u00aders",
    "users\u200b",
    "users;",
    "users--",
    "users/**/",
    "pg_catalog.pg_user",
    "pg_user",
    "pg_authid",
    "information_schema.tables",
    "atom.session",
    "session",
    "token_version",
    "test; drop table test",
    "(select 1) x",
    "(select * from users) test",
    "test, users",
    "test join users on true",
    "test as users",
    "test%20",
    "",
    "null",
    "%s",
    "$1",
    "{test}",
    "test' or '1'='1",
    'test"',
    "a" * 5000,
]


@pytest.mark.parametrize("table", SPELLINGS, ids=lambda t: repr(t)[:40])
def test_odd_spelling_of_a_table_names_no_table(api, ada, admin, table):
    """A table is its exact name in the catalog; nothing is folded or trimmed."""
    given = {"table": table}
    body = {"title": "x"}
    named = {"table": table, "ids": "1"}
    for answer in (
        api.call("POST", "/my/object-create", ada, params=given, json=body),
        api.call("GET", "/my/object-read", ada, params=given),
        api.call("PUT", "/my/object-update", ada, params=given, json={"id": 1, **body}),
        api.call("DELETE", "/my/object-delete-any", ada, params=given | {"id": ">,0"}),
        api.call("DELETE", "/my/ids-delete", ada, json=named),
        api.call(
            "PUT", "/my/ids-update", ada, json={**named, "column": "name", "value": "x"}
        ),
        api.call("GET", "/public/object-read", params=given),
        api.call("POST", "/public/object-create", params=given, json=body),
        api.call("GET", "/admin/object-read", admin, params=given),
        api.call("POST", "/admin/object-create", admin, params=given, json=body),
        api.call("DELETE", "/admin/ids-delete", admin, json=named),
        api.call("GET", f"/my/rows/{quote(table, safe='')}", ada),
        api.call("POST", f"/my/rows/{quote(table, safe='')}", ada, json=body),
        api.call("GET", f"/public/rows/{quote(table, safe='')}"),
        api.call("GET", f"/admin/rows/{quote(table, safe='')}", admin),
    ):
        refused(answer, 400, 403, 404)


@pytest.mark.parametrize("table", ["users", "otp", "log_password", "log_api"])
def test_table_with_routes_of_its_own_takes_no_rows(api, ada, table):
    """A row of otp would be a key to any account, one of users a second account."""
    body = {"title": "x", "email": "a@example.com", "otp": "1", "user_id": 1}
    created = api.call("POST", f"/my/object-create?table={table}", ada, json=body)
    deleted = api.call("DELETE", f"/my/object-delete-any?table={table}&id=>,0", ada)
    named = {"table": table, "ids": "1"}

    more = {"column": "name", "value": "x"}
    refused(created, 400, 403)
    refused(deleted, 400, 403)
    refused(api.call("DELETE", "/my/ids-delete", ada, json=named), 400, 403)
    refused(api.call("PUT", "/my/ids-update", ada, json={**named, **more}), 400, 403)


ACCESS = [
    "api_access",
    "API_ACCESS",
    " api_access",
    "api_access\t",
    "api_access ",
    "Api_Access",
    '"api_access"',
    "users.api_access",
    "ａpi_access",
    "api_acce\u017f\u017f",
    "is_active",
    "is_verified",
    "is_deleted",
    "is_protected",
    "type",
    "created_by_id",
    "google_id",
    "google_data",
    "last_active_at",
    "pässword",
    "PASSWORD",
    "password ",
]


@pytest.mark.parametrize("column", ACCESS)
def test_user_gives_themselves_nothing(api, carol, column):
    """No spelling of a column that decides over rights is written."""
    before = api.sql("select to_jsonb(u) as u from users u where id = $1", carol.id)

    answer = api.call(
        "PUT",
        "/my/object-update?table=users",
        carol,
        json={"id": carol.id, column: "1,2,3"},
    )

    refused(answer, 400)
    assert before == api.sql(
        "select to_jsonb(u) as u from users u where id = $1", carol.id
    )
    token = api.message("GET", "/my/token-refresh", carol)
    answer = api.call(
        "GET",
        "/admin/object-read?table=users",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert 403 == answer.status_code


def test_account_of_another_is_not_changed(api, ada, bob):
    """`wrong id` for any id but one's own, of any type."""
    path = "/my/object-update?table=users"
    for wrong in (bob.id, str(bob.id), 1, 0, -1, None, True, [ada.id], {"id": ada.id}):
        answer = api.call("PUT", path, ada, json={"id": wrong, "name": "x"})
        assert "wrong id" == refused(answer, 403)["message"]
    for wrong in ("a", f"{ada.id}x", f"{ada.id} or 1=1", float(ada.id), 2**70):
        answer = api.call("PUT", path, ada, json={"id": wrong, "name": "x"})
        assert "wrong id" == refused(answer, 403)["message"]
    assert (
        "id" in refused(api.call("PUT", path, ada, json={"name": "x"}), 400)["message"]
    )
    rows = api.sql("select name from users where id = any($1)", [ada.id, bob.id, 1])
    assert "x" not in {row["name"] for row in rows}


def test_password_goes_alone(api, ada):
    """With anything beside it, or without the old one, it is not changed."""
    path = "/my/object-update?table=users"
    new = {"id": ada.id, "password": "battery staple"}
    old = {"password_old": ada.password}

    assert (
        "alone"
        in refused(api.call("PUT", path, ada, json={**new, **old, "name": "x"}), 400)[
            "message"
        ]
    )
    assert (
        "title"
        in refused(api.call("PUT", path, ada, json={**new, **old, "title": "x"}), 400)[
            "message"
        ]
    )
    assert (
        "password_old" in refused(api.call("PUT", path, ada, json=new), 400)["message"]
    )
    wrong = {**new, "password_old": "not this one"}
    refused(api.call("PUT", path, ada, json=wrong), 401)
    short = {**new, **old, "password": "x"}
    assert "8" in refused(api.call("PUT", path, ada, json=short), 400)["message"]
    login = {"type": 1, "username": ada.username, "password": ada.password}
    assert 200 == api.call("POST", "/auth/login-password", json=login).status_code


def test_email_needs_a_code_of_its_own(api, ada):
    """A new address is proven first, and one at a time."""
    path = "/my/object-update?table=users"
    one = {"id": ada.id, "email": "ada@example.com"}
    both = {**one, "mobile": "+919876543210"}

    assert "otp" in refused(api.call("PUT", path, ada, json=one), 400)["message"]
    refused(api.call("PUT", f"{path}&otp=123456", ada, json=one), 401)
    assert (
        "one at a time"
        in refused(api.call("PUT", path, ada, json=both), 400)["message"]
    )
    (row,) = api.sql("select email, mobile from users where id = $1", ada.id)
    assert (None, None) == (row["email"], row["mobile"])


VALUES = [
    ("title", "", ""),
    ("title", "0", "0"),
    ("title", "x\u00e9\U0001f600", "x\u00e9\U0001f600"),
    ("title", "'; drop table test; --", "'; drop table test; --"),
    ("title", None, None),
    ("title", 5, 400),
    ("title", ["a"], 400),
    ("title", "a\0b", 400),
    ("rating", 0, 0),
    ("rating", 4.5, 4.5),
    ("rating", "4.5", 4.5),
    ("rating", "NaN", "NaN"),
    ("rating", "x", 400),
    ("rating", True, 400),
    ("rating", 10**12, 422),
    ("rating", "1e400", 422),
    ("metadata", {"a": [1, None, "x"]}, {"a": [1, None, "x"]}),
    ("metadata", [], []),
    ("metadata", "text", "text"),
    ("metadata", False, False),
    ("metadata", {"a": "\0"}, 400),
    ("tag", ["a", "b,c"], ["a", "b,c"]),
    ("tag", "a,b", ["a", "b"]),
    ("tag", [], []),
    ("tag", [1], 400),
    ("tag", {"a": 1}, 400),
    ("location", "POINT(10 20)", {"type": "Point", "coordinates": [10, 20]}),
    ("location", {"type": "Point", "coordinates": [1.5, -2]},
     {"type": "Point", "coordinates": [1.5, -2]}),
    ("location", "POINT(200 20)", 400),
    ("location", {"type": "Polygon", "coordinates": []}, 400),
    ("location", "POINT(1 2); select", 400),
    ("is_deleted", 1, 1),
    ("is_deleted", 2, 422),
    ("is_deleted", 40000, 400),
]  # fmt: skip


@pytest.mark.parametrize(("column", "given", "expected"), VALUES, ids=repr)
def test_value_is_stored_as_its_column_reads_it_or_refused(
    api, ada, column, given, expected
):
    """Nothing is guessed; falsy values count; a refusal names the column."""
    path = "/my/object-create?table=test"
    body = json.dumps({column: given})
    headers = {"Content-Type": "application/json"}
    answer = api.call("POST", path, ada, content=body, headers=headers)

    if isinstance(expected, int) and expected in {400, 422}:
        told = refused(answer, expected)
        assert column in told["message"] or expected == 422
        return
    assert 200 == answer.status_code, answer.text
    made = answer.json()["message"]
    (row,) = api.message("GET", f"/my/object-read?table=test&id==,{made}", ada)
    assert expected == row[column]
    assert type(expected) in {type(row[column]), int, float}


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=20),
        st.sampled_from(["POINT(1 2)", "2026-01-01", "1,2", "{}", "0", "1e999", "\0"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    max_leaves=5,
)
COLUMNS = ["title", "rating", "tag", "metadata", "location", "is_deleted", "file_url"]


@given(row=st.dictionaries(st.sampled_from(COLUMNS), JSON, min_size=1, max_size=2))
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_json_in_any_column_is_stored_or_refused(api, ada, row):
    """Never a fault, and what was stored can be read back."""
    body = json.dumps(row).encode()
    headers = {"Content-Type": "application/json"}
    path = "/my/object-create?table=test"

    answer = api.call("POST", path, ada, content=body, headers=headers)

    if answer.status_code != 200:
        refused(answer, 400, 422)
        return
    made = answer.json()["message"]
    (read,) = api.message("GET", f"/my/object-read?table=test&id==,{made}", ada)
    for column, value in row.items():
        assert (read[column] is None) is (value is None), (column, value)


def test_moment_keeps_its_instant(api, ada):
    """Any zone in, one offset out; `created_at` is filtered with or without one."""
    (row,) = api.message(
        "GET",
        "/my/object-read?table=test&limit=1&created_at=>,2020-01-01T00:00:00",
        ada,
    )
    assert row["created_at"].endswith("+00:00")
    later = {"table": "test", "created_at": ">,2999-01-01T00:00:00+05:30"}
    assert [] == api.message("GET", "/my/object-read", ada, params=later)


@pytest.mark.parametrize(
    "column", ["titel", "nope", "", "title; drop table test", "Title"]
)
def test_unknown_column_is_named(api, ada, column):
    """With the nearest right word, where there is one."""
    told = refused(
        api.call("POST", "/my/object-create?table=test", ada, json={column: "x"}), 400
    )
    assert "sql.unknown_column" == told["code"]
    if column in {"titel", "Title"}:
        assert "title" in told["hint"]


IDS = [
    "{other}) or id in (0",
    "{other}); delete from test; --",
    "{mine},x",
    "1,2,x",
    "",
    ",",
    " ",
    "{mine},",
    "{mine} {other}",
    "1.5",
    "1e3",
    "0x1",
    "{mine}\0",
    "99999999999999999999",
    [],
    ["{mine}"],
    [1.5],
    [1.0],
    [True],
    [None],
    [[1]],
    [{"id": 1}],
    [2**63],
    [10**30],
    1,
    True,
    None,
    {"in": [1]},
]


@pytest.mark.parametrize("ids", IDS, ids=repr)
@pytest.mark.parametrize("way", ["ids-update", "ids-delete"])
def test_odd_ids_are_refused(api, ada, bob, mine, ids, way):
    """All are whole numbers, or nothing is done."""
    path = "/my/object-create?table=test"
    other = api.message("POST", path, bob, json={"title": "bob's"})
    before = stored(api, mine), stored(api, other)
    if isinstance(ids, str):
        ids = ids.format(mine=mine, other=other)
    elif ids == ["{mine}"]:
        ids = [str(mine)]
    body = {"table": "test", "ids": ids}
    if way == "ids-update":
        body |= {"column": "title", "value": "x"}

    content = json.dumps(body)
    headers = {"Content-Type": "application/json"}
    method = "PUT" if way == "ids-update" else "DELETE"
    refused(
        api.call(method, f"/my/{way}", ada, content=content, headers=headers), 400, 422
    )

    assert before == (stored(api, mine), stored(api, other))


def test_negative_and_unknown_ids_are_nobody(api, ada):
    """Readable, and no row has them."""
    for ids in ("-1", [-1], [0], [2**63 - 1], "0"):
        body = {"table": "test", "ids": ids}
        assert 0 == api.message("DELETE", "/my/ids-delete", ada, json=body)


def test_own_ids_in_both_spellings(api, ada):
    """`"1,2,3"` and `[1,2,3]` mean the same, spaces do not matter, twice is once."""
    path = "/my/object-create?table=test"
    a, b, c = api.message("POST", path, ada, json=[{"title": "x"}] * 3)
    body = {"table": "test", "column": "title", "value": "y"}

    assert 2 == api.message("PUT", "/my/ids-update", ada, json={**body, "ids": [a, b]})
    many = f" {a}, {b} ,{a}"
    assert 2 == api.message("PUT", "/my/ids-update", ada, json={**body, "ids": many})
    assert 3 == api.message(
        "DELETE", "/my/ids-delete", ada, json={"table": "test", "ids": [a, b, c]}
    )


UPDATE_IDS = [None, "x", "1 or 1=1", 1.5, True, [1], {"a": 1}, 2**63, "", "1,2"]


@pytest.mark.parametrize("row_id", UPDATE_IDS, ids=repr)
def test_odd_id_of_an_update_is_refused(api, ada, row_id):
    """One row, by one whole number."""
    body = {"id": row_id, "title": "x"}
    told = refused(api.call("PUT", "/my/object-update?table=test", ada, json=body), 400)

    assert "id" in told["message"]


NO_FILTERS = [
    "",
    "&title==",
    "&title=x",
    "&nope==,1",
    "&Title==,x",
    "&title=;drop,x",
    "&id==,x",
    "&or=()",
    "&or=(1==,1)",
    "&or=(id==,1) or 1=1",
    "&table=users",
    "&id=>,0 or 1=1",
    "&password=is,not null",
]


@pytest.mark.parametrize("query", NO_FILTERS)
def test_delete_any_without_a_filter_it_understands_deletes_nothing(
    api, ada, mine, query
):
    """At least one filter, and each of them understood."""
    refused(api.call("DELETE", f"/my/object-delete-any?table=test{query}", ada), 400)

    assert stored(api, mine)


def test_delete_any_takes_null_as_a_word(api, ada):
    """`title==,null` means the text null, never every row without a title."""
    path = "/my/object-create?table=test"
    rows = [{"title": "null"}, {"title": None, "rating": 1}, {"title": "keep"}]
    word, empty, keep = api.message("POST", path, ada, json=rows)

    assert 1 == api.message(
        "DELETE", "/my/object-delete-any?table=test&title==,null", ada
    )
    assert [None, True, True] == [
        stored(api, row) and True for row in (word, empty, keep)
    ]


def test_delete_any_deletes_only_what_matches(api):
    """And only one's own."""
    carol, dave = newcomer(api), newcomer(api)
    path = "/my/object-create?table=test"
    rows = [{"title": "old"}, {"title": "old"}, {"title": "new"}]
    api.message("POST", path, carol, json=rows)
    api.message("POST", path, dave, json=rows)

    delete = "/my/object-delete-any?table=test&title==,old"
    assert 2 == api.message("DELETE", delete, carol)
    count = "/my/object-read?table=test&is_count=1"
    assert 1 == api.call("GET", count, carol).json()["count"]
    assert 3 == api.call("GET", count, dave).json()["count"]


def test_protected_row_is_not_deleted(api, ada, mine):
    """On no route, and never silently."""
    api.sql("update test set is_protected = 1 where id = $1", mine)
    by_ids = {"table": "test", "ids": [mine]}

    refused(api.call("DELETE", "/my/ids-delete", ada, json=by_ids), 403, 409)
    delete = f"/my/object-delete-any?table=test&id==,{mine}"
    refused(api.call("DELETE", delete, ada), 403, 409)
    assert stored(api, mine)


def test_same_report_twice_is_a_conflict(api, ada, bob):
    """A unique rule is told as such, with the columns and without the values."""
    path, body = "/my/object-create?table=report_user", {"user_id": bob.id}
    api.message("POST", path, ada, json=body)

    told = refused(api.call("POST", path, ada, json=body), 409)

    assert "row.exists" == told["code"]
    assert str(bob.id) not in told["message"].split()
    refused(api.call("POST", path, ada, json=[{"user_id": 9}, body]), 409)
    (row,) = api.sql(
        "select count(*) from report_user where created_by_id = $1", ada.id
    )
    assert 1 == row["count"]


def test_mandatory_column_is_named(api, ada):
    """422, with the name of what is missing."""
    told = refused(
        api.call("POST", "/my/object-create?table=message", ada, json={"user_id": 1}),
        422,
    )
    assert "description" in told["message"]


def test_list_is_all_or_nothing(api, ada):
    """The fault is told with the number of its row; no row is kept."""
    body = [{"title": "one of a list"}, {"title": "one of a list", "rating": "x"}]
    told = refused(
        api.call("POST", "/my/object-create?table=test", ada, json=body), 400
    )

    assert "Row 1" in told["message"]
    assert [] == api.sql("select from test where title = 'one of a list'")


BODIES = ["[]", "{}", "[1]", "[[]]", "1", '"x"', "null", "[null]", "", "{", '{"a":}']


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/my/object-create?table=test"),
        ("POST", "/public/object-create?table=test"),
        ("PUT", "/my/object-update?table=test"),
        ("PUT", "/my/object-update?table=users"),
        ("PUT", "/my/ids-update"),
        ("DELETE", "/my/ids-delete"),
    ],
)
def test_body_that_is_no_row_is_refused(api, ada, method, path, body):
    """An object, or for create a list of them, with something in it."""
    headers = {"Content-Type": "application/json"}
    refused(api.call(method, path, ada, content=body, headers=headers), 400, 422, 403)


TWICE = [
    ("GET", "/my/object-read?table=test&table=users"),
    ("GET", "/my/object-read?table=test&limit=1&limit=2"),
    ("POST", "/my/object-create?table=test&table=users"),
    ("DELETE", "/my/object-delete-any?table=test&table=message&id=>,0"),
    ("GET", "/public/object-read?table=test&table=users"),
    ("POST", "/public/object-create?table=test&table=users"),
    ("PUT", "/my/object-update?table=users&table=test"),
    ("PUT", "/my/object-update?table=test&table=users"),
]


@pytest.mark.parametrize(("method", "path"), TWICE)
def test_parameter_given_twice_is_refused(api, ada, method, path):
    """Of two tables none is guessed."""
    refused(api.call(method, path, ada, json={"id": 1, "title": "x"}), 400)


UNKNOWN = [
    ("POST", "/my/object-create?table=test&is_admin=1"),
    ("PUT", "/my/object-update?table=test&created_by_id=1"),
    ("GET", "/my/object-read?table=test&owner=1"),
    ("GET", "/my/object-read?table=test&relation=users"),
]


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
def test_unknown_parameter_is_named(api, ada, mine, method, path):
    """Nothing that is asked for is ignored."""
    body = {"id": mine, "title": "x"} if method == "PUT" else {"title": "x"}
    refused(api.call(method, path, ada, json=body if method != "GET" else None), 400)


QUEUES = ["nope", "redis", "kafka", "rabbitmq", "celery", "BATCH"]


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_is_named_or_said_to_be_missing(api, ada, queue):
    """400 names the choices, 503 says that the one asked for is not configured."""
    path = f"/my/object-create?table=test&queue={queue}"
    answer = api.call("POST", path, ada, json={"title": f"queue {queue}"})

    if queue in {"nope", "BATCH"}:
        told = refused(answer, 400)
        for choice in ("batch", "redis", "rabbitmq", "kafka", "celery", "mongodb_"):
            assert choice in told["message"]
        return
    assert "client_" in refused(answer, 503)["message"]
    assert [] == api.sql("select from test where title = $1", f"queue {queue}")


@pytest.mark.parametrize(
    ("table", "column"),
    list(product(["users", "test"], ["id", "created_by_id", "type"])),
)
def test_parents_show_nothing_personal(api, ada, bob, table, column):
    """Anybody can point a row at anybody: what stands there is for everybody."""
    rows = api.call(
        "GET",
        "/my/parent-read",
        ada,
        params={"table": "test", "parent_table": table, "parent_column": column},
    )
    hidden = ("password", "api_access", "email", "mobile", "google")
    if rows.status_code != 200:
        refused(rows, 400, 403)
        return
    for row in rows.json()["message"]:
        assert not [name for name in row if name.startswith(hidden)]
