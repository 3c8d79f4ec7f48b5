"""What holds for one route: a `config_api` entry, parsed into a RoutePolicy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from atom.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atom.http.route import Route

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """The rules of one route: those that several steps read, and `values` by field."""

    name: str = ""
    tier: str = ""
    id: int | None = None
    token_required: bool = False
    access_required: bool = False
    active_required: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


SHARED = frozenset(each.name for each in fields(RoutePolicy))


def _plain(value: Any) -> Any:
    return value


def _accept(value: Any, config: Mapping[str, Any], route: Route) -> str:
    return ""


@dataclass(frozen=True)
class Key(Generic[T]):
    """A key of `config_api`: everything that is known of it.

    `form` is what may be written there and `help` what it means, both for the docs.
    `fallback` names the config key with the default, `default` is used without one.
    `check` returns what is wrong with a value on this route under this config, or "".
    With `needs_token` a route that has the key needs a user token.
    """

    name: str
    field: str
    parse: Callable[[Any], T]
    default: T
    form: str
    help: str
    example: Any
    fallback: str = ""
    describe: Callable[[T], Any] = _plain
    check: Callable[[T, Mapping[str, Any], Route], str] = _accept
    needs_token: bool = False

    def of(self, policy: RoutePolicy) -> T:
        """Return the value of this key for a route."""
        if self.field in SHARED:
            shared: T = getattr(policy, self.field)
            return shared
        value: T = policy.values.get(self.field, self.default)
        return value


def whole(value: Any) -> int:
    """Parse a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("expected a whole number of at least 1")
    return value


def flag(value: Any) -> bool:
    """Parse 0 or 1."""
    if value not in (0, 1):
        raise ValueError("expected 0 or 1")
    return bool(value)


def number(least: float) -> Callable[[Any], float]:
    """Return a parser of numbers of at least `least`."""

    def parse_number(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError("expected a number")
        if value < least:
            raise ValueError(f"expected at least {least}")
        return value

    return parse_number


def parse(
    name: str, entry: Any, keys: Mapping[str, Key[Any]], problems: list[str]
) -> dict[str, Any]:
    """Parse one entry of config_api into values by field; note every fault."""
    if not isinstance(entry, Mapping):
        problems.append(f"config_api[{name!r}]: expected a dict")
        return {}
    values = {}
    for word, value in entry.items():
        key = keys.get(word)
        if key is None:
            hint = nearest(str(word), keys)
            problems.append(f"config_api[{name!r}]: no key {word!r}. {hint}".rstrip())
            continue
        try:
            values[key.field] = key.parse(value)
        except (ValueError, TypeError) as error:
            problems.append(f"config_api[{name!r}]: {word}: {error}")
    return values


def describe(policy: RoutePolicy, keys: Sequence[Key[Any]]) -> dict[str, Any]:
    """Return a policy as plain data, its values as they are written in config_api."""
    shared = {name: getattr(policy, name) for name in ("name", "tier", *SHARED)}
    del shared["values"]
    return shared | {
        key.field: key.describe(key.of(policy))
        for key in keys
        if key.field not in SHARED
    }
