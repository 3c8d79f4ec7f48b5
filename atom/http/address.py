"""The address of the client, and what trusted proxies report of its request."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

PORTED = re.compile(r"\[([^\]]*)\](?::\d*)?|([^:]*):\d*")
HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
FORWARDED = frozenset(
    {
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
    }
)


class Client(NamedTuple):
    """The client as the nearest trusted proxies report it; "" where they do not."""

    address: str
    scheme: str = ""
    host: str = ""
    prefix: str = ""


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


@lru_cache(maxsize=4096)
def plain(hop: str) -> str:
    """Return an address without port, IPv4 unmapped: some proxies add both.

    >>> plain("192.0.2.1:4711"), plain("[2001:db8::1]:443"), plain("::ffff:192.0.2.1")
    ('192.0.2.1', '2001:db8::1', '192.0.2.1')
    """
    if found := PORTED.fullmatch(hop):
        hop = found[1] or found[2] or hop
    return hop.removeprefix("::ffff:")[:64] if "." in hop else hop[:64]


@lru_cache(4096)
def network(address: str) -> str:
    """Return the part that one client cannot change at will: IPv6 is assigned by /64.

    >>> network("2001:db8::1") == network("2001:db8::2")
    True
    >>> network("::ffff:192.0.2.1")
    '192.0.2.1'
    """
    try:
        read = ip_address(address)
    except ValueError:
        return address
    if not isinstance(read, IPv6Address):
        return str(read)
    if read.ipv4_mapped:
        return str(read.ipv4_mapped)
    return str(IPv6Address(int(read) >> 64 << 64))


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Return the values of a header, of all its lines and lists, in order."""
    found = b",".join(value for each, value in headers if each == name)
    parts = (part.strip() for part in found.decode("latin-1").split(","))
    return [part for part in parts if part]


def address_behind(direct: str, hops: list[str], proxies: tuple[str, ...]) -> str:
    """Return the address of the client, through trusted proxies alone.

    >>> address_behind("10.0.0.9", ["6.6.6.6", "1.2.3.4"], ("10.0.0.0/8",))
    '1.2.3.4'
    >>> address_behind("8.8.8.8", ["1.2.3.4"], ("10.0.0.0/8",))
    '8.8.8.8'
    """
    left, seen = list(hops), plain(direct)
    while left and trusted(seen, proxies):
        seen = plain(left.pop())
    return seen


def reported_client(
    direct: str, forwarded: Iterable[tuple[bytes, bytes]], proxies: tuple[str, ...]
) -> Client:
    """Return the client of a request that came with `X-Forwarded-…` headers.

    Unless `direct` is a trusted proxy, none of them counts. Of a list the last entry
    counts, written by the proxy nearest to the server.
    """
    if not trusted(plain(direct), proxies):
        return Client(plain(direct))
    lines = tuple(forwarded)
    schemes = _values(lines, b"x-forwarded-proto")
    hosts = _values(lines, b"x-forwarded-host")
    prefixes = _values(lines, b"x-forwarded-prefix")
    scheme = schemes[-1].lower() if schemes else ""
    host = hosts[-1] if hosts else ""
    prefix = prefixes[-1].rstrip("/") if prefixes else ""
    return Client(
        address_behind(direct, _values(lines, b"x-forwarded-for"), proxies),
        scheme if scheme in {"http", "https"} else "",
        host if HOST.fullmatch(host) else "",
        prefix if PREFIX.fullmatch(prefix) else "",
    )
