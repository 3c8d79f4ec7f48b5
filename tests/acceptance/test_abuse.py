"""What anyone may send: how often, from where, and what the answers tell."""

import json
import re
import secrets

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from atom.account.api_key import FIND_TIMES, made_key
from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.people import newcomer
from tests.served import serve

PAGE = "https://shop.example"
MAILS = 60  # that one caller has written, in 10 minutes
DROP_IN = """
from extend import *

router = APIRouter()


@router.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()
"""
MORE = {
    "config_trusted_proxy_list": "127.0.0.1",
    "config_cors_origin_list": PAGE,
    "config_password_memory_kib": "1024",  # of what is not measured here
    "config_password_rounds": "1",
    "config_google_login_client_id": "shop.apps.example",
    "config_passkey_origin_list": PAGE,
}
SENT = {  # by the name of the field: what no one has, and no one can sign up with
    "type": 1,
    "username": "nobody",
    "password": "short",
    "username_bigint": 17,
    "password_bigint": 1,
    "email": "nobody@example.com",
    "mobile": "+4915112345678",
    "otp": "123456",
    "google_token": "a.b.c",
    "credential": {"id": "x"},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    code = copied(tmp_path_factory.mktemp("abuse"), router_echo=DROP_IN)
    with serve(MORE, code=code) as served:
        api = opened(served)
        yield api
        api.http.close()


def place():
    """Return a header of an address that no test has called from yet."""
    return {"x-forwarded-for": f"2001:db8:{secrets.token_hex(2)}::1"}


def ways_in(api):
    """Yield the routes that nobody needs a token for, with a body for each."""
    document = api.call("GET", "/openapi.json").json()
    for path, methods in document["paths"].items():
        route = methods.get("post")
        if route is None or route.get("security") or not path.startswith("/auth/"):
            continue
        schema = route["requestBody"]["content"]["application/json"]["schema"]
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        wanted = schema.get("required", ())
        yield path, {name: SENT.get(name, "x" * 43) for name in wanted}


def test_every_way_in_without_a_token_is_limited(shop):
    """Whatever is sent: an address that goes on asking is refused for a while."""
    ways = dict(ways_in(shop))
    assert {"/auth/signup", "/auth/login-password", "/auth/token-refresh"} <= {*ways}
    for path, body in ways.items():
        here, seen, tried = place(), set(), 0
        while 429 not in seen:
            answer = shop.call("POST", path, json=body, headers=here)
            seen |= {answer.status_code}
            tried += 1
            # Right ones count too, unless what a route costs is limited: its mails.
            policy = answer.headers.get("ratelimit-policy", f"q={MAILS}")
            most = int(re.search(r"q=(\d+)", policy)[1])
            assert tried <= most or 429 in seen, (path, seen, answer.text)
        assert {429} < seen <= {200, 400, 401, 429, 503}, (path, seen, answer.text)
        assert 0 < int(answer.headers["retry-after"]) <= 600
        elsewhere = shop.call("POST", path, json=body, headers=place())
        assert elsewhere.status_code != 429, path


def test_strangers_keep_no_one_out(shop):
    """Not from many networks either: those the user has a session from go on."""
    home, body = place(), {"type": 1, "username": f"u{secrets.token_hex(4)}"}
    right = body | {"password": f"of theirs {secrets.token_hex(4)}"}

    def log_in(sent, where):
        path = "/auth/login-password"
        return shop.call("POST", path, json=sent, headers=where).status_code

    made = shop.call("POST", "/auth/signup", json=right, headers=home)
    assert 200 == made.status_code, made.text
    wrong = body | {"password": "a guess of a stranger"}
    for _ in range(10):
        elsewhere = place()
        assert {401} == {log_in(wrong, elsewhere) for _ in range(10)}

    assert 429 == log_in(right, place())
    assert 200 == log_in(right, home)
    assert 401 == log_in(wrong, home)
    assert 200 == log_in(right, home)
    assert [401] * 10 + [429] == [log_in(wrong, home) for _ in range(11)]


def test_who_makes_up_api_keys_is_refused_before_the_database_is_asked(shop):
    """A key that is known costs no query and goes on, from the same address too."""
    person, here = newcomer(shop), place()
    body = {"name": "report", "route": ["GET /my/profile"]}
    made = shop.call("POST", "/my/api-key-create", person, json=body).json()["message"]

    def ask(key, path="/my/profile"):
        headers = {"authorization": f"Bearer {key}", **here}
        return shop.call("GET", path, headers=headers).status_code

    assert 200 == ask(made)
    assert [401] * (FIND_TIMES - 1) == [ask(made_key()) for _ in range(FIND_TIMES - 1)]
    assert 429 == ask(made_key())
    assert 401 == ask("atom_of_another_form")
    assert (200, 200) == (ask(made), ask(made_key(), "/public/info"))


def test_an_ipv6_caller_is_their_network(shop):
    """A household has 2**64 addresses."""
    body = SENT | {"username": f"u{secrets.token_hex(4)}"}
    body = {name: body[name] for name in ("type", "username", "password")}
    home = secrets.token_hex(2)

    def status(address):
        header = {"x-forwarded-for": f"2001:db8:{home}:{address}"}
        return shop.call(
            "POST", "/auth/login-password", json=body, headers=header
        ).status_code

    assert [401] * 10 == [status(f":{number:x}") for number in range(1, 11)]
    assert 429 == status("0:ffff::1")
    assert 401 == status("1::1")


@pytest.mark.parametrize("name", ["username", "email", "mobile"])
def test_an_answer_does_not_tell_who_is_there(shop, name):
    """Neither its status, words nor headers; for the time: test_auth.py."""
    columns = {"email": f"{secrets.token_hex(6)}@example.com"}
    columns["mobile"] = "+49151" + str(secrets.randbelow(10**8)).zfill(8)
    person = newcomer(shop, **columns)
    known = columns | {"username": person.username}
    way = "" if name == "username" else f"-{name}"

    def ask(value):
        body = {"type": 1, name: value, "password": "wrong password"}
        answer = shop.call(
            "POST", f"/auth/login-password{way}", json=body, headers=place()
        )
        told = {k: v for k, v in answer.json().items() if k != "request_id"}
        plain = {
            k: v for k, v in answer.headers.items() if k not in ("date", "x-request-id")
        }
        return answer.status_code, told, plain

    assert 401 == ask(known[name])[0]
    assert ask(known[name]) == ask(SENT[name])


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (PAGE, 101),
        (None, 101),
        ("https://evil.example", 403),
        ("https://shop.example.evil.example", 403),
        ("http://shop.example", 403),
        ("https://shop.example:444", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_a_page_of_another_site_opens_no_websocket(shop, origin, status):
    url = shop.url.replace("http", "ws") + "/echo"
    if status == 101:
        with connect(url, origin=origin) as socket:
            assert "hello" == socket.recv(10)
        return
    with pytest.raises(InvalidStatus) as refused, connect(url, origin=origin):
        pass
    assert status == refused.value.response.status_code
    assert "origin.refused" == json.loads(refused.value.response.body)["code"]


def test_a_page_of_the_server_itself_opens_a_websocket(shop):
    url = shop.url.replace("http", "ws") + "/echo"
    with connect(url, origin=shop.url) as socket:
        assert "hello" == socket.recv(10)


@pytest.mark.parametrize("char", ["[", '{"a":'])
def test_a_body_that_is_nested_without_end_is_refused(shop, char):
    body = char * 100_000
    headers = {"content-type": "application/json", **place()}
    for path in ("/auth/signup", "/public/object-create?table=test"):
        answer = shop.call("POST", path, content=body, headers=headers)
        assert answer.status_code in (400, 422), answer.text


def test_a_machine_of_development_is_not_bound_to_https(shop):
    answer = shop.call("GET", "/", headers={"x-forwarded-proto": "https"})
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/public/object-read?table=test", "/nowhere"])
def test_a_method_that_no_route_has_is_refused(shop, method, path):
    answer = shop.call(method, path)
    assert (404 if path == "/nowhere" else 405) == answer.status_code


def test_an_answer_does_not_name_the_server(shop):
    """Neither what it is made with nor its version."""
    for path in ("/", "/nowhere", "/my/profile"):
        names = {*shop.call("GET", path).headers}
        assert not {"server", "x-powered-by", "via"} & names


@pytest.mark.parametrize(
    "query", ["table=test&table=users", "table=test&limit=1&limit=2"]
)
def test_a_parameter_that_is_given_twice_is_refused(shop, query):
    assert 400 == shop.call("GET", f"/public/object-read?{query}").status_code
