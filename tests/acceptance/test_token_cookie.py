"""Tokens in cookies: what a page gets, and what the page of another site does not."""

from http.cookies import SimpleCookie

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.acceptance.conftest import serving
from tests.acceptance.people import PASSWORD, newcomer

PAGE = "https://app.shop.example"
ASK = {"prefer": "token=cookie"}
OWN = {"sec-fetch-site": "same-origin"}
ACCESS, REFRESH = "__Host-atom_token", "__Secure-atom_refresh"
DROP_IN = """
from extend import *

router = APIRouter()
count = 0


@router.get("/shop/counted")
async def counted(request: Request):
    global count
    count += 1
    return {"count": count, "user": request.state.user.get("id")}
"""
CONFIG = """
config_api = {"/shop/counted": {"cache_sec": ["inmemory", 60]}}
config_is_token_cookie = 1
config_cors_allow_credentials = 1
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cookie")
    config = {"config_cors_origin_list": PAGE}
    with serving(
        folder, config=config, router_shop=DROP_IN, config_shop=CONFIG
    ) as made:
        yield made


def login(shop, person, **headers):
    body = {"type": 1, "username": person.username, "password": PASSWORD}
    return shop.call("POST", "/auth/login-password", json=body, headers=headers)


def cookies(answer):
    """Return what a browser is to keep, by name."""
    found = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        found.load(line)
    return found


def inside(shop, **headers):
    """Return a person, and the headers of a page on which they are logged in."""
    person = newcomer(shop)
    token = cookies(login(shop, person, **ASK))[ACCESS].value
    return person, {"cookie": f"{ACCESS}={token}", **headers}


def asked(shop, headers, method="GET", path="/my/profile", **options):
    """Return 200, or the code of the refusal."""
    answer = shop.call(method, path, headers=headers, **options)
    return 200 if answer.status_code == 200 else answer.json()["code"]


def test_a_page_gets_cookies_that_it_cannot_read(shop):
    """And no token in the body. They are for this host and https, one for one path."""
    person = newcomer(shop)

    answer = login(shop, person, **ASK)

    assert {"status": 1, "message": "done", "expires_in": 86400} == answer.json()
    kept = cookies(answer)
    assert {ACCESS, REFRESH} == set(kept)
    for each in kept.values():
        assert (True, True, "lax", "") == (
            each["secure"],
            each["httponly"],
            each["samesite"].lower(),
            each["domain"],
        )
    assert "/" == kept[ACCESS]["path"]
    assert "/auth/token-refresh" == kept[REFRESH]["path"]
    assert "no-store" in answer.headers["cache-control"]
    assert "set-cookie" not in login(shop, person).headers


def test_without_the_key_there_are_no_cookies(api):
    person = newcomer(api)

    answer = login(api, person, **ASK)

    assert "set-cookie" not in answer.headers
    headers = {"cookie": f"{ACCESS}={person.token}", **OWN}
    assert "token.missing" == asked(api, headers)


def test_a_cookie_opens_what_its_user_opens(shop):
    person, page = inside(shop, **OWN)

    answer = shop.call("GET", "/my/profile", headers=page)

    assert (200, person.id) == (answer.status_code, answer.json()["message"]["id"])
    row = {"title": "x"}
    path = "/my/object-create?table=test"
    assert 200 == asked(shop, page, "POST", path, json=row)
    assert "token.root_mismatch" == asked(shop, page, path="/root/doctor")
    assert "access.denied" == asked(shop, page, path="/admin/object-read?table=test")


@pytest.mark.parametrize(
    ("headers", "reads", "writes"),
    [
        ({}, 200, "csrf.refused"),
        ({"sec-fetch-site": "none"}, 200, "csrf.refused"),
        (OWN, 200, 200),
        ({"sec-fetch-site": "same-site"}, "csrf.refused", "csrf.refused"),
        ({"sec-fetch-site": "cross-site"}, "csrf.refused", "csrf.refused"),
        ({"sec-fetch-site": "same-site", "origin": PAGE}, 200, 200),
        ({"origin": PAGE}, 200, 200),
        ({"origin": "https://evil.example"}, "csrf.refused", "csrf.refused"),
        ({"origin": "null"}, "csrf.refused", "csrf.refused"),
        ({"origin": f"{PAGE}.evil.example"}, "csrf.refused", "csrf.refused"),
    ],
)
def test_the_page_of_another_site_uses_no_cookie(shop, headers, reads, writes):
    _, page = inside(shop, **headers)
    path = "/my/object-create?table=test"

    assert reads == asked(shop, page)
    assert writes == asked(shop, page, "POST", path, json={"title": "x"})
    assert writes == asked(shop, page, "DELETE", "/my/session-delete?id=others")


def test_the_own_origin_is_that_of_the_host(shop):
    _, page = inside(shop, origin=shop.url)
    assert 200 == asked(shop, page, "DELETE", "/my/session-delete?id=others")


def test_a_public_route_is_anonymous_to_the_page_of_another_site(shop):
    person, page = inside(shop, **OWN)
    _, other = inside(shop, **{"sec-fetch-site": "cross-site"})

    mine = shop.call("GET", "/shop/counted", headers=page).json()["user"]

    assert person.id == mine
    assert shop.call("GET", "/shop/counted", headers=other).json()["user"] is None


def test_any_authorization_puts_the_cookie_aside(shop):
    person, page = inside(shop, **OWN)
    other = newcomer(shop)

    answer = shop.call("GET", "/my/profile", other, headers=page)

    assert other.id == answer.json()["message"]["id"]
    for wrong in ("Bearer x", "Bearer", "Basic eDp4"):
        code = asked(shop, {**page, "authorization": wrong})
        assert code in ("token.invalid", "token.missing")
    bearer = {"authorization": f"Bearer {person.token}"}
    cross = {**page, **bearer, "sec-fetch-site": "cross-site"}
    assert 200 == asked(shop, cross)


def test_two_cookies_of_the_name_are_none(shop):
    person, page = inside(shop, **OWN)
    twice = f"{page['cookie']}; {ACCESS}={person.token}"
    assert "token.missing" == asked(shop, {**page, "cookie": twice})


def test_an_api_key_is_not_good_as_a_cookie(shop):
    person = newcomer(shop)
    body = {"name": "x", "route": ["GET /my/profile"]}
    key = shop.message("POST", "/my/api-key-create", person, json=body)
    assert "token.invalid" == asked(shop, {"cookie": f"{ACCESS}={key}", **OWN})


def test_the_refresh_cookie_gets_the_next_pair_as_cookies(shop):
    """Also where the page does not ask again; once, and from this site alone."""
    person = newcomer(shop)
    kept = cookies(login(shop, person, **ASK))[REFRESH].value
    path, page = "/auth/token-refresh", {"cookie": f"{REFRESH}={kept}"}
    assert "csrf.refused" == asked(shop, page, "POST", path, json={})
    cross = {**page, "sec-fetch-site": "cross-site"}
    assert "csrf.refused" == asked(shop, cross, "POST", path, json={})

    answer = shop.call("POST", path, json={}, headers={**page, **OWN})

    assert (200, "done") == (answer.status_code, answer.json()["message"])
    assert "refresh_token" not in answer.json()
    fresh = cookies(answer)
    assert fresh[REFRESH].value != kept
    access = {"cookie": f"{ACCESS}={fresh[ACCESS].value}", **OWN}
    assert 200 == asked(shop, access)
    assert "token.used" == asked(shop, {**page, **OWN}, "POST", path, json={})
    assert "token.missing" == asked(shop, OWN, "POST", path, json={})
    by_body = {"refresh_token": person.refresh}
    assert shop.call("POST", path, json=by_body).json()["refresh_token"]


def test_a_new_access_token_is_not_shown_to_the_page(shop):
    _, page = inside(shop, **OWN)

    answer = shop.call("GET", "/my/token-refresh", headers=page)

    assert "done" == answer.json()["message"]
    assert {ACCESS} == set(cookies(answer))


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/auth/logout"), ("DELETE", "/my/account-delete?mode=soft")],
)
def test_leaving_clears_the_cookies(shop, method, path):
    _, page = inside(shop, **OWN)

    answer = shop.call(method, path, headers=page)

    assert 200 == answer.status_code
    cleared = cookies(answer)
    assert [("", "0"), ("", "0")] == [
        (cleared[name].value, cleared[name]["max-age"]) for name in (ACCESS, REFRESH)
    ]
    assert "/auth/token-refresh" == cleared[REFRESH]["path"]
    assert asked(shop, page) in ("token.revoked", "account.missing")


@pytest.mark.parametrize(
    ("headers", "opens"),
    [
        ({}, False),
        (OWN, True),
        ({"origin": PAGE}, True),
        ({"origin": "https://evil.example"}, False),
    ],
)
def test_a_websocket_takes_the_cookie_of_a_known_page(shop, headers, opens):
    _, page = inside(shop, **headers)
    url = shop.url.replace("http", "ws") + "/ws"
    try:
        with connect(url, additional_headers=page) as socket:
            socket.send("a")
            socket.recv(10)
            status = 101
    except InvalidStatus as refused:
        status = refused.response.status_code
    assert opens == (status == 101)


def test_an_answer_for_a_cookie_is_kept_for_its_user_alone(shop):
    """Where Atom verified all there is; a cookie of others is still never kept."""
    _, page = inside(shop, **OWN)
    _, another = inside(shop, **OWN)

    def count(headers):
        answer = shop.call("GET", "/shop/counted", headers=headers)
        return answer.json()["count"], answer.headers.get("x-cache")

    first, _ = count(page)
    assert (first, "hit") == count(page)
    assert count(another)[0] > first
    more = {**page, "cookie": page["cookie"] + "; theme=dark"}
    assert (count(more)[0] > first, count(more)[1]) == (True, None)
    cross = {**page, "sec-fetch-site": "cross-site"}
    assert (count(cross)[0] > first, count(cross)[1]) == (True, None)
