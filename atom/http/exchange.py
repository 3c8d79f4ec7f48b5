"""One request and its response as the steps see them, and the one middleware."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from starlette._utils import get_route_path
from starlette.requests import Request

from atom.errors import ApiError, NotFound, TooLarge
from atom.http.policy import RoutePolicy
from atom.http.policy_table import Matched, PolicyTable

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from atom.port import Ports, UserState

Proceed = Callable[["Exchange"], Coroutine[Any, Any, None]]
Step = Callable[["Exchange", Proceed], Coroutine[Any, Any, None]]

ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"vary", b"Origin"),
)
CAPTURE_MAX_BYTES = 1_048_576


class Exchange:
    """A request on its way in, and what is known of the response on its way out."""

    __slots__ = (
        "_send",
        "address",
        "after",
        "authorization",
        "captured",
        "chunked",
        "content_length",
        "deferred",
        "description",
        "extra_headers",
        "headers",
        "matched",
        "method",
        "outcome",
        "path",
        "policy",
        "ports",
        "receive",
        "request_id",
        "scope",
        "state",
        "status",
        "user",
    )

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
        self.state: UserState | None = None
        self.request_id = ""
        self.address = ""
        self.authorization = b""
        self.content_length = b""
        self.chunked = False
        self.outcome = "executed"
        self.description = ""
        self.status = 0
        self.headers: Iterable[tuple[bytes, bytes]] = ()
        self.extra_headers: list[tuple[bytes, bytes]] = []
        self.captured: bytearray | None = None
        self.deferred = False
        self.after: Callable[[], None] | None = None

    @property
    def identity(self) -> str:
        """Who is asking: the user if known, else the address the request came from."""
        if self.user:
            return f"user:{self.user['id']}"
        return f"ip:{self.address}"

    @property
    def started(self) -> bool:
        """Whether the response has begun, after which no other can be sent."""
        return self.status != 0

    @property
    def query(self) -> str:
        """The query string as it came."""
        raw: bytes = self.scope["query_string"]
        return raw.decode("latin-1")

    async def send(self, message: Message) -> None:
        """Pass one ASGI message to the caller, noting what the steps want to know."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = self.headers = message.get("headers", [])
            message["headers"] = [
                *given,
                *ALWAYS,
                (b"x-request-id", self.request_id.encode()),
                *self.extra_headers,
            ]
            if self.user and not any(name == b"cache-control" for name, _ in given):
                message["headers"].append((b"cache-control", b"no-store"))
        elif self.captured is not None and message["type"] == "http.response.body":
            self.captured += message.get("body", b"")
            if len(self.captured) > CAPTURE_MAX_BYTES:
                self.captured = None
        elif message["type"] == "websocket.accept":
            self.status = 101  # Switching Protocols: too late for any other answer
        await self._send(message)

    async def reply(self, response: Response) -> None:
        """Answer now, instead of the route."""
        await response(self.scope, self.receive, self.send)

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
        original, given = self.receive, False

        async def again() -> Message:
            nonlocal given
            if given:
                return await original()
            given = True
            return {"type": "http.request", "body": whole, "more_body": False}

        self.receive = again
        return whole

    async def detach(self) -> None:
        """Go on without the caller: hold the whole body, and send to nobody."""
        await self.body()
        held = self.receive

        async def receive() -> Message:
            message = await held()
            if message["type"] == "http.disconnect":
                # Nobody leaves any more. A stream waits for that: with an answer each
                # time it asks, it would ask for ever, and nothing else would run.
                await asyncio.Event().wait()
            return message

        async def discard(message: Message) -> None:
            """Nobody is listening any more."""

        self.receive, self._send = receive, discard
        self.status = 0
        self.extra_headers = []


def only_if(applies: Callable[[RoutePolicy], bool]) -> Callable[[Step], Step]:
    """Mark a step as needed only by some policies; for the others it costs nothing."""

    def mark(step: Step) -> Step:
        step.applies = applies  # type: ignore[attr-defined]
        return step

    return mark


def websocket_too(step: Step) -> Step:
    """Mark a step that also guards the handshake of a WebSocket."""
    step.websocket_too = True  # type: ignore[attr-defined]
    return step


class ConfigApiMiddleware:
    """Finds the route, then runs the steps its policy needs, in order, around it."""

    def __init__(
        self, app: ASGIApp, *, steps: Sequence[Step], policies: PolicyTable
    ) -> None:
        self.app = app
        self.steps = tuple(steps)
        self.policies = policies
        self.chains: dict[tuple[str, int], Proceed] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        path = scope["path"] if not scope.get("root_path") else get_route_path(scope)
        matched = self.policies.match(scope["type"], scope.get("method", ""), path)
        ports = scope["app"].state.ports
        exchange = Exchange(scope, receive, send, matched, ports)
        chain = self.chains.get(matched.key)
        if chain is None:
            chain = self.compile(matched, scope["type"])
            self.chains[matched.key] = chain
        await chain(exchange)

    def compile(self, matched: Matched, kind: str) -> Proceed:
        """Fold the steps this policy needs around the route, once."""
        chain: Proceed = _direct if matched.direct else self.route
        if matched.route is None:
            chain = _nowhere
        for step in reversed(self.steps):
            if kind == "websocket" and not getattr(step, "websocket_too", False):
                continue
            if getattr(step, "applies", _always)(matched.policy):
                chain = _around(step, chain)
        return chain

    async def route(self, exchange: Exchange) -> None:
        """Hand over to FastAPI: its router, dependencies and models."""
        await self.app(exchange.scope, exchange.receive, exchange.send)


def _always(policy: RoutePolicy) -> bool:
    return True


def _around(step: Step, proceed: Proceed) -> Proceed:
    def run(exchange: Exchange) -> Coroutine[Any, Any, None]:
        return step(exchange, proceed)

    return run


async def _direct(exchange: Exchange) -> None:
    """Call an endpoint that takes the Request and returns the Response."""
    scope, matched = exchange.scope, exchange.matched
    assert matched.route is not None and matched.route.endpoint is not None
    scope["path_params"] = matched.params
    scope["endpoint"] = matched.route.endpoint
    scope["router"] = scope["app"].router
    request = Request(scope, exchange.receive, exchange.send)
    response = await matched.route.endpoint(request)
    await response(scope, exchange.receive, exchange.send)


async def _nowhere(exchange: Exchange) -> None:
    """Refuse a path that no route has, or not for this method."""
    allowed = exchange.matched.allowed
    if not allowed:
        slash = exchange.path.endswith("/")
        hint = "Leave out the slash at its end." if slash else ""
        raise NotFound("There is no such path.", code="route.unknown", hint=hint)
    methods = ", ".join(sorted(allowed))
    raise ApiError(
        "This path does not take that method.",
        code="route.method",
        status=405,
        hint=f"It takes {methods}.",
        headers={"Allow": methods},
    )
