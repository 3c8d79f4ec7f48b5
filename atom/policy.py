"""One `config_api` entry, parsed into a RoutePolicy; the table of them; and `explain`.

Everything a user can get wrong in `config_api` is told here, before the first request.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from atom.errors import nearest
from atom.exchange import Proceed
from atom.port import UserState
from atom.route import Route, RouteTable
from atom.step.cache import CacheRule
from atom.step.rate import RateRule
from atom.tier import WITH_TOKEN, tier

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
DOCS = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """What holds for one route."""

    name: str = ""
    tier: str = ""
    id: int | None = None
    token_required: bool = False
    active_required: bool = False
    cache: CacheRule | None = None
    rate: RateRule | None = None
    background: bool | None = None  # None: writes may, reads may not
    log: bool = True
    timeout: float | None = None
    concurrency: int | None = None
    body_bytes: int = 1_048_576


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


def _number(least: float) -> Any:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("expected a number")
        if value < least:
            raise ValueError(f"expected at least {least}")
        return value

    return read


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("expected a whole number of at least 1")
    return value


def _flag(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError("expected 0 or 1")
    return bool(value)


# key of config_api: (field of RoutePolicy, how its value is read)
ENTRY = {
    "id": ("id", _whole),
    "is_token": ("token_required", _flag),
    "is_active_check": ("active_required", _flag),
    "cache_sec": ("cache", CacheRule.parse),
    "ratelimiter_times_sec": ("rate", RateRule.parse),
    "is_background": ("background", _flag),
    "is_log": ("log", _flag),
    "timeout_sec": ("timeout", _number(0.001)),
    "concurrency_max": ("concurrency", _whole),
    "body_max_kb": ("body_bytes", lambda value: _whole(value) * 1024),
}


def parse(name: str, entry: Any, problems: list[str]) -> dict[str, Any]:
    """Read one entry of config_api into fields of RoutePolicy; note every fault."""
    if not isinstance(entry, Mapping):
        problems.append(f"config_api[{name!r}]: expected a dict")
        return {}
    values = {}
    for key, value in entry.items():
        if key not in ENTRY:
            hint = nearest(str(key), ENTRY)
            problems.append(f"config_api[{name!r}]: no key {key!r}. {hint}".rstrip())
            continue
        into, read = ENTRY[key]
        try:
            values[into] = read(value)
        except (ValueError, TypeError) as error:
            problems.append(f"config_api[{name!r}]: {key}: {error}")
    return values


class PolicyTable:
    """Answers which policy a request falls under. A path nobody has matches nothing."""

    def __init__(
        self, config: Mapping[str, Any], routes: Iterable[Route], problems: list[str]
    ) -> None:
        self.table = RouteTable(routes)
        self.chains: dict[tuple[str, int], Proceed] = {}
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


def described(policy: RoutePolicy) -> dict[str, Any]:
    """Return a policy as plain data: what `GET /root/explain` lists."""
    shown = {f.name: getattr(policy, f.name) for f in fields(policy)}
    shown["cache"] = policy.cache and policy.cache.described()
    shown["rate"] = policy.rate and policy.rate.described()
    return shown


def explain(policy: RoutePolicy, user: UserState | None) -> dict[str, Any]:
    """Say what holds for a route, in order, and which rule first refuses this user."""
    root = policy.tier == "root"
    checks = [
        _check("tier", policy.tier or "public", "root key needed" if root else ""),
        _check(
            "token",
            "needed" if policy.token_required else "not needed",
            "no such user" if policy.token_required and user is None else "",
        ),
        _check(
            "access",
            f"id {policy.id}" if policy.tier == "admin" else "not checked",
            "api access denied"
            if policy.tier == "admin"
            and (user is None or policy.id not in user.api_access)
            else "",
        ),
        _check(
            "active",
            "checked" if policy.active_required else "not checked",
            "user not active"
            if policy.active_required and user is not None and not user.is_active
            else "",
        ),
        _check("owner", "created_by_id" if policy.tier == "my" else "none", ""),
        _check("rate", policy.rate and policy.rate.described(), ""),
        _check("cache", policy.cache and policy.cache.described(), ""),
        _check(
            "limits",
            {
                "body_bytes": policy.body_bytes,
                "timeout_sec": policy.timeout,
                "concurrency_max": policy.concurrency,
            },
            "",
        ),
    ]
    refused = next((check for check in checks if check["refuses"]), None)
    return {
        "route": policy.name,
        "checks": checks,
        "allowed": refused is None,
        "refused_by": refused and refused["check"],
        "reason": refused and refused["refuses"],
    }


def _check(name: str, rule: Any, refuses: str) -> dict[str, Any]:
    return {"check": name, "rule": rule, "refuses": refuses}
