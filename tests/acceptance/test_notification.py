"""Notifications: written by code on its transaction, read by whom they are for."""

import secrets

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.people import newcomer
from tests.acceptance.test_rights import refused
from tests.served import serve

DROP_IN = """
from extend import *

router = APIRouter()


@router.post("/shop/notify")
async def notify(request: Request):
    given = await request.json()
    fails = given.pop("fails", False)
    async with function_transaction(request):
        await function_notify(request, **given)
        if fails:
            raise ValueError("undone")
    return {"status": 1, "message": "done"}


@router.post("/shop/notify/connection")
async def by_connection(request: Request):
    given = await request.json()
    async with request.app.state.client_postgres_asyncpg_pool.acquire() as connection:
        await function_notify(connection, **given)
    return {"status": 1, "message": "done"}
"""
READ, UPDATE = "/my/notification-read", "/my/notification-update"
DELETE = "/my/notification-delete?ids="


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    code = copied(tmp_path_factory.mktemp("notification"), router_shop=DROP_IN)
    with serve({"config_env": "development"}, code=code) as served:
        api = opened(served)
        yield api
        api.http.close()


@pytest.fixture
def ada(shop):
    return newcomer(shop)


def notify(shop, who, subject="An order", **given):
    user_id = who if isinstance(who, list) else who.id
    body = {"user_id": user_id, "subject": subject, **given}
    return shop.message("POST", "/shop/notify", json=body)


def read(shop, who, query=""):
    return shop.message("GET", READ + query, who)


def unread(shop, who):
    return shop.call("GET", READ, who).json()["unread"]


def test_a_user_reads_what_code_wrote_and_marks_it(shop, ada):
    notify(shop, ada, message="Number 7 is paid.", link="/order/7", kind="order")
    notify(shop, ada, "Another")

    second, first = read(shop, ada)
    assert ("Another", "", None, "notice") == (
        second["subject"],
        second["message"],
        second["link"],
        second["kind"],
    )
    assert ("Number 7 is paid.", "/order/7", "order", False) == (
        first["message"],
        first["link"],
        first["kind"],
        first["is_read"],
    )
    assert 2 == unread(shop, ada)
    assert 1 == shop.message("PUT", UPDATE, ada, json={"ids": [first["id"]]})
    assert 0 == shop.message("PUT", UPDATE, ada, json={"ids": [first["id"]]})
    assert [second["id"]] == [one["id"] for one in read(shop, ada, "?is_unread=1")]
    assert [first["id"]] == [one["id"] for one in read(shop, ada, "?is_unread=0")]
    assert [first["id"]] == [one["id"] for one in read(shop, ada, "?kind=order")]
    assert 1 == unread(shop, ada)
    assert 1 == shop.message("PUT", UPDATE, ada, json={"ids": "all"})
    assert 0 == unread(shop, ada)
    again = {"ids": [first["id"], second["id"]], "is_read": 0}
    assert 2 == shop.message("PUT", UPDATE, ada, json=again)
    assert 2 == unread(shop, ada)


def test_a_page_goes_on_where_the_one_before_ended(shop, ada):
    for number in range(3):
        notify(shop, ada, f"{number}")
    every = read(shop, ada)
    first = read(shop, ada, "?limit=1")
    rest = read(shop, ada, f"?limit=2&cursor={first[0]['id']}")
    assert every == first + rest


def test_it_is_nobody_elses(shop, ada):
    eve = newcomer(shop, api_access="1,2,3,4,5,6,8")
    notify(shop, ada)
    (mine,) = read(shop, ada)
    assert [] == read(shop, eve)
    assert 0 == shop.message("PUT", UPDATE, eve, json={"ids": [mine["id"]]})
    assert 0 == shop.message("PUT", UPDATE, eve, json={"ids": "all"})
    assert 0 == shop.message("DELETE", f"{DELETE}{mine['id']}", eve)
    assert 0 == shop.message("DELETE", f"{DELETE}all", eve)
    for name in ("notification", "atom.notification"):
        assert (
            404 == shop.call("GET", f"/admin/object-read?table={name}", eve).status_code
        )
    body = {"query": "select * from atom.notification"}
    assert 200 != shop.call("POST", "/admin/db-runner", eve, json=body).status_code
    assert [mine] == read(shop, ada)


def test_some_or_all_are_deleted(shop, ada):
    for number in range(4):
        notify(shop, ada, f"{number}")
    ids = [one["id"] for one in read(shop, ada)]
    assert 2 == shop.message("DELETE", f"{DELETE}{ids[0]},{ids[2]}", ada)
    assert [ids[1], ids[3]] == [one["id"] for one in read(shop, ada)]
    assert 2 == shop.message("DELETE", f"{DELETE}all", ada)
    assert [] == read(shop, ada)


def test_what_is_undone_was_never_there(shop, ada):
    body = {"user_id": ada.id, "subject": "x", "fails": True}
    assert 500 == shop.call("POST", "/shop/notify", json=body).status_code
    assert [] == read(shop, ada)


def test_several_are_notified_at_once_and_a_stranger_not(shop, ada):
    bob, subject = newcomer(shop), secrets.token_hex(6)
    notify(shop, [ada.id, bob.id, 2**62], subject)
    for who in (ada, bob):
        assert subject in [one["subject"] for one in read(shop, who)]
    found = shop.sql("select from atom.notification where subject = $1", subject)
    assert 2 == len(found)


def test_a_connection_of_ones_own_will_do(shop, ada):
    body = {"user_id": ada.id, "subject": "by a connection"}
    shop.message("POST", "/shop/notify/connection", json=body)
    assert ["by a connection"] == [one["subject"] for one in read(shop, ada)]


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "//evil.example",
        "/\\evil.example",
        "https:evil",
        "http://",
        "order/7",
        "",
        "/" + "x" * 2_000,
    ],
)
def test_a_link_is_not_something_that_a_browser_runs(shop, ada, link):
    body = {"user_id": ada.id, "subject": "x", "link": link}
    answer = shop.call("POST", "/shop/notify", json=body)
    refused(answer, 400, "notification.unreadable")
    assert [] == read(shop, ada)


@pytest.mark.parametrize(
    "given",
    [
        {"subject": ""},
        {"subject": "x" * 201},
        {"subject": "a\0b"},
        {"subject": "x", "message": "x" * 4_001},
        {"subject": "x", "kind": "Not One"},
    ],
    ids=["empty", "long", "nul", "message", "kind"],
)
def test_what_does_not_fit_is_refused(shop, ada, given):
    body = {"user_id": ada.id, **given}
    answer = shop.call("POST", "/shop/notify", json=body)
    refused(answer, 400, "notification.unreadable")


@pytest.mark.parametrize("ids", ["", "0", "a", "1,", "all,1", "1" * 19, "-1"])
def test_ids_that_are_none_are_refused(shop, ada, ids):
    assert 422 == shop.call("DELETE", f"{DELETE}{ids}", ada).status_code


def test_they_go_with_their_user(shop, ada):
    notify(shop, ada)
    shop.message("DELETE", "/my/account-delete?mode=hard", ada)
    found = shop.sql("select from atom.notification where user_id = $1", ada.id)
    assert [] == found


def test_a_new_password_is_notified_also_without_mail(shop, ada):
    body = {"id": ada.id, "password": "another long one", "password_old": ada.password}
    shop.message("PUT", "/my/object-update?table=users", ada, json=body)
    login = {"type": 1, "username": ada.username, "password": "another long one"}
    token = shop.message("POST", "/auth/login-password", json=login)
    headers = {"Authorization": f"Bearer {token}"}
    (one,) = shop.message("GET", READ, headers=headers)
    assert "account" == one["kind"]
    assert "another long one" not in str(one)
