"""Security events: who reads which, what is kept of each, and what never is."""

import json
import secrets

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.operations import eventually
from tests.acceptance.people import PASSWORD, newcomer
from tests.acceptance.test_rights import refused
from tests.served import serve

READ, MINE = "/admin/security-event-read", "/my/security-event-read"
LOGIN, RIGHTS = "/auth/login-password", "/admin/user-rights-update"
DROP_IN = """
from extend import *

router = APIRouter()


@router.post("/shop/limited")
async def limited():
    return {"status": 1}
"""
CONFIG = """
config_trusted_proxy_list = ["127.0.0.1"]
config_token_refresh_grace_sec = 0
config_api = {"/shop/limited": {"ratelimiter_times_sec": [1, 600]}}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    code = copied(
        tmp_path_factory.mktemp("events"), router_shop=DROP_IN, config_shop=CONFIG
    )
    with serve({"config_env": "development"}, code=code) as served:
        api = opened(served)
        yield api
        api.http.close()


@pytest.fixture(scope="module")
def clerk(shop):
    """An admin of rights."""
    return newcomer(shop, api_access="5,8")


def read(shop, who, **asked):
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    return shop.message("GET", f"{READ}?{query}", who)


def found(shop, who, **asked):
    """Wait for events that are written off the path of requests."""
    eventually(lambda: read(shop, who, **asked))
    return read(shop, who, **asked)


def wrong(shop, person, times=1, **headers):
    body = {"type": 1, "username": person.username, "password": "not the password"}
    for _ in range(times):
        answer = shop.call("POST", LOGIN, json=body, headers=headers)
    return answer


def test_a_login_and_its_refusals_are_counted_by_minute_and_address(shop, clerk):
    ada, place = newcomer(shop), {"x-forwarded-for": "192.0.2.7"}
    refused(wrong(shop, ada, 5, **place), 401, "account.wrong_password")

    def counted(kind):
        events = read(shop, clerk, kind=kind, user_id=ada.id)
        return sum(each["count"] for each in events)

    eventually(lambda: 5 == counted("login.refused"))
    eventually(lambda: 1 == counted("login.ok"))
    events = read(shop, clerk, kind="login.refused", user_id=ada.id)
    assert len(events) <= 2  # a minute may have begun meanwhile
    for one in events:
        assert ("account.wrong_password", "192.0.2.7") == (
            one["reason"],
            one["address"],
        )
        assert one["request_id"]
    mine = shop.message("GET", f"{MINE}?kind=login.refused", ada)
    assert [one["id"] for one in events] == [one["id"] for one in mine]


def test_a_name_that_no_one_has_is_not_kept(shop, clerk):
    """Some type their password into the field of the name."""
    typed = secrets.token_hex(12)
    body = {"type": 1, "username": typed, "password": secrets.token_hex(12)}
    address = "192.0.2.8"
    headers = {"x-forwarded-for": address}
    answer = shop.call("POST", LOGIN, json=body, headers=headers)
    refused(answer, 401, "account.wrong_password")
    (one,) = found(shop, clerk, address=address)
    assert ("login.refused", None) == (one["kind"], one["user_id"])
    rows = shop.sql("select e::text as text from atom.security_event e")
    for secret in (typed, body["password"]):
        assert not [each for each in rows if secret in each["text"]]
        assert secret not in shop.log.read_text()


@pytest.mark.parametrize("host", ["a/x?", "a/auth/signup?", "a/auth/token-refresh#"])
def test_what_is_tried_is_the_route_and_not_what_a_header_makes_of_it(
    shop, clerk, host
):
    """Guesses that a Host header renames would be missed by who looks for them."""
    ada, place = newcomer(shop), {"x-forwarded-for": "192.0.2.20"}
    refused(wrong(shop, ada, host=host, **place), 401, "account.wrong_password")
    (one,) = found(shop, clerk, user_id=ada.id, reason="account.wrong_password")
    assert "login.refused" == one["kind"]


def test_a_flood_is_a_bounded_number_of_rows(shop, clerk):
    """Of one network: twenty users a minute, then the network alone."""
    address = "192.0.2.9"
    headers = {"x-forwarded-for": address}
    people = shop.sql(
        "insert into users (type, username) select 1, 'flood' || n"
        " from generate_series(1, 60) n returning username"
    )
    for person in people:
        body = {"type": 1, "username": person["username"], "password": "not that one"}
        shop.call("POST", LOGIN, json=body, headers=headers)

    def events():
        return read(shop, clerk, kind="login.refused", address=address)

    eventually(lambda: 60 == sum(each["count"] for each in events()))
    minutes = shop.sql(
        "select count(distinct minute) as count from atom.security_event"
        " where address = $1",
        address,
    )
    assert len(events()) <= 21 * minutes[0]["count"]
    assert {None} < {each["user_id"] for each in events()}


def test_a_limit_that_is_reached(shop, clerk):
    headers = {"x-forwarded-for": "192.0.2.10"}
    for _ in range(3):
        answer = shop.call("POST", "/shop/limited", headers=headers)
    refused(answer, 429, "rate.exceeded")
    eventually(
        lambda: (
            2 == sum(each["count"] for each in read(shop, clerk, address="192.0.2.10"))
        )
    )
    one = read(shop, clerk, address="192.0.2.10")[0]
    assert ("limit.reached", "rate.exceeded") == (one["kind"], one["reason"])


def test_what_a_user_may_not_do(shop, clerk):
    ada = newcomer(shop)
    refused(shop.call("GET", READ, ada), 403, "access.denied")
    body = {"id": clerk.id, "is_active": 0}
    refused(shop.call("PUT", RIGHTS, clerk, json=body), 403, "rights.own")
    (one,) = found(shop, clerk, kind="access.refused", user_id=ada.id)
    assert "access.denied" == one["reason"]
    reasons = {
        each["reason"]
        for each in found(shop, clerk, kind="access.refused", user_id=clerk.id)
    }
    assert {"rights.own"} == reasons


def test_a_change_of_rights_is_never_without_its_event(shop, clerk):
    ada = newcomer(shop)
    body = {"id": ada.id, "api_access": "5"}
    answer = shop.call("PUT", RIGHTS, clerk, json=body)
    assert 200 == answer.status_code
    (one,) = read(shop, clerk, kind="rights.changed", user_id=ada.id)
    assert (clerk.id, answer.headers["x-request-id"], "127.0.0.1") == (
        one["created_by_id"],
        one["request_id"],
        one["address"],
    )
    assert {"before": {"api_access": None}, "after": {"api_access": "5"}} == one[
        "detail"
    ]
    (mine,) = shop.message("GET", f"{MINE}?kind=rights.changed", ada)
    assert mine["is_by_other"] is True
    assert "created_by_id" not in mine

    shop.sql("alter table atom.security_event add constraint shut check (kind <> "
             "'rights.changed') not valid")  # fmt: skip
    try:
        refused_change = shop.call("PUT", RIGHTS, clerk, json={**body, "is_active": 0})
        assert refused_change.status_code >= 400
        (row,) = shop.sql("select is_active from users where id = $1", ada.id)
        assert row["is_active"] is None
    finally:
        shop.sql("alter table atom.security_event drop constraint shut")


def test_the_life_of_a_session_and_a_password(shop, clerk):
    ada = newcomer(shop)
    body = {"refresh_token": ada.refresh}
    assert 200 == shop.call("POST", "/auth/token-refresh", json=body).status_code
    again = shop.call("POST", "/auth/token-refresh", json=body)
    assert 401 == again.status_code
    other = shop.message("POST", LOGIN, json={
        "type": 1, "username": ada.username, "password": PASSWORD})  # fmt: skip
    ada.token = other
    shop.message("DELETE", "/my/session-delete?id=others", ada)
    new = secrets.token_hex(12)
    change = {"id": ada.id, "password": new, "password_old": PASSWORD}
    shop.message("PUT", "/my/object-update?table=users", ada, json=change)
    login = {"type": 1, "username": ada.username, "password": new}
    ada.token = shop.message("POST", LOGIN, json=login)
    shop.message("POST", "/auth/logout", ada)

    events = read(shop, clerk, user_id=ada.id)[::-1]
    kinds = [each["kind"] for each in events]
    durable = [kind for kind in kinds if not kind.startswith(("login", "token"))]
    assert [
        "session.reused",
        "session.ended",
        "password.changed",
        "session.ended",
    ] == durable
    assert {"which": "this"} == [
        each["detail"] for each in events if each["kind"] == "session.ended"
    ][1]
    refreshed = found(shop, clerk, user_id=ada.id, kind="token-refresh.refused")
    assert ["token.invalid"] == [each["reason"] for each in refreshed]
    ada.token = shop.message("POST", LOGIN, json=login)
    shop.message("DELETE", "/my/account-delete?mode=hard", ada)
    (gone,) = read(shop, clerk, user_id=ada.id, kind="account.deleted")
    assert {"mode": "hard"} == gone["detail"]
    assert new not in str(read(shop, clerk, user_id=ada.id))


def test_one_reads_one_s_own_alone(shop, clerk):
    ada, bob = newcomer(shop), newcomer(shop)
    wrong(shop, ada)
    found(shop, clerk, user_id=ada.id, kind="login.refused")
    assert [] == [
        each
        for each in shop.message("GET", MINE, bob)
        if each["kind"] == "login.refused"
    ]
    assert 422 == shop.call("GET", f"{MINE}?user_id={ada.id}", bob).status_code


def test_a_cursor_reads_on(shop, clerk):
    for _ in range(3):
        shop.message("PUT", RIGHTS, clerk, json={
            "id": newcomer(shop).id, "is_verified": 1})  # fmt: skip
    every = read(shop, clerk, kind="rights.changed", limit=3)
    first = read(shop, clerk, kind="rights.changed", limit=1)
    rest = read(shop, clerk, kind="rights.changed", limit=2, cursor=first[0]["id"])
    assert every == first + rest


def test_each_is_a_line_of_json_in_the_log(shop, clerk):
    ada = newcomer(shop)
    shop.message("PUT", RIGHTS, clerk, json={"id": ada.id, "api_access": "5"})
    wrong(shop, ada, **{"x-forwarded-for": "192.0.2.21"})

    def lines():
        texts = (
            line.partition("atom.security ")[2]
            for line in shop.log.read_text().splitlines()
        )
        events = [json.loads(text[text.index("{") :]) for text in texts if text]
        return [each for each in events if each.get("user_id") == ada.id]

    eventually(lambda: "login.refused" in {each["kind"] for each in lines()})
    (changed,) = [each for each in lines() if each["kind"] == "rights.changed"]
    assert clerk.id == changed["created_by_id"]
    assert {"api_access": "5"} == changed["after"]
