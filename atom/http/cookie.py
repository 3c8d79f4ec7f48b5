"""Tokens in cookies, for pages of browsers: `config_is_token_cookie`.

A browser sends a cookie for whichever page asks, so a request that comes by one has to
be from a page of this server, or from a listed origin. The browser reports the page in
`Sec-Fetch-Site` and `Origin`, which no page can set (OWASP, Cross-Site Request Forgery
Prevention Cheat Sheet, Fetch Metadata).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from atom.errors import Forbidden, Unauthenticated

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from atom.account.config import AccountConfig

# The prefixes bind a cookie to this host, and to https (RFC 6265bis, 4.1.3).
ACCESS, REFRESH = "__Host-atom_token", "__Secure-atom_refresh"
REFRESHES = "/auth/token-refresh"  # the one path that is sent REFRESH
READS = frozenset({"GET", "HEAD"})

Headers = Sequence[tuple[bytes, bytes]]


def _pairs(headers: Headers) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if name == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                key, _, text = pair.strip().partition("=")
                yield key, text


def sent(headers: Headers, name: str) -> str:
    """Return a cookie of a request; "" without one, or with two of the name.

    >>> sent([(b"cookie", b"a=1; __Host-atom_token=x.y.z")], ACCESS)
    'x.y.z'
    >>> sent([(b"cookie", b"b=1; b=2")], "b")
    ''
    """
    found = [text for key, text in _pairs(headers) if key == name]
    return found[0] if len(found) == 1 else ""


def is_ours_alone(headers: Headers) -> bool:
    """Whether every cookie of a request is one of these, which Atom verifies."""
    return all(key in (ACCESS, REFRESH) for key, _ in _pairs(headers))


def own_origins(headers: Headers, origins: Iterable[str]) -> set[str]:
    """Return which origins are those of the server itself, as the caller reaches it.

    >>> own = own_origins([(b"host", b"a.example:80")], {"http://a.example:80", "null"})
    >>> own == {"http://a.example:80"}
    True
    >>> own_origins([(b"host", b"a.example"), (b"host", b"b.example")], {"http://b.example"})
    set()
    """
    hosts = {
        value.decode("latin-1").lower() for key, value in headers if key == b"host"
    }
    if len(hosts) != 1:
        return set()
    return {each for each in origins if urlsplit(each).netloc.lower() in hosts}


def require_own_page(headers: Headers, listed: Iterable[str], *, reads: bool) -> None:
    """Refuse the page of a site that may not use the cookies of its visitors.

    One that only `reads` may come without either header: from the address bar, or from
    a browser that does not send them.

    Raises:
        Forbidden: `csrf.refused`.
    """
    sites = {value for key, value in headers if key == b"sec-fetch-site"}
    if sites == {b"same-origin"}:
        return
    origins = {value.decode("latin-1") for key, value in headers if key == b"origin"}
    if origins:
        if origins <= {*listed} | own_origins(headers, origins):
            return
    elif reads and sites <= {b"none"}:
        return
    raise Forbidden(
        "the page of another site",
        code="csrf.refused",
        hint="Add its origin to config_cors_origin_list, or send an access token.",
    )


def refresh_token(request: Request) -> str:
    """Return the refresh token of a request that comes by cookie.

    Raises:
        Unauthenticated: `token.missing`.
        Forbidden: `csrf.refused`.
    """
    headers, ports = request.scope["headers"], request.app.state.ports
    found = sent(headers, REFRESH) if ports.account.is_token_cookie else ""
    if not found:
        raise Unauthenticated("token missing", code="token.missing")
    require_own_page(headers, ports.http.cors_origin_list, reads=False)
    return found


def is_by_cookie(request: Request) -> bool:
    """Whether the caller of a route came by a cookie."""
    return "by_cookie" in request.scope["state"]


def keep_access(answer: Response, token: str, seconds: int) -> None:
    """Have the browser keep an access token, out of reach of its pages."""
    _set(answer, ACCESS, token, seconds, "/")


def keep_refresh(
    answer: Response, request: Request, token: str, config: AccountConfig
) -> None:
    """Have the browser keep a refresh token, for the one path that takes it."""
    _set(answer, REFRESH, token, config.token_refresh_expire_sec, _path(request))


def clear(answer: Response, request: Request) -> Response:
    """Have the browser of a caller who came by a cookie forget its tokens."""
    if is_by_cookie(request):
        _set(answer, ACCESS, "", 0, "/")
        _set(answer, REFRESH, "", 0, _path(request))
    return answer


def _path(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root + REFRESHES


def _set(answer: Response, name: str, value: str, seconds: int, path: str) -> None:
    answer.set_cookie(
        name,
        value,
        max_age=seconds,
        path=path,
        secure=True,
        httponly=True,
        samesite="lax",
    )
    answer.headers["cache-control"] = "no-store"
