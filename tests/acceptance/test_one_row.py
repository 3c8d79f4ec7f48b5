"""One row by its key, and writes that answer the row as it is stored."""

import uuid

import pytest

from tests.acceptance.conftest import serving
from tests.acceptance.operations import eventually

CONFIG = """
TABLES = ("one_uuid", "one_text", "one_number")
config_postgres_schema = {
    "table": {
        "one_number": ["created_by_id-bigint-0-0", "title-text-0-0",
                       "price-numeric(6,2)-0-0", "password-text-0-0",
                       "is_active-smallint-0-0"],
        "one_child": ["created_by_id-bigint-0-0", "one_number_id-bigint-0-btree"],
        "one_board": ["created_by_id-bigint-0-0", "title-text-0-0", "note-text-0-0"],
        "one_mailbox": ["created_by_id-bigint-0-0", "title-text-0-0"],
    },
    "query": {
        "one_uuid": "create table if not exists one_uuid (id uuid primary key"
            " default gen_random_uuid(), created_by_id bigint, title text,"
            " price numeric(6,2))",
        "one_text": "create table if not exists one_text (code text primary key"
            " default 'k' || gen_random_uuid(), created_by_id bigint, title text,"
            " price numeric(6,2))",
    },
}
config_table_allowed_public_read_list = ["test", *TABLES]
config_table_allowed_public_create_list = ["test", "one_number", "one_mailbox"]
config_table = {name: {"my": "owner", "public": {"read": 1}} for name in TABLES}
config_table["one_number"]["public"]["create"] = 1
config_table["one_child"] = {"my": "owner"}
config_table["one_board"] = {"public": {
    "read": {"where": "title <> 'hidden'", "column": ["id", "title"]},
    "create": 1, "update": {"where": "title <> 'kept'", "column": ["title"]},
    "delete": "title = 'old'"}}
config_table["one_mailbox"] = {"public": {"create": 1}}
"""
KEYS = {"one_uuid": "id", "one_text": "code", "one_number": "id"}
ABSENT = {"one_uuid": str(uuid.uuid4()), "one_text": "absent", "one_number": 9**9}
REPRESENT = {"Prefer": "respond-async, Return=Representation"}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A server with tables of three kinds of key."""
    with serving(tmp_path_factory.mktemp("one"), config_one=CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def eve(api):
    """A user."""
    return api.person()


@pytest.fixture(scope="module")
def admin(api):
    """An admin with every id."""
    admin = api.person(api_access="1,2,3,4,5")
    path = "/admin/object-read?table=test"
    eventually(lambda: 200 == api.call("GET", path, admin).status_code)
    return admin


@pytest.fixture(params=KEYS)
def made(request, api, eve):
    """A table, its key, and a row of it."""
    path = f"/my/object-create?table={request.param}&return=row"
    row = api.message("POST", path, eve, json={"title": "a", "price": 1.5})
    return request.param, KEYS[request.param], row


def test_read_by_its_key(api, eve, admin, made):
    """On each tier the object itself, with the columns that are asked for."""
    table, key, row = made
    for tier, who in (("my", eve), ("public", None), ("admin", admin)):
        path = f"/{tier}/rows/{table}/{row[key]}"
        assert row == api.message("GET", path, who)
        assert {"title": "a"} == api.message("GET", path + "?column=title", who)
    path = f"/my/rows/{table}/{row[key]}?creator_key=username&column=title"
    assert eve.username == api.message("GET", path, eve)["creator_username"]


def test_changed_by_its_key(api, eve, admin, made):
    """Answers the key; what is not named stays."""
    table, key, row = made
    for who, tier, title in ((eve, "my", "b"), (admin, "admin", "c")):
        path = f"/{tier}/rows/{table}/{row[key]}"
        assert row[key] == api.message("PATCH", path, who, json={"title": title})
        found = api.message("GET", path, who)
        assert (title, 1.5) == (found["title"], found["price"])


def test_deleted_by_its_key(api, eve, admin, made):
    """Answers 1, then 404."""
    table, key, row = made
    other = api.message("POST", f"/my/rows/{table}", eve, json={"title": "b"})
    for who, tier, found in ((eve, "my", row[key]), (admin, "admin", other)):
        path = f"/{tier}/rows/{table}/{found}"
        assert 1 == api.message("DELETE", path, who)
        answer = api.call("DELETE", path, who)
        assert (404, "row.missing") == (answer.status_code, answer.json()["code"])
        assert 404 == api.call("GET", path, who).status_code


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_row_that_is_not_reached(api, made, method):
    """Of another, and absent: the same 404."""
    table, key, row = made
    stranger = api.person()
    answers = []
    for found in (row[key], ABSENT[table]):
        body = {"title": "stolen"} if method == "PATCH" else None
        path = f"/my/rows/{table}/{found}"
        answer = api.call(method, path, stranger, json=body)
        answers.append({**answer.json(), "request_id": answer.status_code})
    assert answers[0] == answers[1]
    assert (404, "row.missing") == (answers[0]["request_id"], answers[0]["code"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "one_number/abc", None, 400),
        ("GET", "one_uuid/1", None, 400),
        ("DELETE", "one_number/1.0", None, 400),
        ("GET", "one_number/1?title==,a", None, 400),
        ("GET", "one_number/1?limit=1", None, 400),
        ("GET", "absent/1", None, 404),
        ("PATCH", "absent/1", {"title": "x"}, 404),
        ("DELETE", "absent/1", None, 404),
        ("DELETE", "one_number/1?title==,a", None, 400),
        ("PATCH", "one_number/1?x=1", {"title": "x"}, 400),
        ("PATCH", "one_number/1?return=all", {"title": "x"}, 400),
        ("PATCH", "one_number/1", [{"title": "x"}], 400),
        ("PATCH", "one_number/1", {"id": 1, "title": "x"}, 400),
        ("PATCH", "one_number/1", {"created_by_id": 1}, 400),
        ("PATCH", "one_number/1", {}, 400),
        ("PUT", "one_number/1", {"title": "x"}, 405),
        ("PATCH", "users/1", {"name": "x"}, 403),
        ("DELETE", "users/1", None, 403),
    ],
)
def test_what_is_refused(api, eve, method, path, body, status):
    """In the words of the routes for many rows."""
    answer = api.call(method, f"/my/rows/{path}", eve, json=body)
    assert status == answer.status_code, answer.text


def test_nothing_without_a_token_or_the_api_id(api, eve):
    """Each tier keeps its rules, and nothing is written publicly."""
    for method in ("GET", "PATCH", "DELETE"):
        assert 401 == api.call(method, "/my/rows/test/1", json={}).status_code
        assert 403 == api.call(method, "/admin/rows/test/1", eve, json={}).status_code
    for method in ("PATCH", "DELETE"):
        answer = api.call(method, "/public/rows/test/1", json={"title": "x"})
        assert (405, "GET") == (answer.status_code, answer.headers["allow"])
        answer = api.call(method, "/public/rows/one_child/1", json={"title": "x"})
        assert 403 == answer.status_code, answer.text


@pytest.mark.parametrize("asked", ["&return=row", "&return=representation", ""])
def test_write_that_answers_the_row(api, eve, admin, asked):
    """By the parameter or the header, one row and several, in the order sent."""
    headers = {} if asked else REPRESENT
    rows = [{"title": title, "price": 2} for title in "cab"]
    for who, tier in ((eve, "my"), (admin, "admin")):
        path = f"/{tier}/object-create?table=one_number{asked}"
        answer = api.call("POST", path, who, json=rows, headers=headers)
        found = answer.json()["message"]
        assert "return=representation" == answer.headers["preference-applied"]
        assert list("cab") == [row["title"] for row in found]
        assert {2.0} == {row["price"] for row in found}
        assert "password" not in found[0]
        path = f"/{tier}/object-update?table=one_number{asked}"
        body = [{"id": row["id"], "title": row["title"] * 2} for row in found[::-1]]
        found = api.message("PUT", path, who, json=body, headers=headers)
        assert ["bb", "aa", "cc"] == [row["title"] for row in found]
        path = f"/{tier}/rows/one_number/{found[0]['id']}?{asked[1:]}"
        one = api.message("PATCH", path, who, json={"price": 3}, headers=headers)
        assert (found[0]["id"], "bb", 3.0) == (one["id"], one["title"], one["price"])


def test_row_is_answered_only_where_it_may_be_read(api, admin):
    """A public row as it is read there; of a table nobody reads, and of an admin who
    may only write, nothing."""
    path = "/public/object-create?return=row&table="
    found = api.message("POST", path + "one_number", json={"title": "x"})
    assert "x" == found["title"]
    answer = api.call("POST", path + "one_mailbox", json={"title": "x"})
    assert isinstance(answer.json()["message"], int)
    assert "preference-applied" not in answer.headers
    writer = api.person(api_access="1,2")
    path, body = "/admin/object-create?table=one_number", {"title": "x"}
    eventually(lambda: 200 == api.call("POST", path, writer, json=body).status_code)
    answer = api.call("POST", path, writer, json=body, headers=REPRESENT)
    assert 403 == answer.status_code
    assert isinstance(api.message("POST", path, writer, json=body), int)


def test_public_writes_where_config_table_opens_them(api):
    """Within the rule of each verb; what is not reached is a 404."""

    def create(title):
        body = {"title": title, "note": "n"}
        return api.message("POST", "/public/rows/one_board", json=body)

    path, body = f"/public/rows/one_board/{create('old')}", {"title": "new"}
    assert {"title": "new"}.items() <= api.message(
        "PATCH", path + "?return=row", json=body
    ).items()
    assert {"id", "title"} == set(api.message("GET", path))
    assert 400 == api.call("PATCH", path, json={"note": "x"}).status_code
    assert 404 == api.call("DELETE", path).status_code
    kept = f"/public/rows/one_board/{create('kept')}"
    assert 404 == api.call("PATCH", kept, json=body).status_code
    assert 404 == api.call("GET", path[:-1] + "99999").status_code
    hidden = f"/public/rows/one_board/{create('hidden')}"
    assert 404 == api.call("GET", hidden).status_code
    api.message("PATCH", path, json={"title": "old"})
    assert 1 == api.message("DELETE", path)
    document = api.call("GET", "/openapi.json").json()
    one = document["paths"]["/public/rows/one_board/{id}"]
    assert {"get", "patch", "delete"} == set(one)
    change = document["components"]["schemas"]["public_one_board_change"]
    assert {"title"} == set(change["properties"])


def test_with_its_relations(api, eve):
    """A read of one row takes relation, as a read of many."""
    one = api.message("POST", "/my/rows/one_number", eve, json={"title": "x"})
    api.message("POST", "/my/rows/one_child", eve, json={"one_number_id": one})
    path = f"/my/rows/one_number/{one}?relation=one_child:count&column=id"
    assert {"id": one, "one_child_count": 1} == api.message("GET", path, eve)


def test_typed(api, made):
    """/openapi.json has the three methods, the key in the path and the row."""
    table, key, _ = made
    document = api.call("GET", "/openapi.json").json()
    one = document["paths"][f"/my/rows/{table}/{{id}}"]
    assert {"get", "patch", "delete"} == set(one)
    wanted = ["integer", "string"] if table == "one_number" else "string"
    for operation in one.values():
        assert wanted == operation["parameters"][0]["schema"]["type"]
    answer = one["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert f"{table}_row" in answer["properties"]["message"]["$ref"]
    change = document["components"]["schemas"][f"{table}_change"]
    assert key not in change["properties"]
    assert "title" in change["properties"]
    assert {"get"} == set(document["paths"][f"/public/rows/{table}/{{id}}"])
