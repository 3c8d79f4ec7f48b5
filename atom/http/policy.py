"""What holds for one route: a `config_api` entry, read into a RoutePolicy.

Every value a user can get wrong in an entry is told here, before the first request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from atom.errors import nearest

STORES = ("inmemory", "redis")


@dataclass(frozen=True)
class CacheRule:
    """Keep answers in `store` ("inmemory" or "redis") for `seconds`."""

    store: str
    seconds: float
    shared: bool = False

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read `[store, seconds]` or `[store, seconds, "shared"]`."""
        wrong = 'expected ["inmemory" or "redis", seconds above 0, optional "shared"]'
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ValueError(wrong)
        if len(value) not in {2, 3} or value[0] not in STORES:
            raise ValueError(wrong)
        if isinstance(value[1], bool) or not isinstance(value[1], int | float):
            raise ValueError(wrong)
        if value[1] <= 0 or value[2:] not in ([], (), ["shared"], ("shared",)):
            raise ValueError(wrong)
        return cls(value[0], value[1], len(value) == 3)

    def described(self) -> list[Any]:
        """Return the rule as it is written in config_api."""
        return [self.store, self.seconds, *(["shared"] if self.shared else [])]


@dataclass(frozen=True)
class RateRule:
    """At most `times` requests in each window of `seconds`."""

    times: int
    seconds: int

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read `[times, seconds]`, both whole numbers of at least 1."""
        wrong = "expected [times, seconds], two whole numbers of at least 1"
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
            raise ValueError(wrong)
        if any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in value):
            raise ValueError(wrong)
        return cls(*value)

    def described(self) -> list[int]:
        """Return the rule as it is written in config_api."""
        return [self.times, self.seconds]


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


def described(policy: RoutePolicy) -> dict[str, Any]:
    """Return a policy as plain data: what `GET /root/explain` lists."""
    shown = {f.name: getattr(policy, f.name) for f in fields(policy)}
    shown["cache"] = policy.cache and policy.cache.described()
    shown["rate"] = policy.rate and policy.rate.described()
    return shown
