"""The one middleware: finds the route, then runs the steps its policy needs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import ref

from starlette.requests import Request

from atom.errors import ApiError, NotFound
from atom.http.exchange import Exchange
from atom.http.socket import watched
from atom.postgres.share import CALLER, Caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Sequence
    from typing import Any

    from starlette.types import ASGIApp, Receive, Scope, Send

    from atom.http.policy_table import Matched, PolicyTable
    from atom.http.step import Proceed, Step

UNLIMITED = frozenset({"", "health", "root"})  # tiers of the operator
NOT_STARTED = (
    "the application has not started, so it has no database yet. In a test write"
    " `with TestClient(app) as client:`; a server runs the lifespan itself"
)


class ConfigApiMiddleware:
    """Runs the steps of a route's policy, in order, around the route."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        steps: Sequence[Step],
        policies: PolicyTable,
        prefix: str = "",
    ) -> None:
        self.app = app
        self.steps = tuple(steps)
        self.policies = policies
        self.prefix = prefix  # that a proxy strips
        self.chains: dict[tuple[str, int], Proceed] = {}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the coroutine that answers the request."""
        if scope["type"] == "lifespan":
            return self.app(scope, receive, send)
        path = scope["path"]
        if root := scope.get("root_path") or self.prefix:
            path = _below(root, path)
            scope["root_path"], scope["path"] = root, root + path
        kind, method = scope["type"], scope.get("method", "")
        try:
            matched = self.policies.match(kind, method, path)
        except Exception as error:  # of a convertor: answered and logged by the steps
            matched = self.policies.unmatched(kind, path)
            chain = self.around(matched, kind, _raising(error))
        else:
            found = self.chains.get(matched.key)
            if found is None:
                found = self.chains[matched.key] = self.compile(matched, kind)
            chain = found
        try:
            ports = scope["app"].state.ports
        except AttributeError:
            raise RuntimeError(NOT_STARTED) from None
        exchange = Exchange(scope, receive, send, matched, ports)
        if method == "HEAD" and matched.key[0] == "GET":
            exchange.scope = {**scope, "method": "GET"}  # the server's own stays HEAD
        return chain(exchange)

    def compile(self, matched: Matched, kind: str) -> Proceed:
        """Return the steps of this policy around the route; made once for each."""
        chain: Proceed = _direct if matched.direct else self.route
        if matched.route is None:
            chain = _nowhere
        elif kind == "websocket" or matched.route.is_stream:
            steps = self._applying(matched, kind)
            chain = watched([step for step in steps if step.guards], chain)
        return self.around(matched, kind, chain)

    def around(self, matched: Matched, kind: str, chain: Proceed) -> Proceed:
        """Fold the steps this policy needs around a route."""
        for step in reversed(self._applying(matched, kind)):
            chain = _around(step, chain)
        return chain

    def _applying(self, matched: Matched, kind: str) -> list[Step]:
        """Return the steps that a policy needs, in order."""
        return [
            step
            for step in self.steps
            if (kind != "websocket" or step.websocket)
            and not (step.whole and matched.route and matched.route.is_stream)
            and step.applies(matched.policy)
        ]

    async def route(self, exchange: Exchange) -> None:
        """Hand over to FastAPI: its router, dependencies and models."""
        _claim(exchange)
        await self.app(exchange.scope, exchange.receive, exchange.send)


def _below(root: str, path: str) -> str:
    """Return a path without the prefix under which the application is mounted.

    >>> _below("/api", "/api/my/x"), _below("/api", "/apis"), _below("/api", "/my/x")
    ('/my/x', '/apis', '/my/x')
    """
    rest = path[len(root) :]
    return rest if path.startswith(root) and (not rest or rest[0] == "/") else path


def _around(step: Step, proceed: Proceed) -> Proceed:
    run = step.run

    def enter(exchange: Exchange) -> Coroutine[Any, Any, None]:
        return run(exchange, proceed)

    return enter


def _raising(error: Exception) -> Proceed:
    async def fail(exchange: Exchange) -> None:
        raise error

    return fail


def _claim(exchange: Exchange) -> None:
    """Have the work of a route count for its caller; not that of the server itself."""
    tier = exchange.policy.tier
    if tier not in UNLIMITED:
        caller = exchange.caller
        CALLER.set(Caller(tier, caller, ref(asyncio.current_task())))
        if exchange.method != "GET":
            exchange.ports.wrote(caller)


async def _direct(exchange: Exchange) -> None:
    """Call an endpoint that takes the Request and returns the Response."""
    _claim(exchange)
    scope, matched = exchange.scope, exchange.matched
    assert matched.route is not None and matched.route.endpoint is not None
    scope["path_params"] = matched.params
    scope["endpoint"] = matched.route.endpoint
    scope["router"] = scope["app"].router
    request = Request(scope, exchange.receive, exchange.send)
    await exchange.reply(await matched.route.endpoint(request))


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
