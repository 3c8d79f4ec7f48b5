"""Which route a path belongs to: the routes of the application, as data, and a table.

The table is used before FastAPI's router, in the same order and with the same patterns,
so that policy and router can never mean two different routes. A lookup costs the same
with ten routes as with a thousand.
"""

import inspect
import math
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from re import Pattern
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.convertors import (
    FloatConvertor,
    IntegerConvertor,
    StringConvertor,
    UUIDConvertor,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, WebSocketRoute

ROLE = "role:"  # before the name of a role, in what a route needs
# What never matches a slash; others, {rest:path} among them, may.
ONE_SEGMENT = {FloatConvertor, IntegerConvertor, StringConvertor, UUIDConvertor}
# For each kind of convertor, most general first, a value that it alone accepts.
SAMPLES = ("~a/~b", "~a", "123e4567-e89b-12d3-a456-426614174000", "1.5", "1")


NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Route:
    """One route as the router sees it, its include prefix in the path."""

    path: str
    methods: frozenset[str]  # empty: any method
    kind: str  # http, websocket or mount
    pattern: Pattern[str]
    convertors: Mapping[str, Any]
    endpoint: Callable[..., Any] | None = None
    direct: bool = False
    asynchronous: bool = True
    same_as: str = ""  # the path with the policy of this route too
    is_stream: bool = False  # does not end by itself
    needs: frozenset[str] = frozenset()  # of its dependencies: token, access, role:…

    @property
    def is_template(self) -> bool:
        """Whether the route has many paths."""
        return "{" in self.path or self.kind == "mount"

    def params(self, path: str) -> dict[str, Any] | None:
        """Return the parsed path parameters; None when the path is another route's.

        A value that its convertor cannot read, such as a number of 5,000 digits or a
        float beyond all floats, is not a path of this route either.
        """
        if (match := self.pattern.match(path)) is None:
            return None
        params = {}
        for name, text in match.groupdict().items():
            if (convertor := self.convertors.get(name)) is None:
                continue
            try:
                value = convertor.convert(text)
            except ValueError:
                return None
            if isinstance(value, float) and not math.isfinite(value):
                return None
            params[name] = value
        return params

    def sample(self) -> str | None:
        """Return a path that only this route and more general ones match, if known."""
        if self.kind == "mount":
            return None
        path = self.path
        for name, convertor in self.convertors.items():
            pattern = re.compile(convertor.regex)
            value = next((text for text in SAMPLES if pattern.fullmatch(text)), None)
            if value is None:
                return None
            path = re.sub(rf"{{{name}(:\w+)?}}", value, path)
        return path if self.params(path) is not None else None


def routes(app: FastAPI) -> list[Route]:
    """Return every route of the application, in the order the router tries them."""
    return [
        _route(context)
        for context in iter_route_contexts(app.routes)
        if getattr(context, "path", None) is not None
    ]


def _route(context: RouteContext) -> Route:
    original = context.original_route
    kind = (
        "mount"
        if isinstance(original, Mount)
        else "websocket"
        if isinstance(original, WebSocketRoute)
        else "http"
    )
    endpoint = context.endpoint
    return Route(
        path=context.path or "/",
        methods=frozenset(context.methods or ()) if kind == "http" else frozenset(),
        kind=kind,
        pattern=context.path_regex,
        convertors=context.param_convertors,
        endpoint=endpoint,
        direct=isinstance(original, APIRoute) and _is_direct(context),
        asynchronous=inspect.iscoroutinefunction(endpoint) or kind != "http",
        same_as=getattr(endpoint, "same_as", ""),
        is_stream=getattr(endpoint, "is_stream", False),
        needs=_needs(context.dependant) if isinstance(original, APIRoute) else NONE,
    )


def _needs(dependant: Any) -> frozenset[str]:
    """Return what the dependencies of a route check: a token, an id, a role."""
    found: frozenset[str] = getattr(dependant.call, "needs", NONE)
    for inner in dependant.dependencies:
        found |= _needs(inner)
    return found


def _is_direct(context: RouteContext) -> bool:
    """Whether an endpoint needs nothing of FastAPI: Request in, Response out.

    Such a route has no dependency, no body model and no response model, so calling it
    at once gives the same answer for a third of the price.
    """
    endpoint = context.endpoint
    if endpoint is None or not inspect.iscoroutinefunction(endpoint):
        return False
    if context.dependencies or context.body_field or context.dependant.dependencies:
        return False
    try:
        hints = typing.get_type_hints(endpoint)
    except NameError:
        return False
    answer = hints.pop("return", None)
    return (
        list(hints.values()) == [Request]
        and len(inspect.signature(endpoint).parameters) == 1
        and isinstance(answer, type)
        and issubclass(answer, Response)
    )


class Branch:
    """The routes that share the beginning of a path, segment by segment."""

    __slots__ = ("below", "ends", "literal", "wildcard")

    def __init__(self) -> None:
        self.literal: dict[str, Branch] = {}
        self.wildcard: Branch | None = None
        self.ends: list[int] = []  # places of routes that end here
        self.below: list[int] = []  # of routes that take whatever follows

    def add(self, place: int, route: Route) -> None:
        """Add a route on the way of every path it matches."""
        branch = self
        for word in route.path.strip("/").split("/"):
            if "{" in word:
                if not all(type(c) in ONE_SEGMENT for c in route.convertors.values()):
                    branch.below.append(place)
                    return
                branch.wildcard = branch = branch.wildcard or Branch()
            elif word or route.kind != "mount":
                branch = branch.literal.setdefault(word, Branch())
        (branch.below if route.kind == "mount" else branch.ends).append(place)

    def places(self, path: str) -> list[int]:
        """Return the places of all routes that may match, in their order."""
        found, here = list(self.below), [self]
        for word in path.strip("/").split("/"):
            following = []
            for branch in here:
                if (literal := branch.literal.get(word)) is not None:
                    following.append(literal)
                if branch.wildcard is not None:
                    following.append(branch.wildcard)
            here = following
            for branch in here:
                found += branch.below
        for branch in here:
            found += branch.ends
        return sorted(found)


class RouteTable:
    """Finds the route of a path: the first full match, else one of other methods."""

    def __init__(self, found: Iterable[Route]) -> None:
        self.routes = tuple(found)
        self._roots: dict[str, Branch] = {}
        self._static: dict[tuple[str, str], list[Route]] = {}
        for kind in ("http", "websocket"):
            root = self._roots[kind] = Branch()
            served = [
                (place, route)
                for place, route in enumerate(self.routes)
                if route.kind in {kind, "mount"}
            ]
            for place, route in served:
                root.add(place, route)
            for path in {route.path for _, route in served if not route.is_template}:
                self._static[kind, path] = [
                    route
                    for route in self._near(kind, path)
                    if route.params(path) is not None
                ]

    def _near(self, kind: str, path: str) -> list[Route]:
        return [self.routes[place] for place in self._roots[kind].places(path)]

    def match(
        self, kind: str, method: str, path: str
    ) -> tuple[Route | None, dict[str, Any], frozenset[str]]:
        """Return the route, its path parameters, and the methods of the path.

        No route and some methods: the path exists for others (405). Neither: 404.
        """
        if path.endswith("\n"):
            # A pattern's `$` overlooks it: the router reads `/root/x\n` as `/root/x`,
            # although the path may belong to an open template here.
            return None, {}, frozenset()
        candidates = self._static.get((kind, path))
        if candidates is None:
            candidates = self._near(kind, path)
        elif (
            (only := candidates[0])
            and not only.is_template
            and (not only.methods or method in only.methods)
        ):
            return only, {}, only.methods
        allowed: set[str] = set()
        for route in candidates:
            params = route.params(path)
            if params is None:
                continue
            if not route.methods or method in route.methods:
                return route, params, route.methods
            allowed |= route.methods
        return None, {}, frozenset(allowed)


def also_at(router: APIRouter, method: str, path: str, endpoint: Any, of: str) -> None:
    """Add a route that is another one (`of` is its path), with the policy of that.

    It is not in the schema: `atom.openapi.rows` writes one out for each table.
    """

    async def same(request: Request) -> Any:
        return await endpoint(request)

    same.same_as = of  # type: ignore[attr-defined]
    same.is_stream = getattr(endpoint, "is_stream", False)  # type: ignore[attr-defined]
    router.add_api_route(path, same, methods=[method], include_in_schema=False)
