"""What a stranger meets: the wire, the tiers, the doors that stay shut."""

import base64
import json
import time

import httpx2
import jwt
import pytest

SHAPE = {"status", "message", "code", "hint", "request_id"}


def test_front_door_says_who_we_are(api):
    """GET / is exactly the four fields of the contract."""
    answer = api.call("GET", "/")

    assert {
        "status": "ok",
        "name": "atom",
        "version": "0.1.0",
        "env": "development",
    } == answer.json()


def forged(api):
    """Return tokens that must not be believed."""
    key = api.config["config_key_jwt"]
    now = int(time.time())
    good = {
        "exp": now + 60,
        "iat": now,
        "jti": "x",
        "sub": "1",
        "type": "access",
        "sid": "s",
        "ver": 0,
        "data": {"id": 1, "is_active": 1, "api_access": "1,2,3,4,5,6,8"},
    }
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=")
    payload = base64.urlsafe_b64encode(json.dumps(good).encode()).rstrip(b"=")
    return {
        "alg none": (none + b"." + payload + b".").decode(),
        "other key": jwt.encode(good, "x" * 32, algorithm="HS256"),
        "other algorithm": jwt.encode(good, key, algorithm="HS512"),
        "refresh as access": jwt.encode(good | {"type": "refresh"}, key),
        "no exp": jwt.encode({k: v for k, v in good.items() if k != "exp"}, key),
        "expired": jwt.encode(good | {"exp": now - 1}, key),
        "garbage": "garbage",
        "huge": "a" * 9000,
    }


@pytest.mark.parametrize(
    "kind",
    [
        "alg none",
        "other key",
        "other algorithm",
        "refresh as access",
        "no exp",
        "expired",
        "garbage",
        "huge",
    ],
)
def test_forged_token_opens_nothing(api, kind):
    """Whatever a token claims, it must be ours, of its kind, and in time."""
    headers = {"Authorization": f"Bearer {forged(api)[kind]}"}
    for path in ("/my/profile", "/admin/object-read?table=users"):
        answer = api.call("GET", path, headers=headers)

        assert 401 == answer.status_code, answer.text
        assert answer.json()["message"] in {"token invalid", "token expired"}


REFUSED = [
    ("GET", "/nope", None, 404, "route.unknown"),
    ("GET", "/my/nope", None, 404, "route.unknown"),
    ("DELETE", "/", None, 405, "route.method"),
    ("GET", "/my/profile", None, 401, "token.missing"),
    ("GET", "/admin/object-read?table=users", None, 401, "token.missing"),
    ("GET", "/root/postgres-init", None, 401, "token.root_mismatch"),
    ("GET", "/root/reset-global", None, 401, "token.root_mismatch"),
    ("GET", "//root/reset-global", None, 404, "route.unknown"),
    ("GET", "/%72oot/reset-global", None, 401, "token.root_mismatch"),
    ("GET", "/public/object-read?table=test&limit=abc", None, 400, ""),
    ("GET", "/public/object-read?table=test&page=0", None, 400, ""),
    ("GET", "/public/object-read?table=test&limit=-1", None, 400, ""),
    ("GET", "/public/object-read", None, 400, ""),
    ("POST", "/auth/signup", None, 422, "request.invalid"),
    ("GET", "/public/info?is_background=1", None, 400, "background.not_allowed"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"), REFUSED, ids=lambda v: str(v)[:40]
)
def test_refusal_has_its_status_and_the_one_shape(
    api, method, path, body, status, code
):
    """Every error of every route looks alike and tells no internals."""
    answer = api.call(method, path, content=body)
    told = answer.json()

    assert status == answer.status_code, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert told.keys() >= SHAPE
    assert 0 == told["status"]
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["code"] == code or not code
    assert "Expecting value" not in answer.text
    assert "Traceback" not in answer.text


def test_traversal_is_not_a_way_in(api):
    """A path is what the router sees, dots and all."""
    raw = httpx2.URL(api.url + "/root/../root/reset-global")
    answer = api.http.request("GET", raw)

    assert answer.status_code in {401, 404}


@pytest.mark.parametrize(
    "host", ["a/?", "x/public/info?", "localhost#", "127.0.0.1/auth/", "evil.example"]
)
@pytest.mark.parametrize(
    "path", ["/admin/object-read?table=users", "/my/profile", "/root/reset-global"]
)
def test_forged_host_opens_nothing(api, host, path):
    """Policy comes from the matched route, never from a URL built of headers."""
    answer = api.call("GET", path, headers={"Host": host})

    assert answer.status_code in {400, 401}


def test_bad_token_does_not_break_a_public_route(api):
    """Somebody with a stale token is a stranger, not an error."""
    headers = {"Authorization": "Bearer garbage"}

    assert 200 == api.call("GET", "/public/info", headers=headers).status_code


def test_scheme_is_read_in_any_case(api, ada):
    """RFC 9110 section 11.1: the scheme is case-insensitive."""
    for scheme in ("bearer", "BEARER", "Bearer"):
        headers = {"Authorization": f"{scheme} {ada.token}"}
        assert 200 == api.call("GET", "/my/profile", headers=headers).status_code


def test_request_id_is_kept_or_made(api):
    """A well-formed one comes back; anything else is replaced."""
    kept = api.call("GET", "/", headers={"x-request-id": "abc-1"})
    made = api.call("GET", "/", headers={"x-request-id": "a b"})

    assert "abc-1" == kept.headers["x-request-id"]
    assert "a b" != made.headers["x-request-id"]
    assert "nosniff" == made.headers["x-content-type-options"]


@pytest.mark.parametrize("path", ["/my/profile", "/root/reset-global", "/", "/admin/x"])
def test_preflight_works_on_every_tier(api, path):
    """A browser may ask before it has a token."""
    headers = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = api.call("OPTIONS", path, headers=headers)

    assert 200 == answer.status_code
    assert answer.headers["access-control-allow-origin"]


def test_errors_carry_cors_headers(api):
    """A browser may read why it was refused."""
    headers = {"Origin": "https://app.example"}
    answer = api.call("GET", "/my/profile", headers=headers)

    assert 401 == answer.status_code
    assert "*" == answer.headers["access-control-allow-origin"]


BODIES = {
    "large": (b"x" * 10_000_000, "application/json", {413}),
    "deep": (b"[" * 100_000, "application/json", {400, 422}),
    "nul": (b'{"title":"a\\u0000b"}', "application/json", {400, 422}),
    "not json": (b"{", "application/json", {400, 422}),
    "not utf-8": (b'{"title":"\xff"}', "application/json", {400, 422}),
    "a number": (b"5", "application/json", {400, 422}),
    "huge number": (b'{"type":1e400}', "application/json", {400, 422}),
    "empty": (b"", "application/json", {400, 422}),
    "form": (b"title=a", "application/x-www-form-urlencoded", {400, 415, 422}),
}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize(
    "path", ["/public/object-create?table=test", "/auth/signup", "/auth/login-password"]
)
def test_odd_body_is_told_never_a_fault(api, kind, path):
    """No body makes a 500."""
    content, media_type, statuses = BODIES[kind]
    answer = api.call(
        "POST", path, content=content, headers={"Content-Type": media_type}
    )

    assert answer.status_code in statuses, answer.text
    assert answer.json().keys() >= SHAPE


def test_huge_query_is_told(api):
    """A query of sixty thousand bytes is refused, not a fault."""
    answer = api.call("GET", "/public/object-read?table=test&title==," + "a" * 60_000)

    assert answer.status_code < 500


def test_explain_names_the_rule_that_refuses(api, ada, admin):
    """One answer says why this user may or may not call this route."""
    where = "/root/explain?path=/admin/object-read&method=GET&user_id="
    denied = api.message("GET", f"{where}{ada.id}", "root")
    allowed = api.message("GET", f"{where}{admin.id}", "root")

    assert ("access", False) == (denied["refused_by"], denied["allowed"])
    assert allowed["allowed"]


def test_explain_lists_every_route(api):
    """Without a path: each route with its policy."""
    names = [row["name"] for row in api.message("GET", "/root/explain", "root")]

    assert "GET /my/object-read" in names
    assert "GET /" in names
