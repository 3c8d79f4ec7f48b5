"""Which policy holds for a request: that of the route it matches.

Reports `config_api` entries that match no route, and routes with incomplete entries, at
start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from atom.config.resolve import is_production
from atom.config.view import view
from atom.errors import nearest
from atom.http.docs_pass import DOCS
from atom.http.policy import SHARED, RoutePolicy, describe, parse
from atom.http.route import ROLE, Route, RouteTable
from atom.http.tier import WITH_TOKEN, tier

if TYPE_CHECKING:
    from atom.http.step import Step

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """What config sets for routes."""

    env: str
    api: Mapping[str, Any]
    api_default: Mapping[str, Any]
    role: Mapping[str, str]
    is_docs: bool
    is_metrics: bool


@dataclass(slots=True)
class Matched:
    """The route of a request, its policy, and the path as the router sees it."""

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
    """Finds the policy of a request: that of the route it matches."""

    def __init__(
        self,
        config: Mapping[str, Any],
        routes: Iterable[Route],
        problems: list[str],
        steps: Iterable[Step],
    ) -> None:
        self.table = RouteTable(routes)
        self.steps = tuple(steps)
        self.keys = tuple(key for step in self.steps for key in step.keys)
        self.remarks: list[str] = []  # what is odd, and not wrong
        self._config = config
        self._entries = view(PolicyConfig, config)
        self._fallback = {
            key.field: key.parse(config[key.fallback])
            for key in self.keys
            if key.fallback
        }
        self._policies: dict[tuple[int, str], RoutePolicy] = {}
        self._static: dict[tuple[str, str, str], Matched] = {}
        self._nowhere = RoutePolicy(values=self._fallback)
        self._build(problems)

    def _build(self, problems: list[str]) -> None:
        known = {key.name: key for key in self.keys}
        default = parse(
            "config_api_default", self._entries.api_default, known, problems
        )
        entries: dict[tuple[str, str], dict[str, Any]] = {}
        for name, entry in self._entries.api.items():
            method, _, path = name.strip().rpartition(" ")
            if method and method.upper() not in METHODS:
                hint = nearest(method, [word.lower() for word in METHODS]).upper()
                problems.append(f"config_api[{name!r}]: no method {method!r}. {hint}")
            entries[method.strip().upper(), path] = parse(name, entry, known, problems)
        used: set[tuple[str, str]] = set()
        for index, route in enumerate(self.table.routes):
            for method in route.methods or {"*"}:
                values = dict(default)
                path = route.same_as or route.path
                for key in (("", path), (method, path)):
                    if key in entries:
                        values |= entries[key]
                        used.add(key)
                policy = self._policy(route, method, values)
                self._policies[index, method] = policy
                if not route.same_as:  # else reported for the other path already
                    self._check(route, method, policy, values, problems)
        self._index = {id(route): n for n, route in enumerate(self.table.routes)}
        self._unused(set(entries) - used, problems)
        self._of_sockets(entries, problems)
        self._hidden(set(entries), problems)
        self._ids(problems)

    def _policy(
        self, route: Route, method: str, values: Mapping[str, Any]
    ) -> RoutePolicy:
        here = tier(route.path)
        if is_production(self._entries.env) and (
            (route.path in DOCS and not self._entries.is_docs)
            or (route.path == "/metrics" and not self._entries.is_metrics)
        ):
            here = "root"
        access = here == "admin" or values.get("access_required", False)
        token = here in WITH_TOKEN or access or "token" in route.needs
        token = token or values.get("token_required", False)
        token = token or any(k.needs_token and k.field in values for k in self.keys)
        return RoutePolicy(
            name=f"{method} {route.same_as or route.path}",
            tier=here,
            id=values.get("id"),
            token_required=token,
            access_required=access,
            active_required=values.get("active_required", token),
            values=self._fallback
            | {name: each for name, each in values.items() if name not in SHARED},
        )

    def _check(
        self,
        route: Route,
        method: str,
        policy: RoutePolicy,
        values: Mapping[str, Any],
        problems: list[str],
    ) -> None:
        name = f"config_api[{route.path!r}]"
        opened = values.get("access_required") is False
        if policy.access_required and policy.id is None:
            what = "an /admin route" if policy.tier == "admin" else "is_access"
            problems.append(f"{name}: {what} needs an id ({method})")
        if policy.tier == "admin" and opened:
            problems.append(f"{name}: is_access: 0 does not open an /admin route")
        if policy.id is not None and not (policy.access_required or opened):
            self.remarks.append(
                f"{name}: the id has no effect outside /admin. is_access: 1 checks "
                "it, is_access: 0 silences this remark."
            )
        roles = self._entries.role
        for role in sorted(each for each in route.needs if each.startswith(ROLE)):
            if (word := role.removeprefix(ROLE)) not in roles:
                problems.append(
                    f"{method} {route.path}: config_role has no {word!r}."
                    f" {nearest(word, roles)}".rstrip()
                )
        problems.extend(
            f"{name}: {fault}"
            for key in self.keys
            if (fault := key.check(key.of(policy), self._config, route))
        )

    def _unused(self, unused: set[tuple[str, str]], problems: list[str]) -> None:
        paths = {route.path for route in self.table.routes if not route.same_as}
        for method, path in sorted(unused):
            name = f"{method} {path}".strip()
            why = f"no route has the path. {nearest(path, paths)}"
            if path in paths:
                why = f"the path has no {method} route"
            problems.append(f"config_api[{name!r}]: {why}".rstrip())

    def _of_sockets(
        self, entries: Mapping[tuple[str, str], Mapping[str, Any]], problems: list[str]
    ) -> None:
        """Report keys of an entry that only WebSockets have, and that these ignore."""
        fields = {
            key.field for step in self.steps if step.websocket for key in step.keys
        }
        served = {
            route.path for route in self.table.routes if route.kind != "websocket"
        }
        sockets = {route.path for route in self.table.routes} - served
        for (_, path), values in entries.items():
            if path in sockets:
                problems.extend(
                    f"config_api[{path!r}]: {key.name} has no effect on a WebSocket"
                    for key in self.keys
                    if key.field in values and key.field not in fields
                )

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

    def _hidden(self, entries: set[tuple[str, str]], problems: list[str]) -> None:
        """Report routes with an entry that can never be reached.

        An earlier template takes their path: the entry would hold for nothing.
        """
        for index, route in enumerate(self.table.routes):
            if route.same_as or (path := route.sample()) is None:
                continue
            for method in route.methods or {"*"}:
                if not {("", route.path), (method, route.path)} & entries:
                    continue
                kind = "websocket" if route.kind == "websocket" else "http"
                verb = "GET" if method == "*" else method
                first, _, _ = self.table.match(kind, verb, path)
                if first is None or first is route or first.path == route.path:
                    continue
                other = self._policies[
                    self._index[id(first)], verb if first.methods else "*"
                ]
                mine = self._policies[index, method]
                if replace(mine, name="") != replace(other, name=""):
                    problems.append(
                        f"config_api[{route.path!r}]: no request reaches this route, "
                        f"because {first.path!r} is declared before it and has other "
                        "rules. Declare it first."
                    )

    def describe(self, policy: RoutePolicy) -> dict[str, Any]:
        """Return a policy as plain data: what `GET /root/explain` lists."""
        return describe(policy, self.keys)

    def match(self, kind: str, method: str, path: str) -> Matched:
        """Return the route a request belongs to, with its policy.

        HEAD is answered wherever GET is, under the policy of GET.
        """
        if (known := self._static.get((kind, method, path))) is not None:
            return known
        route, params, allowed = self.table.match(kind, method, path)
        if "GET" in allowed:
            allowed |= {"HEAD"}
            if route is None and method == "HEAD":
                route, params, _ = self.table.match(kind, "GET", path)
        if route is None:
            return Matched(None, self._nowhere, {}, allowed, path, (kind, -1))
        index = self._index[id(route)]
        verb = method if method in route.methods else "GET"
        verb = verb if route.methods else "*"
        policy = self._policies[index, verb]
        found = Matched(route, policy, params, allowed, path, (verb, index))
        if not route.is_template:  # so there are no more of them than routes
            self._static[kind, method, path] = found
        return found

    def unmatched(self, kind: str, path: str) -> Matched:
        """Return what holds for a path that cannot be matched."""
        return Matched(None, self._nowhere, {}, frozenset(), path, (kind, -1))

    def shared(self, method: str, path: str) -> RoutePolicy | None:
        """Return the policy of a route that has that of another path."""
        for (index, verb), policy in self._policies.items():
            route = self.table.routes[index]
            if route.same_as and route.path == path and verb == method:
                return policy
        return None

    def each(self) -> Iterator[tuple[Route, str, RoutePolicy]]:
        """Yield every route with each of its methods, and what holds for it."""
        for (index, method), policy in self._policies.items():
            yield self.table.routes[index], method, policy

    def policies(self) -> list[RoutePolicy]:
        """Return every policy, in the order of the routes, each once."""
        return [
            policy
            for (index, _), policy in self._policies.items()
            if not self.table.routes[index].same_as
        ]
