"""The row routes of the running server, over HTTP."""

from itertools import count

import httpx2
import pytest

from tests.served import serve

PASSWORD = "correct horse battery"
numbers = count(1)


@pytest.fixture(scope="module")
def served():
    """A server on an empty database."""
    with serve() as running:
        yield running


@pytest.fixture
def http(served):
    """A client of it."""
    with httpx2.Client(base_url=served.url, timeout=20) as client:
        yield client


@pytest.fixture
def person(http):
    """Make a user; return the headers that speak for them, and their id."""

    def make():
        body = {"type": 1, "username": f"user{next(numbers)}", "password": PASSWORD}
        token = http.post("/auth/signup", json=body).json()["message"]
        headers = {"Authorization": f"Bearer {token}"}
        profile = http.get("/my/profile", headers=headers).json()["message"]
        return headers, profile["id"]

    return make


@pytest.fixture
def admin(http, served):
    """The headers of the root user."""
    body = {"type": 1, "username": "root"}
    body["password"] = served.config["config_root_password"]
    answer = http.post("/auth/login-password", json=body)
    return {"Authorization": f"Bearer {answer.json()['message']}"}


def message(answer):
    """Return the message of a success."""
    assert 200 == answer.status_code, answer.text
    assert 1 == answer.json()["status"]
    return answer.json()["message"]


def refusal(answer):
    """Return the status of a refusal that has the one shape of all errors."""
    assert {"status", "message", "code", "hint", "request_id"} <= set(answer.json())
    assert 0 == answer.json()["status"]
    assert "application/json" == answer.headers["content-type"]
    return answer.status_code


def test_a_row_lives(http, person):
    """Created, read, updated, counted, deleted; with ids and numbers as answers."""
    me, my_id = person()
    table = {"table": "test"}

    made = message(
        http.post("/my/object-create", params=table, json={"title": "x"}, headers=me)
    )
    listed = message(
        http.post(
            "/my/object-create", params=table, json=[{"title": "y"}] * 2, headers=me
        )
    )
    assert isinstance(made, int)
    assert [made + 1, made + 2] == listed
    answer = http.get("/my/object-read", params={**table, "is_count": 1}, headers=me)
    assert [made + 2, made + 1, made] == [row["id"] for row in message(answer)]
    assert 3 == answer.json()["count"]
    assert {my_id} == {row["created_by_id"] for row in message(answer)}
    body = {"id": made, "title": "z", "metadata": {"a": 1}}
    assert made == message(
        http.put("/my/object-update", params=table, json=body, headers=me)
    )
    body = {
        "table": "test",
        "ids": f"{made},{made + 1}",
        "column": "tag",
        "value": "a,b",
    }
    assert 2 == message(http.put("/my/ids-update", json=body, headers=me))
    (row,) = message(
        http.get("/my/object-read", params={**table, "title": "=,z"}, headers=me)
    )
    assert ({"a": 1}, ["a", "b"], my_id) == (
        row["metadata"],
        row["tag"],
        row["updated_by_id"],
    )
    body = {"table": "test", "ids": [made]}
    assert 1 == message(http.request("DELETE", "/my/ids-delete", json=body, headers=me))
    params = {**table, "title": "=,y"}
    assert 2 == message(http.delete("/my/object-delete-any", params=params, headers=me))
    assert [] == message(http.get("/my/object-read", params=table, headers=me))


def test_cursor_walks_over_http(http, person):
    """`next_cursor` is answered and taken, until it is null."""
    me, _ = person()
    rows = [{"title": str(n)} for n in range(25)]
    made = message(
        http.post("/my/object-create", params={"table": "test"}, json=rows, headers=me)
    )
    found, cursor = [], ""
    while cursor is not None and len(found) < 50:
        params = {"table": "test", "limit": 10, "cursor": cursor}
        answer = http.get("/my/object-read", params=params, headers=me)
        found += [row["id"] for row in message(answer)]
        cursor = answer.json()["next_cursor"]

    assert made[::-1] == found


MY = [
    ("POST", "/my/object-create?table=test", {"title": "x"}),
    ("GET", "/my/object-read?table=test", None),
    ("PUT", "/my/object-update?table=test", {"id": 1, "title": "x"}),
    ("PUT", "/my/ids-update", {"table": "test", "ids": "1", "column": "a", "value": 1}),
    ("DELETE", "/my/ids-delete", {"table": "test", "ids": "1"}),
    ("DELETE", "/my/object-delete-any?table=test&id=>,0", None),
    ("GET", "/my/parent-read?table=test&parent_table=users&parent_column=type", None),
]


@pytest.mark.parametrize(("method", "path", "body"), MY, ids=[m[1] for m in MY])
def test_my_routes_need_a_token(http, method, path, body):
    """Without one: 401."""
    assert 401 == refusal(http.request(method, path, json=body))


REFUSED = [
    ("POST", "/my/object-create", {"title": "x"}, 404),
    ("POST", "/my/object-create?table=users", {"username": "x"}, 403),
    ("POST", "/my/object-create?table=Users", {"username": "x"}, 404),
    ("POST", "/my/object-create?table=test&tabel=x", {"title": "x"}, 400),
    ("POST", "/my/object-create?table=test&queue=nope", {"title": "x"}, 400),
    ("POST", "/my/object-create?table=test", {"API_ACCESS": "1"}, 400),
    ("POST", "/my/object-create?table=test", {"nope": 1}, 400),
    ("POST", "/my/object-create?table=test", {"rating": "x"}, 400),
    ("POST", "/my/object-create?table=test", [], 400),
    ("GET", "/my/object-read", None, 400),
    ("GET", "/my/object-read?table=test&limit=abc", None, 400),
    ("GET", "/my/object-read?table=test&page=0", None, 400),
    ("GET", "/my/object-read?table=pg_user", None, 404),
    ("PUT", "/my/object-update?table=test", {"id": 999999, "title": "x"}, 404),
    ("PUT", "/my/object-update?table=test", {"title": "x"}, 400),
    ("PUT", "/my/object-update?table=test", {"id": 1, "created_by_id": 1}, 400),
    ("PUT", "/my/object-update?table=users", {"id": 999999, "name": "x"}, 403),
    ("DELETE", "/my/ids-delete", {"table": "test", "ids": "1) or id in (0"}, 400),
    ("DELETE", "/my/ids-delete", {"table": "users", "ids": "1"}, 403),
    ("DELETE", "/my/object-delete-any?table=test", None, 400),
    ("DELETE", "/my/object-delete-any?table=test&nope==,1", None, 400),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    REFUSED,
    ids=[f"{m} {p}" for m, p, _, _ in REFUSED],
)
def test_refusals_have_their_status(http, person, method, path, body, status):
    """The precise status, in the one shape of all errors."""
    me, _ = person()

    assert status == refusal(http.request(method, path, json=body, headers=me))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"a":', b"[1"])
def test_a_body_that_is_no_json_is_refused(http, person, content):
    """400 with our words, not the parser's."""
    me, _ = person()
    answer = http.post("/my/object-create?table=test", content=content, headers=me)

    assert 400 == refusal(answer)
    assert "Expecting" not in answer.text


def test_bytes_that_are_no_text_are_refused(http):
    """A query string that is not UTF-8: 400."""
    assert 400 == refusal(http.get("/public/object-read?table=test&title==,%ff"))


def test_public_rows(http):
    """Listed tables are read and written without a token; others are not allowed."""
    made = message(http.post("/public/object-create?table=test", json={"title": "p"}))
    query = f"/public/object-read?table=test&id==,{made}&creator_key=username"
    (row,) = message(http.get(query))

    assert ("p", None, None) == (
        row["title"],
        row["created_by_id"],
        row["creator_username"],
    )
    for path in (
        "/public/object-read?table=users",
        "/public/object-read?table=(select 1) x",
    ):
        answer = http.get(path)
        assert (403, "table not allowed") == (refusal(answer), answer.json()["message"])
    for column in ("created_by_id", "is_verified", "is_protected", "id"):
        answer = http.post("/public/object-create?table=test", json={column: 1})
        assert 400 == refusal(answer)


def test_a_bad_token_is_nobody_on_a_public_route(http):
    """The caller of a public route is anonymous with it."""
    headers = {"Authorization": "Bearer garbage"}

    assert isinstance(
        message(http.get("/public/object-read?table=test", headers=headers)), list
    )


def test_admin_rows(http, person, admin):
    """Anybody's rows in any table; never a hash; refused without access."""
    me, my_id = person()
    made = message(
        http.post("/my/object-create?table=test", json={"title": "x"}, headers=me)
    )
    body = {"id": made, "is_verified": 1, "title": "checked"}
    assert 403 == refusal(http.get("/admin/object-read?table=test", headers=me))
    assert made == message(
        http.put("/admin/object-update?table=test", json=body, headers=admin)
    )
    query = f"/admin/object-read?table=users&id==,{my_id}"
    (row,) = message(http.get(query, headers=admin))
    assert "password" not in row
    body = {"table": "test", "ids": [made], "column": "is_verified", "value": 0}
    assert 1 == message(http.put("/admin/ids-update", json=body, headers=admin))
    body = {"table": "test", "ids": [made]}
    assert 1 == message(
        http.request("DELETE", "/admin/ids-delete", json=body, headers=admin)
    )
    body = {"type": 1, "username": f"user{next(numbers)}", "password": PASSWORD}
    message(http.post("/admin/object-create?table=users", json=body, headers=admin))
    assert 200 == http.post("/auth/login-password", json=body).status_code
    assert 404 == refusal(
        http.post("/admin/object-create?table=nope", json={"a": 1}, headers=admin)
    )


def test_an_admin_who_ends_a_users_rights_ends_them_at_once(http, person, admin):
    """is_active=0 written here holds at the user's next request."""
    me, my_id = person()
    assert 200 == http.get("/my/profile", headers=me).status_code
    body = {"id": my_id, "is_active": 0}
    path = "/admin/user-rights-update"
    assert my_id == message(http.put(path, json=body, headers=admin))

    assert 403 == refusal(http.get("/my/profile", headers=me))


def test_rows_are_documented(http):
    """Each row route has its parameters, its 200 and its refusals in /openapi.json."""
    paths = http.get("/openapi.json").json()["paths"]
    for path, method, status in [
        ("/my/object-create", "post", "409"),
        ("/my/object-read", "get", "400"),
        ("/my/parent-read", "get", "403"),
        ("/my/object-update", "put", "404"),
        ("/my/ids-update", "put", "400"),
        ("/my/ids-delete", "delete", "409"),
        ("/my/object-delete-any", "delete", "400"),
        ("/public/object-create", "post", "403"),
        ("/public/object-read", "get", "403"),
        ("/admin/object-create", "post", "403"),
        ("/admin/object-read", "get", "404"),
    ]:
        route = paths[path][method]
        assert {"200", status} <= set(route["responses"])
        if "ids" not in path:
            assert "table" in {each["name"] for each in route["parameters"]}
