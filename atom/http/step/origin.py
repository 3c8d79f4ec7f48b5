"""`config_cors_origin_list`, for WebSockets: which pages may open one.

CORS does not hold for a WebSocket: a browser opens one to any server, and what only
reports the page is the header Origin. Source: RFC 6455 section 10.2.
"""

from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from atom.errors import Forbidden
from atom.http.exchange import Exchange
from atom.http.step import Proceed, Step

ANY = "*"


def check_origin(exchange: Exchange, proceed: Proceed) -> Coroutine[Any, Any, None]:
    """Refuse the page of a site that may not call this server."""
    allowed = exchange.ports.http.cors_origin_list
    if ANY not in allowed and exchange.scope["type"] == "websocket":
        headers = exchange.scope["headers"]
        origins = {
            value.decode("latin-1") for key, value in headers if key == b"origin"
        }
        if not origins <= {*allowed} | _own(headers, origins):
            raise Forbidden(
                "origin refused",
                code="origin.refused",
                hint="Add the origin of the page to config_cors_origin_list.",
            )
    return proceed(exchange)


def _own(headers: list[tuple[bytes, bytes]], origins: set[str]) -> set[str]:
    """Return which origins are those of the server itself, as the caller reaches it.

    >>> own = _own([(b"host", b"a.example:80")], {"http://a.example:80", "null"})
    >>> own == {"http://a.example:80"}
    True
    """
    hosts = {
        value.decode("latin-1").lower() for key, value in headers if key == b"host"
    }
    if len(hosts) != 1:
        return set()
    return {each for each in origins if urlsplit(each).netloc.lower() in hosts}


STEP = Step(
    check_origin,
    "the page of a browser may open a WebSocket",
    codes=("origin.refused",),
    applies=lambda policy: policy.name.startswith("* "),  # WebSockets and mounts
    refuses=lambda policy: False,  # OpenAPI has no WebSockets
    websocket=True,
)
