"""Reads the headers once: request id and client address."""

from __future__ import annotations

import re
from collections.abc import Coroutine
from random import getrandbits
from typing import TYPE_CHECKING, Any

from atom.config.resolve import is_production
from atom.http.address import FORWARDED, reported_client
from atom.http.exchange import Exchange
from atom.http.step import Proceed, Step
from atom.observe.request_context import ADDRESS, CALLER, REQUEST_ID, TRACEPARENT

if TYPE_CHECKING:
    from starlette.types import Scope

    from atom.http.address import Client

TRACED = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
NOTED = FORWARDED | {
    b"accept-encoding",
    b"authorization",
    b"content-length",
    b"cookie",
    b"traceparent",
    b"transfer-encoding",
    b"x-request-id",
}


def open_context(exchange: Exchange, proceed: Proceed) -> Coroutine[Any, Any, None]:
    """Set the id of the request, and note the headers that later steps read.

    A server answers each request in a task of its own, with which the id ends.
    """
    scope = exchange.scope
    forwarded: list[tuple[bytes, bytes]] = []
    for name, value in scope["headers"]:
        if name not in NOTED:
            continue
        if name == b"authorization":
            # Two of them are one field with a comma (RFC 9110 section 5.3) and not a
            # token: a proxy in front may have checked the other one.
            before = exchange.authorization
            exchange.authorization = before + b", " + value if before else value
        elif name == b"accept-encoding":
            exchange.accept_encoding = value
        elif name == b"content-length":
            exchange.content_length = value
        elif name == b"cookie":
            exchange.has_cookie = True
        elif name == b"transfer-encoding":
            exchange.chunked = True
        elif name == b"traceparent":
            if TRACED(value):
                TRACEPARENT.set(value.decode())
        elif name == b"x-request-id":
            if ACCEPTED(value):
                exchange.request_id = value.decode()
        else:
            forwarded.append((name, value))
    if not exchange.request_id:
        exchange.request_id = f"{getrandbits(64):016x}"  # not a secret
    client = scope.get("client")
    address = client[0] if client else "unknown"
    if forwarded and (proxies := exchange.ports.http.trusted_proxy_list):
        found = reported_client(address, forwarded, proxies)
        _adopt(scope, found, address)
        address = found.address
        if found.scheme == "https":
            _keep_secure(exchange)
    exchange.address = address
    scope["state"] = state = scope.get("state") or {}
    state["user"] = exchange.user
    state["request_id"] = exchange.request_id
    state["client_address"] = address
    REQUEST_ID.set(exchange.request_id)
    CALLER.set(exchange.user)
    ADDRESS.set(address)
    return proceed(exchange)


def _keep_secure(exchange: Exchange) -> None:
    """Have the browser stay with https. Source: RFC 6797 section 6.1."""
    http = exchange.ports.http
    if http.hsts_sec and is_production(http.env):
        value = f"max-age={http.hsts_sec}".encode()
        exchange.extra_headers.append((b"strict-transport-security", value))


def _adopt(scope: Scope, client: Client, direct: str) -> None:
    """Make the request look like the one the client sent to the proxy.

    The policy of the route is not touched by it: the route was matched before.
    """
    if client.address != direct:
        scope["client"] = client.address, 0
    if client.scheme:
        is_socket = scope["type"] == "websocket"
        scope["scheme"] = client.scheme.replace("http", "ws" if is_socket else "http")
    if client.host:
        others = [line for line in scope["headers"] if line[0] != b"host"]
        scope["headers"] = [(b"host", client.host.encode()), *others]
    if client.prefix:
        scope["root_path"] = client.prefix + scope.get("root_path", "")
        scope["path"] = client.prefix + scope["path"]


STEP = Step(open_context, "request id, client address", websocket=True)
