"""`role`: the roles of `config_role` that may call a route."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atom.config.view import view
from atom.errors import nearest
from atom.http.exchange import Exchange
from atom.http.policy import Key, RoutePolicy
from atom.http.step import Caller, Check, Proceed, Step

if TYPE_CHECKING:
    from atom.http.route import Route


@dataclass(frozen=True, slots=True)
class RoleConfig:
    """What config sets for roles."""

    role: Mapping[str, str]


def _parse(value: Any) -> tuple[str, ...]:
    """Parse a list of roles."""
    is_listed = isinstance(value, list | tuple) and value
    if not is_listed or not all(isinstance(each, str) and each for each in value):
        raise ValueError("expected a list of roles")
    return tuple(value)


def _check(names: tuple[str, ...], config: Mapping[str, Any], route: "Route") -> str:
    """Return which role config does not have, or ""."""
    known = view(RoleConfig, config).role if names else {}
    unknown = [name for name in names if name not in known]
    if not unknown:
        return ""
    near = nearest(unknown[0], known)
    return f"role: config_role has no {unknown[0]!r}. {near}".rstrip()


ROLE: Key[tuple[str, ...]] = Key(
    "role",
    "role",
    _parse,
    (),
    form='`["role", …]`',
    help="Users with one of these roles of `config_role` may call the route; a user "
    "token is needed. The database is asked for each request, before a cached answer "
    "is sent.",
    example=["reception"],
    describe=list,
    check=_check,
    needs_token=True,
)


async def require_role(exchange: Exchange, proceed: Proceed) -> None:
    """Let only users through who have one of the roles of the route."""
    names = ROLE.of(exchange.policy)
    await exchange.ports.roles.require(exchange.user["id"], names)
    await proceed(exchange)


def _applies(policy: RoutePolicy) -> bool:
    return bool(ROLE.of(policy))


def _explain(policy: RoutePolicy, caller: Caller) -> Check:
    names = ROLE.of(policy)
    if not names:
        return Check("role", "not checked")
    has_role = not caller.roles.isdisjoint(names)
    return Check("role", list(names), "" if has_role else "role denied")


STEP = Step(
    require_role,
    "the user has one of the roles of the route",
    keys=(ROLE,),
    codes=("role.denied", "role.broken"),
    applies=_applies,
    explain=_explain,
    guards=True,
    websocket=True,
)
