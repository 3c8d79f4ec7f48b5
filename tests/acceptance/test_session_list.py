"""Sessions: a person lists and ends them, and no token outlives its own."""

import time
import uuid
from datetime import timedelta

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.acceptance.conftest import Person, opened
from tests.acceptance.operations import eventually
from tests.acceptance.people import PASSWORD, newcomer
from tests.served import serve

LOGIN, PROFILE = "/auth/login-password", "/my/profile"
READ, DELETE = "/my/session-read", "/my/session-delete"


def again(api, person, agent="phone"):
    """Log in on another device."""
    body = {"type": 1, "username": person.username, "password": person.password}
    answer = api.call("POST", LOGIN, json=body, headers={"user-agent": agent})
    assert 200 == answer.status_code, answer.text
    pair = answer.json()
    return Person(
        person.id,
        person.username,
        person.password,
        pair["message"],
        pair["refresh_token"],
    )


def code(answer):
    return answer.json().get("code", answer.status_code)


def profile(api, person):
    """Return 200, or the code of the refusal."""
    answer = api.call("GET", PROFILE, person)
    return 200 if answer.status_code == 200 else code(answer)


def test_sessions_are_listed_with_who_began_them(api):
    """Id, times, address and agent; the one that asks is marked; others see none."""
    person, stranger = newcomer(api), newcomer(api)
    phone = again(api, person, "phone")

    first, second = api.message("GET", READ, phone)

    assert [True, False] == [first["is_current"], second["is_current"]]
    assert ("phone", "127.0.0.1") == (first["user_agent"], first["address"])
    assert second["user_agent"].startswith("python-httpx")
    assert first["created_at"] == first["last_used_at"] < first["expires_at"]
    assert not {first["id"], second["id"]} & {
        each["id"] for each in api.message("GET", READ, stranger)
    }


def test_a_refresh_is_the_same_session_used_later(api):
    person = newcomer(api)
    (before,) = api.message("GET", READ, person)
    body = {"refresh_token": person.refresh}
    agent = {"user-agent": "tablet"}
    api.message("POST", "/auth/token-refresh", json=body, headers=agent)

    (after,) = api.message("GET", READ, person)

    assert (before["id"], before["created_at"]) == (after["id"], after["created_at"])
    assert before["last_used_at"] < after["last_used_at"]
    assert "tablet" == after["user_agent"]


def test_one_session_is_ended_by_its_id(api):
    """Access and refresh token stop at once, the others stay; a second time is 404."""
    person = newcomer(api)
    phone = again(api, person)
    (there,) = [s for s in api.message("GET", READ, person) if not s["is_current"]]

    assert 1 == api.message("DELETE", f"{DELETE}?id={there['id']}", person)

    assert ("token.revoked", 200) == (profile(api, phone), profile(api, person))
    body = {"refresh_token": phone.refresh}
    assert 401 == api.call("POST", "/auth/token-refresh", json=body).status_code
    answer = api.call("DELETE", f"{DELETE}?id={there['id']}", person)
    assert (404, "session.missing") == (answer.status_code, code(answer))


@pytest.mark.parametrize("id", ["x", "", "0" * 36, "OTHERS", str(uuid.UUID(int=0))])
def test_an_id_that_is_not_a_session_ends_none(api, ada, id):
    answer = api.call("DELETE", f"{DELETE}?id={id}", ada)

    assert (404, "session.missing") == (answer.status_code, code(answer))
    assert 200 == profile(api, ada)


def test_the_session_of_another_is_not_found(api):
    person, stranger = newcomer(api), newcomer(api)
    (mine,) = api.message("GET", READ, person)

    answer = api.call("DELETE", f"{DELETE}?id={mine['id']}", stranger)

    assert (404, 200) == (answer.status_code, profile(api, person))


@pytest.mark.parametrize(("which", "here"), [("others", 200), ("all", "token.revoked")])
def test_sessions_are_ended_together(api, which, here):
    """Others: all but the one that asks. All: logout everywhere."""
    person, stranger = newcomer(api), newcomer(api)
    devices = [again(api, person) for _ in range(3)]

    ended = api.message("DELETE", f"{DELETE}?id={which}", person)

    assert (3 if which == "others" else 4) == ended
    assert {"token.revoked"} == {profile(api, device) for device in devices}
    assert here == profile(api, person)
    assert 200 == profile(api, stranger)
    assert 200 == profile(api, again(api, person))


def test_a_new_password_empties_the_list(api):
    """Also one that is set by SQL: the sessions end with it."""
    person = newcomer(api)
    again(api, person)
    one = "update users set password = $1 where id = $2"
    (row,) = api.sql("select password from users where id = $1", person.id)
    api.sql(one, "x", person.id)
    assert "token.revoked" == profile(api, person)
    api.sql(one, row["password"], person.id)

    assert PASSWORD == person.password
    assert 1 == len(api.message("GET", READ, again(api, person)))


@pytest.mark.parametrize(
    "end",
    [
        "delete from atom.session where user_id = $1",
        "update atom.session set revoked_at = now() where user_id = $1",
        "update atom.session set expires_at = now() where user_id = $1",
    ],
    ids=["deleted", "revoked", "expired"],
)
def test_no_token_outlives_the_row_of_its_session(api, end):
    """Whoever ends the row, by SQL too: tokens, renewal, WebSockets end with it."""
    person = newcomer(api)
    url = api.url.replace("http", "ws") + f"/ws?token={person.token}"
    with connect(url) as socket:
        socket.send("hello")
        socket.recv(timeout=30)
        assert 200 == profile(api, person)

        api.sql(end, person.id)

        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=30)
    assert (4401, "token.revoked") == (closed.value.rcvd.code, closed.value.rcvd.reason)
    for method, path in (
        ("GET", PROFILE),
        ("GET", "/my/token-refresh"),
        ("POST", "/auth/logout"),
    ):
        answer = api.call(method, path, person)
        assert (401, "token.revoked") == (answer.status_code, code(answer))


def test_a_renewed_token_ends_with_its_session():
    """Its own time would be longer; what remembers the session is not older than it."""
    values = {"config_token_refresh_expire_sec": "3", "config_token_expire_sec": "60"}
    with serve(values) as served:
        api = opened(served)
        try:
            person = api.person()
            renewed = api.message("GET", "/my/token-refresh", person)
            headers = {"Authorization": f"Bearer {renewed}"}
            assert 200 == api.call("GET", PROFILE, headers=headers).status_code

            def ended():
                return code(api.call("GET", PROFILE, headers=headers))

            deadline = time.monotonic() + 30
            while ended() != "token.expired":
                assert time.monotonic() < deadline
                time.sleep(0.1)
            again(api, person)
            for method, path in (
                ("GET", PROFILE),
                ("GET", "/my/token-refresh"),
                ("POST", "/auth/logout"),
            ):
                answer = api.call(method, path, headers=headers)
                assert 401 == answer.status_code, answer.text
        finally:
            api.http.close()


def test_a_session_ends_however_often_it_is_renewed(api):
    """90 days after its login; its last tokens, access and refresh, end with it."""
    person = newcomer(api)
    begin = (
        "update atom.session set created_at = now() - $2::interval where user_id = $1"
    )
    api.sql(begin, person.id, timedelta(days=90) - timedelta(minutes=10))
    body = {"refresh_token": person.refresh}

    pair = api.call("POST", "/auth/token-refresh", json=body).json()

    left = api.sql(
        "select max(expires_at) - now() as left from atom.session"
        " where user_id = $1 and used_at is null",
        person.id,
    )[0]["left"]
    assert timedelta(0) < left <= timedelta(minutes=10)
    api.sql(
        "update atom.session set created_at = created_at - interval '10 minutes',"
        " expires_at = least(expires_at, now()) where user_id = $1",
        person.id,
    )
    body = {"refresh_token": pair["refresh_token"]}
    late = api.call("POST", "/auth/token-refresh", json=body)
    assert (401, "token.expired") == (late.status_code, code(late))
    headers = {"authorization": f"Bearer {pair['message']}"}
    eventually(lambda: api.call("GET", PROFILE, headers=headers).status_code == 401)


def test_a_shorter_lifetime_holds_at_the_next_renewal(api):
    """Also for a session whose tokens were given a longer time."""
    person = newcomer(api)
    begin = (
        "update atom.session set created_at = now() - $2::interval where user_id = $1"
    )
    api.sql(begin, person.id, timedelta(days=91))

    late = api.call(
        "POST", "/auth/token-refresh", json={"refresh_token": person.refresh}
    )

    assert (401, "token.expired") == (late.status_code, code(late))
