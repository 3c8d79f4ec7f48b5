"""`config_cors_origin_list`, for WebSockets: which pages may open one.

CORS does not hold for a WebSocket: a browser opens one to any server, and what only
reports the page is the header Origin. Source: RFC 6455 section 10.2.
"""

from collections.abc import Coroutine
from typing import Any

from atom.errors import Forbidden
from atom.http.cookie import own_origins
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
        if not origins <= {*allowed} | own_origins(headers, origins):
            raise Forbidden(
                "origin refused",
                code="origin.refused",
                hint="Add the origin of the page to config_cors_origin_list.",
            )
    return proceed(exchange)


STEP = Step(
    check_origin,
    "the page of a browser may open a WebSocket",
    codes=("origin.refused",),
    applies=lambda policy: policy.name.startswith("* "),  # WebSockets and mounts
    refuses=lambda policy: False,  # OpenAPI has no WebSockets
    websocket=True,
)
