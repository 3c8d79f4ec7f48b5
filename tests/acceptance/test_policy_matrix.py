"""Every route against everyone who may call it: the policy of each, by its own rules.

What is expected follows from the first segment of a path and from `config_api`, as
docs/pipeline.md has it, and not from the code that decides. The routes are those that
the server has: one that is dropped in is asked the day it comes.
"""

import http.client
import json
import re
import secrets
import time
from functools import cache
from urllib.parse import urlsplit

import jwt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from atom.own.declaration import API
from config import config_api
from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.people import newcomer
from tests.served import serve

DROP_IN = """
from extend import *

router = APIRouter()


async def answer(request: Request):
    return {"status": 1}


async def echo(socket: WebSocket):
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


for path in ("/shop/open", "/shop/token", "/shop/access", "/shop/role", "/shop/off",
             "/shop/item/{id}", "/my/shop", "/private/shop", "/admin/shop",
             "/root/shop", "/public/shop", "/admin/off"):
    router.add_api_route(path, answer, methods=["GET", "POST"])
for path in ("/shop/live", "/my/live", "/admin/live", "/root/live", "/shop/live/token"):
    router.add_api_websocket_route(path, echo)
"""
DROPPED = {
    "/shop/token": {"is_token": 1},
    "/shop/access": {"id": 77, "is_access": 1},
    "/shop/role": {"role": ["keeper"]},
    "/shop/off": {"is_token": 1, "is_active_check": 0},
    "POST /shop/item/{id}": {"is_token": 1},
    "/admin/shop": {"id": 78},
    "/admin/off": {"id": 79, "is_active_check": 0},
    "/admin/live": {"id": 80},
    "/shop/live/token": {"is_token": 1},
}
CONFIG = f"""
config_api = {DROPPED!r}
config_role = {{"keeper": "select 1 from users where id = :me and name = 'keeper'"}}
config_is_prometheus = 1
config_is_token_cookie = 1
"""
ENTRIES = {**API, **config_api, **DROPPED}
SOCKETS = ("/shop/live", "/my/live", "/admin/live", "/root/live", "/shop/live/token")
# Those that /root/explain does not list, as they have the policy of another.
SAME = re.compile(
    r"/admin/(audit-read|security-event-read|user-mfa-delete|(invitation|group)-[a-z-]+)"
)
OF = "/admin/user-rights-update"
# What may not be tried here: it ends the session it is asked with.
ENDS = {"POST /auth/logout", "DELETE /my/account-delete"}
# A typed row route has the policy of the route that does the same.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROWS = {
    "GET": "object-read",
    "POST": "object-create",
    "PUT": "object-update",
    "PATCH": "object-update",
    "DELETE": "ids-delete",
}
REFUSED = {  # by a step that decides by the caller
    "token.missing": 401,
    "token.invalid": 401,
    "token.revoked": 401,
    "token.expired": 401,
    "token.root_mismatch": 401,
    "account.missing": 401,
    "access.denied": 403,
    "active.inactive": 403,
    "role.denied": 403,
    "key.route": 403,
    "key.refused": 403,
    "csrf.refused": 403,
}
# Users who come by a cookie, by what their browser reports of the page.
COOKIES = {
    "cookie with": {"sec-fetch-site": "same-origin"},
    "cookie without CSRF": {},
    "cookie on the page of another": {"sec-fetch-site": "cross-site"},
}
# API keys: the first one opens one public route, the others all there are.
ELSEWHERE = "key for elsewhere"
KEYS = {
    ELSEWHERE: "admin",
    "key": "user",
    "key of an admin": "admin",
    "key of the inactive": "inactive",
    "key that has expired": "",
    "key of the deleted": "",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    code = copied(
        tmp_path_factory.mktemp("matrix"), router_shop=DROP_IN, config_shop=CONFIG
    )
    with serve({"config_env": "development"}, code=code) as served:
        api = opened(served)
        yield api
        api.http.close()


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def callers(shop):
    """Everyone, with the header of each: (name, header, what they are)."""
    ids = ",".join(str(each["id"]) for each in ENTRIES.values() if "id" in each)
    found = {"anonymous": {}, "root": shop.root}

    def add(who, **columns):
        found[who] = newcomer(shop, **columns).headers

    add("user")
    add("keeper", name="keeper")
    add("admin", api_access=ids)
    for number in ids.split(","):
        add(f"admin of {number}", api_access=number)
    add("inactive", api_access=ids)
    shop.sql("update users set is_active = 0 where id = $1", subject(found["inactive"]))
    add("revoked", api_access=ids)
    assert (
        200
        == shop.http.post(
            f"{shop.url}/auth/logout", headers=found["revoked"]
        ).status_code
    )
    add("deleted", api_access=ids)
    shop.sql("update users set is_deleted = 1 where id = $1", subject(found["deleted"]))
    person = newcomer(shop)
    found["refresh token"] = bearer(person.refresh)
    found["forged"] = bearer(
        jwt.encode(
            {**claims(found["admin"]), "exp": int(time.time()) + 600},
            secrets.token_hex(32),
            algorithm="HS256",
        )
    )
    found["unsigned"] = bearer(jwt.encode(claims(found["admin"]), None, "none"))
    for who, reported in COOKIES.items():
        token = newcomer(shop).token
        found[who] = {"cookie": f"__Host-atom_token={token}", **reported}
    return found | with_keys(shop, ids)


def with_keys(shop, ids):
    """Return the headers of callers who come by an API key, by what they are."""
    found = {}
    for who, holder in KEYS.items():
        person = newcomer(shop, api_access=None if holder == "user" else ids)
        routes = ["/shop/open"] if who == ELSEWHERE else sorted(keyed(shop))
        body = {"name": who, "route": routes}
        found[who] = bearer(shop.message("POST", KEY_CREATE, person, json=body))
        if end := ENDING.get(who):
            shop.sql(end, person.id)
    return found


def keyed(api):
    """Return every route that an API key may be made for, as it is written there."""
    for tier in ("my", "admin", "public"):
        yield f"GET /{tier}/rows/{{table}}/stream"
        yield f"/{tier}/rows/{{table}}"
        yield f"/{tier}/rows/{{table}}/{{id}}"
    yield from (path for path in SOCKETS if not path.startswith("/root/"))
    for method, path in listed(api):
        tier, entry = rules(method, path)
        if tier != "root" and entry.get("is_api_key") != 0:
            yield f"{method} {path}"


KEY_CREATE = "/my/api-key-create"
ENDING = {
    "key of the inactive": "update users set is_active = 0 where id = $1",
    "key of the deleted": "update users set is_deleted = 1 where id = $1",
    "key that has expired": "update atom.api_key set expires_at = now()"
    " where user_id = $1",
}


def claims(headers):
    token = next(iter(headers.values())).removeprefix("Bearer ")
    return jwt.decode(token, options={"verify_signature": False})


def subject(headers):
    return int(claims(headers)["sub"])


@cache
def rules(method, path):
    """Return what holds for a route: its tier, and its keys of `config_api`."""
    tier = path.split("/")[1]
    if path.startswith(f"/{tier}/rows/"):
        path = f"/{tier}/{ROWS[method]}"
    path = OF if SAME.fullmatch(path) else path
    return tier, ENTRIES.get(path, {}) | ENTRIES.get(f"{method} {path}", {})


def expected(method, path, who):
    """Return the codes one of which refuses a caller; none when nothing does."""
    tier, entry = rules(method, path)
    if tier == "root":
        return set() if who == "root" else {"token.root_mismatch"}
    demands = tier in ("my", "private", "admin") or bool(
        entry.get("is_token") or entry.get("is_access") or entry.get("role")
    )
    if not demands:
        return set()
    if who == "anonymous":
        return {"token.missing"}
    if who in ("root", "refresh token", "forged", "unsigned"):
        return {"token.invalid"}
    if who in ("revoked", "deleted"):
        return {"token.revoked" if who == "revoked" else "account.missing"}
    if who in COOKIES:
        reads = method == "GET" and who == "cookie without CSRF"
        if who != "cookie with" and not reads:
            return {"csrf.refused"}
        who = "user"
    if who in KEYS:
        if not KEYS[who]:
            ended = who == "key that has expired"
            # Its row was changed by SQL: who reads the user again finds no such key.
            return {"token.expired", "token.revoked"} if ended else {"account.missing"}
        if entry.get("is_api_key") == 0:
            return {"key.refused"}
        if who == ELSEWHERE:
            return {"key.route"}
        who = KEYS[who]
    refused = set()
    if who == "inactive" and entry.get("is_active_check") != 0:
        refused.add("active.inactive")
    if tier == "admin" or entry.get("is_access"):
        holds = who in ("admin", "inactive") or who == f"admin of {entry['id']}"
        if not holds:
            refused.add("access.denied")
    if entry.get("role") and who != "keeper":
        refused.add("role.denied")
    return refused


def listed(api):
    """Return the routes the server has, each with a method, but typed row routes."""
    names = [row["name"] for row in api.message("GET", "/root/explain", "root")]
    found = [tuple(name.split(" ", 1)) for name in names]
    paths = api.call("GET", "/openapi.json").json()["paths"]
    for path in filter(SAME.fullmatch, paths):
        found += [(method.upper(), path) for method in paths[path]]
    known = {path for _, path in found}
    assert not [path for path in paths if path not in known and "/rows/" not in path]
    return [one for one in found if one[0] in METHODS]


def routes(api):
    """Return what is asked: each route with a method, the row routes of one table."""
    found = [one for one in listed(api) if " ".join(one) not in ENDS]
    for tier in ("my", "admin", "public"):
        found.append(("GET", f"/{tier}/rows/test/stream"))
        one = f"/{tier}/rows/test/1"
        found += [(method, one) for method in ("GET", "PATCH", "DELETE")]
        found += [(method, f"/{tier}/rows/test") for method in ("GET", "POST", "PUT")]
    return found


def ask(url, method, path, headers):
    """Return the status and code of an answer; of a stream its beginning is enough."""
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    try:
        path = re.sub(r"{\w+(:\w+)?}", "1", path)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        stream = "text/event-stream" in answer.headers.get("content-type", "")
        body = b"" if stream else answer.read()
    finally:
        connection.close()
    try:
        code = json.loads(body).get("code", "")
    except (ValueError, AttributeError):
        code = ""
    return answer.status, code


def test_what_a_login_is_made_of_takes_no_key(shop):
    """Of any such route, also one that comes later: `"is_api_key": 0`."""
    word = r"/(my|auth)/(account|api-key|logout|mfa|passkey|recov|session|token|totp)"
    found = [
        (method, path)
        for method, path in listed(shop)
        if re.match(word, path) or path.startswith((OF, "/admin/invitation-"))
    ]
    # Who calls these is shown by the body.
    open_to_all = {"/auth/token-refresh", "/auth/totp-confirm", "/auth/totp-create"}
    open_to_all |= {f"/auth/passkey-{verb}" for verb in ("begin", "create", "confirm")}

    assert len(found) > 14
    assert not [
        (method, path)
        for method, path in found
        if path not in open_to_all and rules(method, path)[1].get("is_api_key") != 0
    ]


def test_every_route_refuses_whom_its_policy_refuses(shop, callers):
    asked = routes(shop)
    assert len(asked) > 80
    paths = {path for _, path in asked}
    assert {"/shop/access", "/admin/shop", "/root/shop"} <= paths
    wrong = []
    for method, path in asked:
        for who, headers in callers.items():
            status, code = ask(shop.url, method, path, headers)
            refusing = expected(method, path, who)
            if refusing and (code not in refusing or status != REFUSED[code]):
                wrong.append((method, path, who, status, code, refusing))
            if not refusing and (code in REFUSED or (status >= 500 and status != 503)):
                wrong.append((method, path, who, status, code, "should pass"))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("path", SOCKETS)
def test_a_websocket_refuses_whom_its_policy_refuses(shop, callers, path):
    url = shop.url.replace("http", "ws") + path
    wrong = []
    for who, headers in callers.items():
        try:
            with connect(url, additional_headers=headers) as socket:
                code, status = "", 101
                assert "hello" == socket.recv(10)
        except InvalidStatus as refused:
            status = refused.response.status_code
            code = json.loads(refused.response.body)["code"]
        except ConnectionClosed as closed:
            status, code = closed.rcvd.code, "closed"
        refusing = expected("WEBSOCKET", path, who)
        if refusing != set() and (code not in refusing or status != REFUSED[code]):
            wrong.append((who, status, code, refusing))
        if not refusing and status != 101:
            wrong.append((who, status, code, "should pass"))
    assert not wrong, "\n".join(map(str, wrong))
