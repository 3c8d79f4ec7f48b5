"""Signing up, logging in, tokens that stop at once, and doors beside the front door."""

import base64
import http.client
import json
import secrets
import time

import jwt
import pytest
from websockets.sync.client import connect

from atom.account.password import MEMORY_KIB, ROUNDS
from tests import machine
from tests.acceptance.conftest import opened
from tests.acceptance.people import newcomer
from tests.served import serve

SIGNUP, LOGIN = "/auth/signup", "/auth/login-password"


def body_of(person, **changes):
    """Return what a person logs in with."""
    return {
        "type": 1,
        "username": person.username,
        "password": person.password,
    } | changes


def refused(answer, *statuses):
    """Check that a call was refused in the one shape, telling no insides."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    told = answer.json()
    assert 0 == told["status"]
    for inside in ("$argon2", "DETAIL", "Traceback", "insert into", "Key ("):
        assert inside not in answer.text
    return told


def token(text):
    """Return the headers that carry a token."""
    return {"Authorization": f"Bearer {text}"}


def raw(api, path, authorization):
    """Ask with a header that a careful client would not send. Return the status."""
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"), timeout=9)
    try:
        connection.request("GET", path, headers={"Authorization": authorization})
        return connection.getresponse().status
    finally:
        connection.close()


def log(api):
    """Return what the server wrote so far."""
    return api.log.read_text(errors="replace")


def test_token_carries_the_listed_columns_and_no_others(api):
    """`data` is id, is_active and api_access; `exp` is there."""
    pair = api.call("POST", SIGNUP, json=new("claims")).json()
    claims = jwt.decode(pair["message"], api.config["config_key_jwt"], ["HS256"])

    assert {"id", "is_active", "api_access"} == claims["data"].keys()
    assert {"exp", "iat", "jti", "sub", "type"} <= claims.keys()
    assert claims["exp"] - claims["iat"] == pair["expires_in"]
    assert claims["data"]["api_access"] is None


def new(name, **changes):
    """Return the body of a sign-up."""
    made = {"type": 1, "username": name, "password": "correct horse"}
    return made | changes


def test_taken_name_is_a_conflict(api, ada):
    """In any spelling that is stored alike; neither answer nor log holds a hash."""
    for name in (ada.username, f" {ada.username} "):
        told = refused(api.call("POST", SIGNUP, json=new(name)), 409)
        assert "already exists" in told["message"]
    assert "$argon2" not in log(api)
    assert "DETAIL" not in log(api)


ODD_SIGNUPS = [
    ({}, 422),
    ({"password": ""}, 422),
    ({"password": "x"}, 400),
    ({"password": "7 chars"}, 400),
    ({"password": 12345678}, 422),
    ({"password": None}, 422),
    ({"password": ["correct horse"]}, 422),
    ({"password": "x" * 1001}, 422),
    ({"username": ""}, 422),
    ({"username": "   "}, 400),
    ({"username": "a\0b"}, 400),
    ({"username": "a\u202eb"}, 400),
    ({"username": "a\nb"}, 400),
    ({"username": 5}, 422),
    ({"username": "x" * 10_000}, 422),
    ({"type": 0}, 400),
    ({"type": 2}, 400),
    ({"type": "1"}, 422),
    ({"type": True}, 422),
    ({"type": 1.0}, 422),
    ({"type": 2**70}, 422),
    ({"type": None}, 422),
    ({"api_access": "1,2,3"}, 422),
    ({"API_ACCESS": "1,2,3"}, 422),
    ({"is_active": 1}, 422),
    ({"id": 1}, 422),
    ({"is_verified": 1}, 422),
    ({"email": "a@example.com"}, 422),
]


@pytest.mark.parametrize(
    ("changes", "status"), ODD_SIGNUPS, ids=lambda value: repr(value)[:40]
)
def test_odd_signup_is_refused_and_makes_nobody(api, changes, status):
    """Exact types, no other fields, a password that is long enough."""
    before = api.sql("select count(*) from users")
    body = new("odd", **changes) if changes else {}

    told = refused(api.call("POST", SIGNUP, json=body), status)

    for name in changes:
        assert name in told["message"]
    assert before == api.sql("select count(*) from users")


def test_half_a_surrogate_pair_is_refused(api):
    """It is no character, and PostgreSQL keeps none."""
    text = '{"type":1,"username":"a\\ud800","password":"correct horse"}'
    headers = {"Content-Type": "application/json"}
    for path in (SIGNUP, LOGIN):
        refused(api.call("POST", path, content=text, headers=headers), 400, 401, 422)


def test_stored_password_is_a_slow_salted_hash(api):
    """The same password twice gives two hashes; a number is hashed as well."""
    for name in ("hash a", "hash b"):
        assert 200 == api.call("POST", SIGNUP, json=new(name)).status_code
    number = {"type": 1, "username_bigint": 77, "password_bigint": 1234567890}
    assert 200 == api.call("POST", "/auth/signup-bigint", json=number).status_code

    rows = api.sql(
        "select password, password_bigint from users"
        " where username like 'hash %' or username_bigint = 77"
    )
    stored = [row["password"] or row["password_bigint"] for row in rows]
    assert 3 == len(set(stored))
    assert all(text.startswith("$argon2id$") for text in stored)
    login = {**number, "password_bigint": 1234567891}
    refused(api.call("POST", "/auth/login-password-bigint", json=login), 401)
    answer = api.call("POST", "/auth/login-password-bigint", json=number)
    assert 200 == answer.status_code


def test_new_user_reaches_no_admin_route(api):
    """A type grants nothing, and nobody signs up with rights."""
    made = newcomer(api)
    (row,) = api.sql("select type, api_access from users where id = $1", made.id)

    assert (1, None) == (row["type"], row["api_access"])
    answer = api.call("GET", "/admin/object-read?table=users", made)
    assert "api access denied" == refused(answer, 403)["message"]


def test_closed_signup_is_told(closed):
    """403 on both ways in, and nobody is made."""
    number = {"type": 1, "username_bigint": 5, "password_bigint": 12345678}

    told = refused(closed.call("POST", SIGNUP, json=new("late")), 403)
    refused(closed.call("POST", "/auth/signup-bigint", json=number), 403)

    assert "signup disabled" == told["message"]
    assert 1 == closed.sql("select count(*) from users")[0]["count"]


def test_unset_root_key_opens_nothing(closed):
    """An empty key is generated, never compared with an empty token."""
    path = "/root/reset-global"
    assert "token root mismatch" == refused(closed.call("GET", path), 401)["message"]
    for text in (
        "Bearer ",
        "Bearer",
        "",
        " ",
        "Bearer None",
        "Bearer null",
        "Bearer 0",
    ):
        assert 401 == raw(closed, path, text)


def test_stale_token_does_not_break_a_login(api, ada):
    """Whoever logs in is anonymous until then."""
    key = api.config["config_key_jwt"]
    claims = jwt.decode(ada.token, key, ["HS256"])
    expired = jwt.encode(claims | {"exp": int(time.time()) - 1}, key)
    for text in (expired, "garbage"):
        answer = api.call("POST", LOGIN, json=body_of(ada), headers=token(text))
        assert 200 == answer.status_code, answer.text


WRONG = [
    {"password": "not this one"},
    {"username": "nobody-has-this-name"},
    {"type": 2},
    {"password": " correct horse"},
]


@pytest.mark.parametrize("changes", WRONG, ids=repr)
def test_whatever_is_wrong_with_a_login_the_answer_is_the_same(api, bob, changes):
    """Nobody learns from an error who exists."""
    told = refused(api.call("POST", LOGIN, json=body_of(bob, **changes)), 401)
    told.pop("request_id")

    assert {
        "status": 0,
        "message": "wrong login or password",
        "code": "account.wrong_password",
        "hint": "",
    } == told


@pytest.fixture(scope="module")
def closed():
    """A server that takes no new users, whose root key was not set; hashes are real."""
    values = {"config_is_signup": "0", "config_key_root": ""}
    values["config_password_memory_kib"] = str(MEMORY_KIB)
    values["config_password_rounds"] = str(ROUNDS)
    with serve(values) as served:
        running = opened(served)
        yield running
        running.http.close()


def test_a_clock_does_not_tell_who_exists(closed):
    """An unknown name is as much work for the server as a wrong password."""
    bob, server = newcomer(closed), machine.process(closed.process.pid)

    def worked(**changes):
        """Return the seconds of processor that two logins cost: no busy machine."""
        before = server.cpu_times()
        for _ in range(2):
            answer = closed.call("POST", LOGIN, json=body_of(bob, **changes))
            assert 401 == answer.status_code
        after = server.cpu_times()
        return after.user - before.user + after.system - before.system

    worked(username="warm up")
    known, unknown = [], []
    for turn in range(4):
        known.append(worked(password="not this one"))
        unknown.append(worked(username=f"nobody {turn}"))
    slow, fast = sum(known), sum(unknown)

    assert max(slow, fast) / min(slow, fast) < 1.5, (known, unknown)
    assert min(slow, fast) > 8 * 0.005, "this was no slow hash"


def test_guessing_is_stopped(api):
    """After ten wrong ones the right password does not help either, for a while."""
    victim = newcomer(api)
    answers = [
        api.call("POST", LOGIN, json=body_of(victim, password=f"guess {n:03}"))
        for n in range(14)
    ]

    assert [401] * 10 + [429] * 4 == [answer.status_code for answer in answers]
    assert int(answers[-1].headers["retry-after"]) > 0
    refused(api.call("POST", LOGIN, json=body_of(victim)), 429)
    assert 200 == api.call("GET", "/my/profile", victim).status_code


def test_guessing_is_not_restarted_by_headers(api):
    """Nobody gets new tries by naming another address."""
    victim = newcomer(api)
    statuses = []
    for n in range(12):
        headers = {
            "X-Forwarded-For": f"10.0.0.{n}",
            "X-Real-IP": f"10.0.0.{n}",
            "Forwarded": f"for=10.0.0.{n}",
            "CF-Connecting-IP": f"10.0.0.{n}",
            "X-Client-IP": f"10.0.0.{n}",
        }
        body = body_of(victim, password="guess guess")
        statuses.append(api.call("POST", LOGIN, json=body, headers=headers).status_code)

    assert [401] * 10 + [429] * 2 == statuses


@pytest.mark.parametrize(
    ("column", "value", "status"),
    [("is_active", 0, 403), ("is_deleted", 1, 401), ("password", None, 401)],
)
def test_who_may_not_come_in_is_refused(api, column, value, status):
    """Inactive, deleted, without a password: each at once, the old token too."""
    person = newcomer(api)
    api.sql(f"update users set {column} = $1 where id = $2", value, person.id)

    refused(api.call("POST", LOGIN, json=body_of(person)), status)
    again = {"refresh_token": person.refresh}
    refused(api.call("POST", "/auth/token-refresh", json=again), 401, 403)
    refused(api.call("GET", "/my/profile", person), 401, 403)
    refused(api.call("GET", "/my/token-refresh", person), 401, 403)


def test_login_by_email_and_mobile_read_one_spelling(api):
    """As they are stored, however they are typed."""
    person = newcomer(api, email="eve@example.com", mobile="+919876543210")
    for path, name, typed in (
        ("/auth/login-password-email", "email", " Eve@Example.COM "),
        ("/auth/login-password-mobile", "mobile", "+91 98765-43210"),
    ):
        body = {"type": 1, name: typed, "password": person.password}
        answer = api.call("POST", path, json=body)
        assert 200 == answer.status_code, answer.text
        refused(api.call("POST", path, json=body | {"type": 7}), 401)


def test_refresh_token_is_good_once(api):
    """Its second use ends the session for everybody who holds a token of it."""
    person = newcomer(api)
    refresh = {"refresh_token": person.refresh}
    pair = api.call("POST", "/auth/token-refresh", json=refresh).json()
    assert (
        200
        == api.call("GET", "/my/profile", headers=token(pair["message"])).status_code
    )

    told = refused(api.call("POST", "/auth/token-refresh", json=refresh), 409)
    assert "token.used" == told["code"]  # another tab
    assert 200 == api.call("GET", "/my/profile", person).status_code
    api.sql(
        "update atom.session set used_at = used_at - interval '1 minute'"
        " where user_id = $1",
        person.id,
    )
    refused(api.call("POST", "/auth/token-refresh", json=refresh), 401)

    for text in (person.token, pair["message"]):
        refused(api.call("GET", "/my/profile", headers=token(text)), 401)
    refresh = {"refresh_token": pair["refresh_token"]}
    refused(api.call("POST", "/auth/token-refresh", json=refresh), 401)


@pytest.mark.parametrize("text", ["0.x", "", "x" * 200, "0.é", "\U0001f600", "a\0b"])
def test_odd_refresh_token_is_refused(api, text):
    """And an access token is none."""
    body = {"refresh_token": text}
    refused(api.call("POST", "/auth/token-refresh", json=body), 401, 422)


def test_access_token_is_no_refresh_token_and_the_other_way_round(api, ada):
    """Two kinds, two doors."""
    body = {"refresh_token": ada.token[:200]}
    refused(api.call("POST", "/auth/token-refresh", json=body), 401)
    refused(api.call("GET", "/my/profile", headers=token(ada.refresh)), 401)


def test_logout_ends_this_session_and_no_other(api):
    """Access and refresh token of it at once; another device stays."""
    person = newcomer(api)
    other = api.call("POST", LOGIN, json=body_of(person)).json()["message"]

    assert "done" == api.message("POST", "/auth/logout", person)

    refused(api.call("GET", "/my/profile", person), 401)
    refused(api.call("POST", "/auth/logout", person), 401)
    body = {"refresh_token": person.refresh}
    refused(api.call("POST", "/auth/token-refresh", json=body), 401)
    assert 200 == api.call("GET", "/my/profile", headers=token(other)).status_code


def test_change_of_password_ends_every_session(api):
    """The old token at once; the new password works, the old one does not."""
    person = newcomer(api)
    body = {
        "id": person.id,
        "password": "battery staple",
        "password_old": person.password,
    }
    assert person.id == api.message(
        "PUT", "/my/object-update?table=users", person, json=body
    )

    refused(api.call("GET", "/my/profile", person), 401)
    refused(api.call("POST", LOGIN, json=body_of(person)), 401)
    login = body_of(person, password="battery staple")
    assert 200 == api.call("POST", LOGIN, json=login).status_code


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_deleted_account_is_gone_at_once(api, mode):
    """Tokens, refresh tokens and the login."""
    person = newcomer(api)
    path = f"/my/account-delete?mode={mode}"

    assert "done" == api.message("DELETE", path, person)

    for method, path in (("GET", "/my/profile"), ("GET", "/my/token-refresh")):
        told = refused(api.call(method, path, person), 401)
        assert told["message"] in {"user not found", "token invalid"}
    refused(api.call("POST", LOGIN, json=body_of(person)), 401)
    body = {"refresh_token": person.refresh}
    refused(api.call("POST", "/auth/token-refresh", json=body), 401)
    rows = api.sql("select from users where id = $1", person.id)
    assert len(rows) == (mode == "soft")


@pytest.mark.parametrize("mode", ["zzz", "", "SOFT", "soft,hard", "hard "])
def test_unknown_mode_names_both(api, ada, mode):
    """And deletes nothing."""
    answer = api.call("DELETE", "/my/account-delete", ada, params={"mode": mode})

    message = refused(answer, 400)["message"]
    assert "soft" in message
    assert "hard" in message
    refused(api.call("DELETE", "/my/account-delete", ada), 422)


def test_user_with_rights_does_not_delete_themselves(api, admin):
    """Nor is anybody deleted while protected."""
    for mode in ("soft", "hard"):
        path = f"/my/account-delete?mode={mode}"
        refused(api.call("DELETE", path, admin), 403)
        refused(api.call("DELETE", path, newcomer(api, is_protected=1)), 403)
    assert 200 == api.call("GET", "/my/profile", admin).status_code


def until(check, seconds=30.0):
    """Wait for what the database tells the server."""
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.02)
    return check()


def test_rights_taken_or_given_past_the_server_hold_at_once(api):
    """A change made with psql reaches every worker, at JWT speed."""
    person = newcomer(api)

    def status(path="/admin/object-read?table=test"):
        return api.call("GET", path, person).status_code

    assert 403 == status()
    set_to = "update users set {} where id = $1"
    api.sql(set_to.format("api_access = '5'"), person.id)
    assert until(lambda: 200 == status())
    api.sql(set_to.format("api_access = null"), person.id)
    assert until(lambda: 403 == status())
    api.sql(set_to.format("is_active = 0"), person.id)
    assert until(lambda: 403 == status("/my/profile"))
    api.sql(set_to.format("is_active = 1"), person.id)
    assert until(lambda: 200 == status("/my/profile"))
    api.sql("delete from users where id = $1", person.id)
    assert until(lambda: 401 == status("/my/profile"))


def test_token_refresh_carries_the_row_as_it_is_now(api):
    """The claims are new, the session is the same: logging out ends both."""
    person = newcomer(api)
    api.sql("update users set api_access = '5' where id = $1", person.id)
    text = api.message("GET", "/my/token-refresh", person)
    claims = jwt.decode(text, api.config["config_key_jwt"], ["HS256"])

    assert "5" == claims["data"]["api_access"]
    api.message("POST", "/auth/logout", headers=token(text))
    refused(api.call("GET", "/my/profile", person), 401)


def test_claims_of_an_old_token_open_nothing(api):
    """A token that says api_access 5 is worth what the row says."""
    person = newcomer(api, api_access="5")
    old = api.message("GET", "/my/token-refresh", person)
    api.sql("update users set api_access = null where id = $1", person.id)

    assert until(
        lambda: (
            403
            == api.call(
                "GET", "/admin/object-read?table=test", headers=token(old)
            ).status_code
        )
    )


def carriers(person):
    """Return every way of showing a token that is not the Authorization header."""
    good = person.token
    return {
        "cookie": {"headers": {"Cookie": f"token={good}; Authorization=Bearer {good}"}},
        "query": {"params": {"token": good, "access_token": good}},
        "x-access-token": {"headers": {"X-Access-Token": good, "X-Auth-Token": good}},
        "proxy": {"headers": {"Proxy-Authorization": f"Bearer {good}"}},
        "basic": {
            "headers": {
                "Authorization": "Basic "
                + base64.b64encode(f"user:{good}".encode()).decode()
            }
        },
        "token scheme": {"headers": {"Authorization": f"Token {good}"}},
        "no scheme": {"headers": {"Authorization": good}},
        "glued": {"headers": {"Authorization": f"Bearer{good}"}},
        "only the word": {"headers": {"Authorization": "Bearer"}},
        "nothing": {"headers": {"Authorization": ""}},
    }


@pytest.mark.parametrize(
    "way",
    [
        "cookie",
        "query",
        "x-access-token",
        "proxy",
        "basic",
        "token scheme",
        "no scheme",
        "glued",
        "only the word",
        "nothing",
    ],
)
def test_token_is_read_from_one_header_only(api, ada, admin, way):
    """A token in a URL ends in logs, one in a cookie is sent by others' pages."""
    for person, path in (
        (ada, "/my/profile"),
        (admin, "/admin/object-read?table=test"),
    ):
        options = carriers(person)[way]
        if "params" in options:
            options = {"params": options["params"] | {"table": "test"}}
        answer = api.call("GET", path, **options)

        assert "token missing" == refused(answer, 401)["message"]


@pytest.mark.parametrize("text", ["Bearer ", "Bearer  ", "bearer\t", " "])
def test_bearer_of_nothing_is_no_token(api, text):
    """On every tier."""
    for path in ("/my/profile", "/admin/object-read?table=test", "/root/explain"):
        assert 401 == raw(api, path, text)


@pytest.mark.parametrize("way", ["good first", "good last", "comma"])
def test_two_tokens_are_not_chosen_from(api, ada, bob, way):
    """Two Authorization headers: whoever is in front may have read the other one."""
    headers = {
        "good first": [
            ("Authorization", f"Bearer {ada.token}"),
            ("Authorization", "Bearer garbage"),
        ],
        "good last": [
            ("Authorization", "Bearer garbage"),
            ("Authorization", f"Bearer {ada.token}"),
        ],
        "comma": [("Authorization", f"Bearer {ada.token}, Bearer {bob.token}")],
    }[way]
    answer = api.http.request("GET", api.url + "/my/profile", headers=headers)

    refused(answer, 400, 401)


def test_two_root_keys_are_not_chosen_from(api):
    """The same on /root."""
    good = ("Authorization", api.root["Authorization"])
    for headers in (
        [good, ("Authorization", "Bearer x")],
        [("Authorization", "Bearer x"), good],
    ):
        url = api.url + "/root/reset-global"
        refused(api.http.request("GET", url, headers=headers), 400, 401)


OVERRIDES = [
    {"X-Original-URL": "/root/reset-global"},
    {"X-Rewrite-URL": "/admin/object-read?table=users"},
    {"X-Forwarded-Prefix": "/public"},
    {"X-Forwarded-Path": "/public/info"},
    {"X-Forwarded-Host": "x/public/info?"},
    {"X-HTTP-Method-Override": "OPTIONS"},
    {"X-Method-Override": "GET"},
    {"X-Forwarded-Proto": "https"},
    {"X-Forwarded-User": "1", "X-Remote-User": "root", "X-User-Id": "1"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"Host": "x/public/info?"},
    {"Host": ""},
    {"X-Request-Id": "a\tb"},
    {"Accept": "text/html"},
    {"Content-Type": "text/html"},
    {"Origin": "null"},
    {"Upgrade": "h2c", "Connection": "Upgrade"},
    {"Expect": "100-continue"},
    {"Range": "bytes=0-1"},
    {"If-None-Match": "*"},
]


@pytest.mark.parametrize("headers", OVERRIDES, ids=repr)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/my/profile"),
        ("GET", "/admin/object-read?table=users"),
        ("DELETE", "/admin/ids-delete"),
        ("GET", "/root/reset-global"),
    ],
)
def test_no_header_opens_a_locked_route(api, headers, method, path):
    """Policy comes from the route that was matched, rights from the token."""
    answer = api.call(method, path, headers=headers)

    refused(answer, 400, 401)
    assert "application/json" == answer.headers["content-type"]


@pytest.mark.parametrize("headers", OVERRIDES, ids=repr)
def test_no_header_turns_one_route_into_another(api, ada, headers):
    """What is served is what was asked for."""
    if headers.get("Host") == "":
        return  # not HTTP/1.1
    answer = api.call("GET", "/my/profile", ada, headers=headers)

    assert 200 == answer.status_code, answer.text
    assert ada.id == answer.json()["message"]["id"]


LOOKALIKES = [
    "/MY/profile",
    "/My/Profile",
    "/my/profile/",
    "/my//profile",
    "//my/profile",
    "/my/profile;a=b",
    "/my/profile%00",
    "/my/profile%20",
    "/my/profile%2f",
    "/my%2fprofile",
    "/./my/profile",
    "/public/../my/profile",
    "/public/..%2fmy/profile",
    "/public/page/../../my/profile",
    "/my/profile.json",
    "/my\\profile",
    "/%6dy/profile",
    "/root/reset-global/",
    "/ROOT/reset-global",
    "/admin/object-read/",
    "/%61dmin/object-read",
]


@pytest.mark.parametrize("path", LOOKALIKES)
def test_no_spelling_of_a_path_opens_it(api, path):
    """Either it is the route, with its lock, or it is nothing."""
    refused(api.call("GET", path), 401, 404)


def test_profile_shows_no_secret(api, ada):
    """Neither a hash nor a key whose name holds password."""
    row = api.message("GET", "/my/profile", ada)

    assert ada.id == row["id"]
    assert not [name for name in row if "password" in name or name == "google_data"]
    assert "$argon2" not in json.dumps(row)


@pytest.mark.parametrize("path", [SIGNUP, LOGIN, "/auth/token-refresh"])
def test_tokens_are_not_made_in_the_background(api, path):
    """Nobody would receive them, and log_api would keep them."""
    person = newcomer(api)
    body = body_of(person) if path == LOGIN else new(f"bg {person.id}")
    if path == "/auth/token-refresh":
        body = {"refresh_token": person.refresh}

    refused(api.call("POST", f"{path}?is_background=1", json=body), 400)


def test_log_holds_no_secret(api, ada):
    """Neither passwords, tokens nor keys, in any row of log_api or line of the log."""
    api.call("GET", f"/public/info?token={ada.token}&otp=123456&x=1")
    api.call("GET", f"/public/info?refresh_token={ada.refresh}")
    with connect(f"{api.url.replace('http', 'ws')}/ws?token={ada.token}") as socket:
        socket.send("x")
        socket.recv(timeout=30)
    last = f"last={secrets.token_hex(8)}"
    api.call("GET", f"/public/info?{last}")
    logged = "select from log_api where query_param = $1"
    assert until(lambda: api.sql(logged, last))
    rows = api.sql("select to_jsonb(l)::text as text from log_api l")
    text = "\n".join(row["text"] for row in rows) + log(api)

    assert len(rows) > 10
    for secret in (
        ada.token,
        ada.refresh,
        ada.password,
        api.config["config_key_root"],
        api.config["config_key_jwt"],
        "123456",
        "$argon2",
    ):
        assert secret not in text
