"""Reads the headers once: request id and client address."""

import re
from functools import lru_cache
from ipaddress import ip_address, ip_network
from random import getrandbits

from atom.http.exchange import Exchange
from atom.http.step import Proceed, Step
from atom.observe.request_context import REQUEST_ID

PORTED = re.compile(r"\[([^\]]*)\](?::\d*)?|([^:]*):\d*")
ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch


@lru_cache(maxsize=4096)
def trusted(address: str, proxies: tuple[str, ...]) -> bool:
    """Whether an address is one of the trusted proxies."""
    try:
        host = ip_address(address)
    except ValueError:
        return address in proxies
    for proxy in proxies:
        try:
            if host in ip_network(proxy, strict=False):
                return True
        except ValueError:
            continue
    return False


def address_behind(direct: str, forwarded: str, proxies: tuple[str, ...]) -> str:
    """Return the address of the client, through trusted proxies alone.

    >>> address_behind("10.0.0.9", "6.6.6.6, 1.2.3.4", ("10.0.0.0/8",))
    '1.2.3.4'
    >>> address_behind("8.8.8.8", "1.2.3.4", ("10.0.0.0/8",))
    '8.8.8.8'
    """
    hops = [part.strip() for part in forwarded.split(",") if part.strip()]
    seen = plain(direct)
    while hops and trusted(seen, proxies):
        seen = plain(hops.pop())
    return seen


@lru_cache(maxsize=4096)
def plain(hop: str) -> str:
    """Return an address without port, IPv4 unmapped: some proxies add both.

    >>> plain("192.0.2.1:4711"), plain("[2001:db8::1]:443"), plain("::ffff:192.0.2.1")
    ('192.0.2.1', '2001:db8::1', '192.0.2.1')
    """
    if found := PORTED.fullmatch(hop):
        hop = found[1] or found[2] or hop
    return hop.removeprefix("::ffff:")[:64] if "." in hop else hop[:64]


async def open_context(exchange: Exchange, proceed: Proceed) -> None:
    """Give the request its id, and note the headers that later steps read."""
    scope = exchange.scope
    forwarded: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"authorization":
            # Two of them are one field with a comma (RFC 9110 section 5.3) and not a
            # token: a proxy in front may have checked the other one.
            before = exchange.authorization
            exchange.authorization = before + b", " + value if before else value
        elif name == b"content-length":
            exchange.content_length = value
        elif name == b"transfer-encoding":
            exchange.chunked = True
        elif name == b"x-request-id" and ACCEPTED(value):
            exchange.request_id = value.decode()
        elif name == b"x-forwarded-for":
            forwarded.append(value)
    if not exchange.request_id:
        exchange.request_id = f"{getrandbits(64):016x}"  # not a secret
    client = scope.get("client")
    address = client[0] if client else "unknown"
    if forwarded and (proxies := exchange.ports.config["config_trusted_proxy_list"]):
        chain = b",".join(forwarded).decode("latin-1")
        address = address_behind(address, chain, proxies)
    exchange.address = address
    scope["state"] = state = scope.get("state") or {}
    state["user"] = exchange.user
    state["request_id"] = exchange.request_id
    state["client_address"] = address
    token = REQUEST_ID.set(exchange.request_id)
    try:
        await proceed(exchange)
    finally:
        REQUEST_ID.reset(token)


STEP = Step(open_context, "request id, client address", websocket=True)
