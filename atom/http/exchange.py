"""One request and its response, as the steps see them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from atom.errors import TooLarge
from atom.http.address import network
from atom.http.compress import Compressing
from atom.http.wire import REQUEST_ID, write_whole

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from atom.account.token import Claims
    from atom.http.policy import RoutePolicy
    from atom.http.policy_table import Matched
    from atom.port import Ports, UserState

ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"vary", b"Origin, Accept-Encoding"),
)
NO_STORE = b"cache-control", b"no-store"
CAPTURE_MAX_BYTES = 1_048_576
WHOLE = Response.__call__  # how a response is sent that is not a stream or a file


class Exchange:
    """A request on its way in, and its response on the way out."""

    request_id = ""
    address = ""
    accept_encoding = b""
    authorization = b""
    content_length = b""
    chunked = False
    has_cookie = False
    is_cookie_ours = False  # whether Atom has verified all that its cookies hold
    state: UserState | None = None
    claims: Claims | None = None
    outcome = "executed"
    description = ""
    status = 0
    closed = False  # a WebSocket
    deferred = False
    headers: Iterable[tuple[bytes, bytes]] = ()
    captured: bytearray | None = None
    compressing: Compressing | None = None
    after: Callable[[Exchange], None] | None = None
    on_start: Callable[[], None] | None = None

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, matched: Matched, ports: Ports
    ) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self.matched = matched
        self.policy: RoutePolicy = matched.policy
        self.ports = ports
        self.method: str = scope.get("method", "WEBSOCKET")
        self.path: str = matched.seen
        self.user: dict[str, Any] = {}
        self.extra_headers: list[tuple[bytes, bytes]] = []

    @property
    def identity(self) -> str:
        """The caller: the user if known, else the address of the client."""
        if self.user:
            return f"user:{self.user['id']}"
        return f"ip:{self.address}"

    @property
    def caller(self) -> str:
        """The caller as limits count it: the user, else the network of the client."""
        return self.identity if self.user else f"ip:{network(self.address)}"

    @property
    def started(self) -> bool:
        """Whether the response has begun, after which no other can be sent."""
        return self.status != 0

    @property
    def query(self) -> str:
        """The query string as received."""
        raw: bytes = self.scope["query_string"]
        return raw.decode("latin-1")

    async def send(self, message: Message) -> None:
        """Pass one ASGI message to the caller, noting what the steps need of it."""
        kind = message["type"]
        if kind == "http.response.start":
            self.headers = message.get("headers", ())
            message["headers"] = self._begin(message["status"], self.headers)
        elif kind == "http.response.body":
            if self.captured is not None:
                self._capture(message.get("body", b""))
            if self.method == "HEAD":
                message = {**message, "body": b""}
        elif kind == "websocket.accept":
            self.status = 101  # Switching Protocols: too late for any other answer
            if self.on_start is not None:
                self.on_start()
        elif self.closed:  # a WebSocket that Atom has closed
            if kind == "websocket.close":
                return
            raise OSError("the WebSocket is closed")
        elif kind == "websocket.close":
            self.closed = True
        await self._send(message)

    async def answer(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Send a whole answer: the same as `send`, for the price of one call."""
        self.headers = headers
        sent = self._begin(status, headers)
        if self.captured is not None:
            self._capture(body)
        if self.method == "HEAD":
            body = b""
        elif write_whole(self._send, status, sent, body):
            return
        await self._send(
            {"type": "http.response.start", "status": status, "headers": sent}
        )
        await self._send({"type": "http.response.body", "body": body})

    def _begin(
        self, status: int, given: Iterable[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        """Note that the answer begins. Return all of its headers."""
        self.status = status
        if self.on_start is not None:
            self.on_start()
        request_id = REQUEST_ID, self.request_id.encode()
        headers = [*given, *ALWAYS, request_id, *self.extra_headers]
        if self.user and b"cache-control" not in [name for name, _ in given]:
            headers.append(NO_STORE)
        return headers

    def _capture(self, body: bytes) -> None:
        """Keep a part of the answer for the steps, unless there is too much of it."""
        assert self.captured is not None
        self.captured += body
        if len(self.captured) > CAPTURE_MAX_BYTES:
            self.captured = None

    def compress(self) -> None:
        """Compress the answer, if it turns out to gain by it."""
        self._send = self.compressing = Compressing(self._send)

    def reply(self, response: Response) -> Awaitable[None]:
        """Answer now, with a response that is whole."""
        is_whole = type(response).__call__ is WHOLE and response.background is None
        if not is_whole or self.scope["type"] != "http":
            return response(self.scope, self.receive, self.send)
        body = bytes(response.body)
        return self.answer(response.status_code, response.raw_headers, body)

    async def body(self, most: int | None = None) -> bytes:
        """Read the whole body, and leave it to be read again by the route.

        Raises:
            TooLarge: beyond `most` bytes.
        """
        came = bytearray()
        async for part in Request(self.scope, self.receive).stream():
            came += part
            if most is not None and len(came) > most:
                raise TooLarge(f"The body is larger than {most // 1024} KiB.")
        whole = bytes(came)
        self.receive = _body_first(whole, self.receive)
        return whole

    async def detach(self) -> None:
        """Go on without the caller: hold the whole body, and discard the response.

        Nothing of the server's objects is held, so that a waiting request is freed the
        moment it is done.
        """
        self.receive = _body_alone(await self.body())
        self._send = _discard
        self.compressing = None
        self.status = 0
        self.extra_headers = []


def _body_first(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that repeats a body that has been read."""
    left: list[Message] = [
        {"type": "http.request", "body": body, "more_body": False},
    ]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


def _body_alone(body: bytes) -> Receive:
    """Return a `receive` that has the body, and a client that never leaves."""
    left: list[Message] = [
        {"type": "http.request", "body": body, "more_body": False},
    ]

    async def receive() -> Message:
        if not left:
            # A stream waits for its client to leave, which cannot happen any more.
            # Answered at once it would ask again for ever, and block the loop.
            await asyncio.Event().wait()
        return left.pop()

    return receive


async def _discard(message: Message) -> None:
    """Drop the message: the client has its answer."""
