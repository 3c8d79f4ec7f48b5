"""`is_token`: the user of the request. A token is read where sent, required by tier."""

import time
from collections.abc import Coroutine
from hmac import compare_digest
from typing import Any
from urllib.parse import parse_qs

from atom.account import api_key, session
from atom.account.token import invalid
from atom.errors import (
    ApiError,
    Forbidden,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from atom.http import cookie
from atom.http.docs_pass import DOCS, LOGIN, PAGES, DocsPass, sent
from atom.http.exchange import Exchange
from atom.http.policy import Key, RoutePolicy, flag
from atom.http.route import Route
from atom.http.step import Caller, Check, Proceed, Step

IS_TOKEN: Key[bool] = Key(
    "is_token",
    "token_required",
    flag,
    False,
    form="0 or 1",
    help="A valid user token is needed. Always so on `/my`, `/private` and `/admin`.",
    example=1,
)

IS_API_KEY: Key[bool] = Key(
    "is_api_key",
    "api_key_allowed",
    flag,
    True,
    form="0 or 1, default 1",
    help="Whether API keys of users open the route, if they were made for it. 0: it "
    "needs the user themself.",
    example=0,
)


def bearer(header: bytes) -> str:
    """Return the token of an Authorization header. Source: RFC 6750 section 2.1.

    >>> bearer(b"bearer abc")
    'abc'
    >>> bearer(b"Basic abc")
    ''
    """
    scheme, _, token = header.decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def handshake_token(exchange: Exchange) -> str:
    """Return the token of a WebSocket, which a browser can only send in the URL."""
    if exchange.scope["type"] != "websocket":
        return ""
    return parse_qs(exchange.query).get("token", [""])[0]


def authenticate(exchange: Exchange, proceed: Proceed) -> Coroutine[Any, Any, None]:
    """Put the verified user on the exchange, or refuse the caller."""
    policy = exchange.policy
    if (
        exchange.authorization
        or policy.token_required
        or policy.tier == "root"
        or exchange.scope["type"] == "websocket"
        or (exchange.has_cookie and exchange.ports.account.is_token_cookie)
    ):
        return _verify(exchange, proceed)
    return proceed(exchange)


async def _verify(exchange: Exchange, proceed: Proceed) -> None:
    policy, ports = exchange.policy, exchange.ports
    if (claims := exchange.claims) is not None:  # of a WebSocket that is open
        state = await ports.users.state(claims.subject)
        if state is None or not session.is_alive(state, claims):
            state = await session.look_again(ports, state, claims)
        exchange.state = state
        _follow(exchange)
        return await proceed(exchange)
    token = bearer(exchange.authorization) if exchange.authorization else ""
    if policy.tier == "root":
        if not _has_docs_pass(exchange):
            _require_root(token, ports.key_root)
        return await proceed(exchange)
    token = token or handshake_token(exchange)
    by_cookie = not token and _may_come_by_cookie(exchange)
    if by_cookie:
        token = cookie.sent(exchange.scope["headers"], cookie.ACCESS)
    if not token:
        if policy.token_required:
            raise Unauthenticated(
                "token missing",
                code="token.missing",
                hint="Log in, and send the header Authorization: Bearer <token>.",
            )
        return await proceed(exchange)
    key = None
    try:
        if token.startswith(api_key.PREFIX):
            key = await _key(exchange, token)
            claims = key.claims
        else:
            claims = ports.tokens.decode(token, int(time.time()))
        if by_cookie:
            _require_own_page(exchange)
        state = await ports.users.state(claims.subject)
        if state is None or not session.is_alive(state, claims):
            state = await session.look_again(ports, state, claims)
        if key is not None:
            _require_opened(exchange, key)
        exchange.state = state
    except (Unauthenticated, Forbidden, RateLimited, Unavailable):
        if policy.token_required:
            raise
        return await proceed(exchange)
    if key is not None:
        exchange.user.update(api_key.user_of(claims, state))
        exchange.scope["state"]["api_key"] = key
        ports.api_keys.note_use(key)
    else:
        exchange.user.update(claims.user, id=claims.subject)
        if state.claims:
            exchange.user.update(state.claims)
    if by_cookie:
        exchange.scope["state"]["by_cookie"] = True
        exchange.is_cookie_ours = cookie.is_ours_alone(exchange.scope["headers"])
    exchange.claims = claims
    exchange.scope["state"]["session"] = claims.session
    await proceed(exchange)


def _may_come_by_cookie(exchange: Exchange) -> bool:
    """Whether a cookie counts. One next to any Authorization does not."""
    has = exchange.has_cookie and not exchange.authorization
    return has and exchange.ports.account.is_token_cookie


def _require_own_page(exchange: Exchange) -> None:
    """Refuse the page of another site.

    Raises:
        Forbidden: `csrf.refused`.
    """
    listed = exchange.ports.http.cors_origin_list
    reads = exchange.method in cookie.READS
    cookie.require_own_page(exchange.scope["headers"], listed, reads=reads)


async def _key(exchange: Exchange, text: str) -> api_key.ApiKey:
    """Return the API key of a request; in a URL, where it would be kept, none is taken.

    Raises:
        Unauthenticated: `token.invalid`, `token.expired`.
        RateLimited: as `ApiKeys.find`.
    """
    if not exchange.authorization:
        raise invalid()
    return await exchange.ports.api_keys.find(text, exchange.caller)


def _require_opened(exchange: Exchange, key: api_key.ApiKey) -> None:
    """Refuse a key where the user themself is needed, and on routes of others.

    Raises:
        Forbidden: `key.refused`, `key.route`.
    """
    if not IS_API_KEY.of(exchange.policy):
        raise key_refused()
    require_route(key, exchange.method, exchange.matched.route)


def key_refused() -> Forbidden:
    """Return the error of a key where the user themself is needed."""
    return Forbidden(
        "an API key does not open this",
        code="key.refused",
        hint="Log in, and send an access token.",
    )


def require_route(key: api_key.ApiKey, method: str, route: Route | None) -> None:
    """Refuse a key that was not made for a route.

    Raises:
        Forbidden: `key.route`.
    """
    verb = "GET" if method in ("HEAD", "WEBSOCKET") else method
    if route is None or f"{verb} {route.path}" not in key.routes:
        raise Forbidden(
            "the API key is not for this route",
            code="key.route",
            hint="Make one with this path and verb in its list `route`.",
        )


def _has_docs_pass(exchange: Exchange) -> bool:
    """Return whether a browser may read the documentation.

    Raises:
        ApiError: with the page on which a person types the root key.
    """
    route, key = exchange.matched.route, exchange.ports.key_root
    if exchange.authorization or route is None or route.path not in DOCS:
        return False
    headers = exchange.scope["headers"]
    if DocsPass(key).is_valid(sent(headers), int(time.time())):
        return True
    accepted = b",".join(value for name, value in headers if name == b"accept")
    if route.path in PAGES and b"text/html" in accepted:
        raise ApiError(
            "Log in to read the documentation.",
            code="page.login",
            status=303,
            headers={"location": exchange.scope.get("root_path", "") + LOGIN},
        )
    return False


def _require_root(token: str, key: str) -> None:
    if len(key) < 16 or not compare_digest(token.encode(), key.encode()):
        raise Unauthenticated(
            "token root mismatch",
            code="token.root_mismatch",
            hint="Send config_key_root as the header Authorization: Bearer <key>.",
        )


def _follow(exchange: Exchange) -> None:
    """Have what is open go on with the claims of now, streams read again."""
    assert exchange.state is not None
    user, claims = exchange.user, exchange.state.claims
    if "api_key" in exchange.scope["state"]:
        assert exchange.claims is not None
        claims = api_key.user_of(exchange.claims, exchange.state)
    if any(user.get(name) != value for name, value in claims.items()):
        user.update(claims)
        exchange.ports.feed.refit(user["id"])


def _explain(policy: RoutePolicy, caller: Caller) -> Check:
    if not policy.token_required:
        return Check("token", "not needed")
    missing = "token missing" if caller.is_anonymous else "no such user"
    return Check("token", "needed", missing if caller.user is None else "")


STEP = Step(
    authenticate,
    "the root key, or a valid user token",
    keys=(IS_TOKEN, IS_API_KEY),
    codes=(
        "token.missing",
        "token.invalid",
        "token.expired",
        "token.revoked",
        "key.route",
        "key.refused",
        "csrf.refused",
        "token.root_mismatch",
    ),
    refuses=lambda policy: policy.token_required or policy.tier == "root",
    explain=_explain,
    guards=True,
    websocket=True,
)
