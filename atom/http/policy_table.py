"""Which policy a request falls under: that of the route it matches.

What `config_api` says of paths and methods that no route has, or forgets to say of one
that is there, is told here, before the first request.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from atom.errors import nearest
from atom.http.policy import RoutePolicy, parse
from atom.http.route import Route, RouteTable
from atom.http.tier import WITH_TOKEN, tier

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
DOCS = frozenset({"/docs", "/docs/{file}", "/redoc", "/openapi.json"})


@dataclass(slots=True)
class Matched:
    """The route of one request, its policy, and the path as the router sees it."""

    route: Route | None
    policy: RoutePolicy
    params: dict[str, Any]
    allowed: frozenset[str]
    seen: str
    key: tuple[str, int]

    @property
    def direct(self) -> bool:
        """Whether FastAPI's machinery may be left out."""
        return self.route is not None and self.route.direct


class PolicyTable:
    """Answers which policy a request falls under. A path nobody has matches nothing."""

    def __init__(
        self, config: Mapping[str, Any], routes: Iterable[Route], problems: list[str]
    ) -> None:
        self.table = RouteTable(routes)
        self._policies: dict[tuple[int, str], RoutePolicy] = {}
        self._static: dict[tuple[str, str, str], Matched] = {}
        self.nowhere = RoutePolicy(body_bytes=config["config_body_max_kb"] * 1024)
        self._build(config, problems)

    def _build(self, config: Mapping[str, Any], problems: list[str]) -> None:
        default = parse("config_api_default", config["config_api_default"], problems)
        entries: dict[tuple[str, str], dict[str, Any]] = {}
        for name, entry in config["config_api"].items():
            method, _, path = name.strip().rpartition(" ")
            if method and method.upper() not in METHODS:
                hint = nearest(method, [word.lower() for word in METHODS]).upper()
                problems.append(f"config_api[{name!r}]: no method {method!r}. {hint}")
            entries[method.strip().upper(), path] = parse(name, entry, problems)
        used: set[tuple[str, str]] = set()
        for index, route in enumerate(self.table.routes):
            for method in route.methods or {"*"}:
                values = dict(default)
                path = route.same_as or route.path
                for key in (("", path), (method, path)):
                    if key in entries:
                        values |= entries[key]
                        used.add(key)
                policy = self._policy(config, route, method, values)
                self._policies[index, method] = policy
                if not route.same_as:  # else told of the other path already
                    self._check(config, route, method, policy, values, problems)
        self._index = {id(route): n for n, route in enumerate(self.table.routes)}
        self._unused(set(entries) - used, problems)
        self._ids(problems)

    def _policy(
        self, config: Mapping[str, Any], route: Route, method: str, values: Any
    ) -> RoutePolicy:
        here = tier(route.path)
        if route.path in DOCS and (
            config["config_env"] == "production" and not config["config_is_docs"]
        ):
            here = "root"
        policy = RoutePolicy(
            name=f"{method} {route.same_as or route.path}",
            tier=here,
            body_bytes=config["config_body_max_kb"] * 1024,
        )
        policy = replace(policy, **values)
        if here in WITH_TOKEN:
            policy = replace(policy, token_required=True, active_required=True)
        return policy

    def _check(
        self,
        config: Mapping[str, Any],
        route: Route,
        method: str,
        policy: RoutePolicy,
        values: dict[str, Any],
        problems: list[str],
    ) -> None:
        name = f"config_api[{route.path!r}]"
        if policy.tier == "admin" and policy.id is None:
            problems.append(f"{name}: an /admin route needs an id ({method})")
        if (
            policy.cache
            and policy.cache.store == "redis"
            and (not config["config_redis_url"] and config["config_workers"] == 1)
        ):
            problems.append(f"{name}: cache_sec redis needs config_redis_url")
        if values.get("timeout") and not route.asynchronous:
            problems.append(
                f"{name}: timeout_sec needs an async route; a thread cannot be stopped"
            )

    def _unused(self, unused: set[tuple[str, str]], problems: list[str]) -> None:
        paths = {route.path for route in self.table.routes if not route.same_as}
        for method, path in sorted(unused):
            name = f"{method} {path}".strip()
            why = f"no route has the path. {nearest(path, paths)}"
            if path in paths:
                why = f"the path has no {method} route"
            problems.append(f"config_api[{name!r}]: {why}".rstrip())

    def _ids(self, problems: list[str]) -> None:
        owner: dict[int, str] = {}
        for (index, _), policy in self._policies.items():
            path = self.table.routes[index].path
            if policy.id is None or self.table.routes[index].same_as:
                continue
            if owner.setdefault(policy.id, path) != path:
                problems.append(
                    f"config_api[{path!r}]: id {policy.id} is that of "
                    f"{owner[policy.id]!r} already"
                )

    def match(self, kind: str, method: str, path: str) -> Matched:
        """Return the route a request belongs to, with its policy."""
        if (known := self._static.get((kind, method, path))) is not None:
            return known
        route, params, allowed = self.table.match(kind, method, path)
        if route is None:
            return Matched(None, self.nowhere, {}, allowed, path, (kind, -1))
        index = self._index[id(route)]
        verb = method if route.methods else "*"
        policy = self._policies[index, verb]
        found = Matched(route, policy, params, allowed, path, (verb, index))
        if not route.is_template:  # so there are no more of them than routes
            self._static[kind, method, path] = found
        return found

    def policies(self) -> list[RoutePolicy]:
        """Return every policy, in the order of the routes, each once."""
        return [
            policy
            for (index, _), policy in self._policies.items()
            if not self.table.routes[index].same_as
        ]
