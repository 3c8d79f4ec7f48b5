"""Webhooks: a signed POST to an endpoint, by Standard Webhooks.

The name of a host is resolved once for each request and the request goes to the address
that was checked, so that no answer of a name server leads it into a private network.
Redirects are not followed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from atom.event.declaration import Endpoint
from atom.event.outbox import Claimed
from atom.event.relay import Refused
from atom.event.signature import signed_headers

AGENT = "Atom-Webhooks/1"
GONE = 410  # the receiver wants no more of it
SHOWN = 300  # bytes of an answer that are kept with the error
NAT64 = ip_network("64:ff9b::/96")
Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class NotDelivered(Exception):
    """An endpoint that did not take an event."""


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet, whatever it is wrapped in.

    >>> is_public(ip_address("::ffff:10.0.0.1")), is_public(ip_address("1.1.1.1"))
    (False, True)
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host."""
    from socket import SOCK_STREAM

    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class WebhookTarget:
    """One endpoint."""

    def __init__(
        self, endpoint: Endpoint, *, resolve: Resolve = resolve, verify: Any = True
    ) -> None:
        from httpx2 import AsyncClient, Limits, Timeout

        self._endpoint = endpoint
        self._resolve = resolve
        self._http = AsyncClient(
            verify=verify,  # or an SSL context
            timeout=Timeout(endpoint.timeout),
            limits=Limits(max_connections=16, max_keepalive_connections=4),
            follow_redirects=False,
            trust_env=False,  # a proxy would resolve the name again
        )

    async def deliver(self, claimed: Claimed) -> None:
        """Send an event; any answer but 2xx is a failure.

        Raises:
            Refused: for a private address, and 410.
            NotDelivered: for anything else.
        """
        body, event = claimed.event.as_json(), claimed.event
        now = int(time.time())
        headers = signed_headers(self._endpoint.secret, event.event_id, now, body)
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                status, shown = await self._post(body, headers)
        except TimeoutError:
            seconds = f"{self._endpoint.timeout:g}"
            raise NotDelivered(f"no answer in {seconds} s") from None
        if 200 <= status < 300:
            return
        if status == GONE:
            raise Refused("the endpoint answers 410: it takes no more events")
        raise NotDelivered(f"the endpoint answers {status}: {shown}".rstrip(": "))

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        from httpx2 import ConnectError, HTTPError

        parts = urlsplit(self._endpoint.url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        headers = {**headers, "host": parts.netloc, "user-agent": AGENT}
        last: Exception | None = None
        for address in await self._addresses(host, port):
            place = f"[{address}]" if address.version == 6 else str(address)
            url = urlunsplit(parts._replace(netloc=f"{place}:{port}"))
            request: dict[str, Any] = {"content": body, "headers": headers}
            if parts.scheme == "https":
                request["extensions"] = {"sni_hostname": host}
            try:
                async with self._http.stream("POST", url, **request) as answer:
                    return answer.status_code, await _beginning(answer)
            except ConnectError as error:
                last = error  # another address of the host may answer
            except HTTPError as error:
                raise NotDelivered(f"{type(error).__name__}: {error}") from error
        raise NotDelivered(f"{host} cannot be reached: {last}") from last

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """Return the addresses that a request may go to.

        Raises:
            Refused: when all of them are private.
            NotDelivered: when there is none.
        """
        try:
            found = [ip_address(each) for each in await self._resolve(host, port)]
        except OSError as error:
            raise NotDelivered(f"{host} cannot be resolved: {error}") from error
        if self._endpoint.is_private:
            return found
        public = [each for each in found if is_public(each)]
        if found and not public:
            raise Refused(
                f"{host} is an address of a private network ({found[0]}), which "
                f"config_webhook['{self._endpoint.name}'] allows by 'is_private': 1"
            )
        return public

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def _beginning(answer: Any) -> str:
    """Return the beginning of the body of a failure; of a success nothing is read."""
    if answer.status_code < 300:
        return ""
    async for chunk in answer.aiter_bytes():
        return bytes(chunk[:SHOWN]).decode(errors="replace").replace("\0", "")
    return ""
