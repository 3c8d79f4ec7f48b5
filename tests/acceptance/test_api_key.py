"""API keys: what a program opens with one, what it never does, and when it ends."""

import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.acceptance.operations import eventually
from tests.acceptance.people import PASSWORD, newcomer

CREATE, READ, DELETE = "/my/api-key-create", "/my/api-key-read", "/my/api-key-delete"
PROFILE = "GET /my/profile"


def bearer(text):
    return {"authorization": f"Bearer {text}"}


def made(api, person, *routes, **body):
    """Make a key. Return the answer."""
    body = {"name": "report", "route": list(routes or [PROFILE]), **body}
    answer = api.call("POST", CREATE, person, json=body)
    assert 200 == answer.status_code, answer.text
    return answer.json()


def key(api, person, *routes, **body):
    """Make a key. Return its headers."""
    return bearer(made(api, person, *routes, **body)["message"])


def asked(api, headers, method="GET", path="/my/profile", **options):
    """Return 200, or the code of the refusal."""
    answer = api.call(method, path, headers=headers, **options)
    return 200 if answer.status_code == 200 else answer.json()["code"]


def test_a_key_opens_what_it_was_made_for_and_nothing_else(api):
    person = newcomer(api)
    headers = key(api, person, "GET /my/rows/{table}/{id}", "/my/object-read", PROFILE)

    profile = api.call("GET", "/my/profile", headers=headers)
    events = api.message("GET", "/my/security-event-read?kind=key.created", person)

    assert [3] == [len(one["detail"]["route"]) for one in events]
    assert (200, person.id) == (profile.status_code, profile.json()["message"]["id"])
    assert 200 == asked(api, headers, path="/my/object-read?table=test")
    assert 200 == asked(api, headers, "HEAD", "/my/object-read?table=test")
    assert "row.missing" == asked(api, headers, path="/my/rows/test/999999999")
    body = {"title": "x"}
    for method, path in (
        ("POST", "/my/object-create?table=test"),
        ("PATCH", "/my/rows/test/1"),
        ("GET", "/my/rows/test"),
        ("GET", "/my/message-inbox"),
    ):
        assert "key.route" == asked(api, headers, method, path, json=body)
    assert "token.root_mismatch" == asked(api, headers, path="/root/doctor")
    assert "route.unknown" == asked(api, headers, path="/my/nothing")
    assert 200 == asked(api, headers, path="/public/info")


def test_it_is_shown_once_and_stored_as_a_hash(api):
    """With a prefix that scanners find, 256 random bits and a checksum."""
    person = newcomer(api)
    answer = made(api, person, "/my/profile", expire_sec=3600)

    assert re.fullmatch(r"atom_[0-9A-Za-z]{49}", answer["message"])
    assert [PROFILE] == answer["route"]
    (listed,) = api.message("GET", READ, person)
    assert {"id", "name", "route", "created_at", "expires_at", "last_used_at"} | {
        "is_alive"
    } == set(listed)
    assert ("report", [PROFILE], True) == (
        listed["name"],
        listed["route"],
        listed["is_alive"],
    )
    (row,) = api.sql(
        "select to_jsonb(k)::text as t from atom.api_key k where id = $1", answer["id"]
    )
    assert answer["message"] not in row["t"]
    assert answer["message"][5:] not in row["t"]
    near = answer["message"][:-1] + ("0" if answer["message"][-1] != "0" else "1")
    for other in (near, answer["message"] + "0", "atom_", f"atom_{'0' * 49}"):
        assert "token.invalid" == asked(api, bearer(other))


def test_the_last_use_is_noted(api):
    person = newcomer(api)
    headers = key(api, person)
    assert api.message("GET", READ, person)[0]["last_used_at"] is None

    assert 200 == asked(api, headers)

    eventually(lambda: api.message("GET", READ, person)[0]["last_used_at"])
    used = api.message("GET", READ, person)[0]["last_used_at"]
    assert {200} == {asked(api, headers) for _ in range(5)}
    assert used == api.message("GET", READ, person)[0]["last_used_at"]


@pytest.mark.parametrize(
    ("route", "hint"),
    [
        ("GET /my/profil", "/my/profile"),
        ("/my/rows/{tabel}", "/my/rows/{table}"),
        ("DELETE /my/profile", ""),
        ("/root/doctor", ""),
        ("/my/api-key-create", ""),
        ("GET /my/token-refresh", ""),
        ("POST /auth/logout", ""),
        ("/admin/user-rights-update", ""),
        ("", ""),
    ],
)
def test_a_route_that_keys_do_not_open_is_refused_by_name(api, ada, route, hint):
    body = {"name": "x", "route": [route]}

    answer = api.call("POST", CREATE, ada, json=body)

    assert (400, "key.unknown_route") == (answer.status_code, answer.json()["code"])
    assert hint in answer.json().get("hint", "")


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"route": []}, {"expire_sec": 1}, {"more": 1}, {"route": PROFILE}],
)
def test_what_is_asked_for_is_checked(api, ada, wrong):
    body = {"name": "x", "route": [PROFILE], **wrong}
    assert 422 == api.call("POST", CREATE, ada, json=body).status_code


def test_a_key_never_does_what_needs_the_person(api):
    """It makes no key, ends no session, changes no login, right or account."""
    person = newcomer(api, api_access="1,2,3,4,6,8", email="k@example.com")
    other = made(api, person)
    routes = (
        "PUT /my/object-update",
        "/admin/object-create",
        "/admin/object-update",
        "/admin/ids-update",
        "/admin/ids-delete",
        "/admin/rows/{table}/{id}",
        "/admin/rows/{table}",
    )
    headers, me = key(api, person, *routes), person.id
    name = f"x{secrets.token_hex(5)}"
    row = {"type": 1, "username": name, "password": PASSWORD}
    ids = {"table": "users", "ids": f"{me}", "column": "email", "value": "a@b.example"}
    own = "/my/object-update?table=users"
    merge = "/admin/object-create?table=users&mode=merge&on_conflict=id"
    for method, path, body in (
        ("PUT", own, {"id": me, "password": "new one 12", "password_old": PASSWORD}),
        ("PUT", own, {"id": me, "email": "a@b.example"}),
        ("PUT", own, {"id": me, "name": "b"}),
        ("POST", "/admin/object-create?table=users", row),
        ("POST", "/admin/rows/users", row),
        ("POST", merge, {"id": me, "email": "a@b.example", "type": 1}),
        ("PUT", "/admin/object-update?table=users", {"id": me, "email": "a@b.example"}),
        ("PUT", "/admin/rows/users", {"id": me, "email": "a@b.example"}),
        ("PATCH", f"/admin/rows/users/{me}", {"email": "a@b.example"}),
        ("DELETE", f"/admin/rows/users/{me}", None),
        ("PUT", "/admin/ids-update", ids),
        ("DELETE", "/admin/ids-delete", {"table": "users", "ids": f"{me}"}),
        ("POST", CREATE, {"name": "y", "route": [PROFILE]}),
        ("GET", READ, None),
        ("DELETE", f"{DELETE}?id={other['id']}", None),
        ("GET", "/my/session-read", None),
        ("DELETE", "/my/session-delete?id=all", None),
        ("GET", "/my/token-refresh", None),
        ("POST", "/auth/logout", None),
        ("DELETE", "/my/account-delete?mode=soft", None),
        ("PUT", "/admin/user-rights-update", {"id": me, "api_access": "1"}),
        ("POST", "/admin/invitation-create", {"email": "i@example.com"}),
    ):
        code = asked(api, headers, method, path, json=body)
        assert code in ("key.refused", "row.table_not_allowed"), (method, path, code)
    (found,) = api.sql("select email, name, username from users where id = $1", me)
    assert ("k@example.com", None) == (found["email"], found["name"])
    assert not api.sql("select from users where username = $1", name)
    assert 200 == asked(
        api,
        headers,
        "POST",
        "/admin/object-create?table=test",
        json={"title": "by a key"},
    )
    assert 200 == asked(api, bearer(other["message"]))


def test_a_merge_by_a_key_needs_the_route_that_changes_rows(api):
    person = newcomer(api, api_access="1,2")
    path = "/admin/object-create?table=test&mode=merge&on_conflict=id"
    row = {"id": 1, "title": "x"}
    narrow = key(api, person, "POST /admin/object-create")

    assert "key.route" == asked(api, narrow, "POST", path, json=row)


def test_sql_of_user_1_writes_nothing_by_a_key(api):
    """Else a key of user 1 would set any e-mail, and with it any password."""
    body = {"name": "sql", "route": ["/admin/db-runner"]}
    name, password = (
        api.config["config_root_username"],
        api.config["config_root_password"],
    )
    login = {"type": 1, "username": name, "password": password}
    token = api.message("POST", "/auth/login-password", json=login)
    answer = api.call("POST", CREATE, headers=bearer(token), json=body).json()
    headers, path = bearer(answer["message"]), "/admin/db-runner"
    update = {"query": "update users set email = 'a@b.example' where id = 1"}

    assert 200 == asked(api, headers, "POST", path, json={"query": "select 1"})
    assert "query.not_read_only" == asked(api, headers, "POST", path, json=update)


def test_a_key_is_never_more_than_its_user_is_now(api):
    person = newcomer(api, api_access="5")
    headers = key(api, person, "GET /admin/object-read", PROFILE)
    read = "/admin/object-read?table=test"
    assert 200 == asked(api, headers, path=read)

    api.sql("update users set api_access = null where id = $1", person.id)
    eventually(lambda: asked(api, headers, path=read) == "access.denied")
    assert 200 == asked(api, headers)

    api.sql("update users set is_active = 0 where id = $1", person.id)
    eventually(lambda: asked(api, headers) == "active.inactive")
    api.sql("update users set is_active = 1 where id = $1", person.id)
    eventually(lambda: asked(api, headers) == 200)


def delete_it(api, person, answer):
    assert answer["id"] == api.message("DELETE", f"{DELETE}?id={answer['id']}", person)


def change_password(api, person, answer):
    body = {"id": person.id, "password": "another 12 xx", "password_old": PASSWORD}
    api.message("PUT", "/my/object-update?table=users", person, json=body)


def delete_account(api, person, answer):
    api.message("DELETE", "/my/account-delete?mode=soft", person)


def remove_account(api, person, answer):
    api.message("DELETE", "/my/account-delete?mode=hard", person)
    assert not api.sql("select from atom.api_key where user_id = $1", person.id)


def expire(api, person, answer):
    text = "update atom.api_key set expires_at = now() where id = $1"
    api.sql(text, answer["id"])


@pytest.mark.parametrize(
    "end", [delete_it, change_password, delete_account, remove_account, expire]
)
def test_it_ends(api, end):
    """Deleted, with its user, with the password, in time; and what it has open."""
    person = newcomer(api)
    answer = made(api, person, PROFILE, "GET /ws")
    headers = bearer(answer["message"])
    assert 200 == asked(api, headers)
    with connect(
        api.url.replace("http", "ws") + "/ws", additional_headers=headers
    ) as ws:
        ws.send("a")
        ws.recv(10)

        end(api, person, answer)

        eventually(lambda: asked(api, headers) in ENDED)
        with pytest.raises(Exception, match="4401"):
            while True:
                ws.recv(30)


ENDED = ("token.revoked", "token.expired", "token.invalid", "account.missing")


def test_logging_out_everywhere_leaves_keys(api):
    person = newcomer(api)
    headers = key(api, person)

    api.message("DELETE", "/my/session-delete?id=all", person)

    assert 200 == asked(api, headers)


def test_a_key_of_another_is_not_found(api, ada):
    person = newcomer(api)
    answer = made(api, person)

    refused = api.call("DELETE", f"{DELETE}?id={answer['id']}", ada)

    assert (404, "key.missing") == (refused.status_code, refused.json()["code"])
    assert 200 == asked(api, bearer(answer["message"]))
    assert answer["id"] not in [each["id"] for each in api.message("GET", READ, ada)]


def test_a_key_in_a_url_opens_nothing(api):
    person = newcomer(api)
    text = made(api, person, "GET /my/rows/{table}/stream", "GET /ws")["message"]
    url = api.url.replace("http", "ws") + "/ws"

    assert "token.missing" == asked(api, {}, path=f"/my/rows/test/stream?token={text}")
    try:
        with connect(f"{url}?token={text}"):
            pass
    except InvalidStatus as refused:
        assert 401 == refused.response.status_code


def test_as_many_as_config_allows_also_when_asked_at_once(api):
    person = newcomer(api)
    body = {"name": "x", "route": [PROFILE]}

    with ThreadPoolExecutor(12) as pool:
        answers = list(
            pool.map(lambda _: api.call("POST", CREATE, person, json=body), range(30))
        )

    statuses = [answer.status_code for answer in answers]
    assert (20, 10) == (statuses.count(200), statuses.count(409))
    assert {"key.limit"} == {a.json()["code"] for a in answers if a.status_code != 200}


def test_keys_that_a_new_password_has_ended_are_not_counted(api):
    person = newcomer(api)
    for _ in range(20):
        made(api, person)
    change_password(api, person, None)
    body = {"type": 1, "username": person.username, "password": "another 12 xx"}
    again = api.call("POST", "/auth/login-password", json=body).json()["message"]

    body = {"name": "report", "route": [PROFILE]}
    answer = api.call("POST", CREATE, headers=bearer(again), json=body)

    assert 200 == answer.status_code, answer.text


def test_a_time_beyond_the_longest_is_cut(api, ada):
    far = made(api, ada, expire_sec=10**15)["expires_at"]
    left = time.mktime(time.strptime(far[:19], "%Y-%m-%dT%H:%M:%S")) - time.time()

    assert 364 * 86400 < left < 367 * 86400
