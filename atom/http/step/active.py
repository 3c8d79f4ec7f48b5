"""`is_active_check`: whether the user was switched off since the token was made."""

from collections.abc import Coroutine, Mapping
from typing import Any

from atom.errors import Forbidden
from atom.http.exchange import Exchange
from atom.http.policy import Key, RoutePolicy, flag
from atom.http.step import Caller, Check, Proceed, Step
from atom.port import Ports, UserState

IS_ACTIVE_CHECK: Key[bool] = Key(
    "is_active_check",
    "active_required",
    flag,
    False,
    form="0 or 1",
    help="A user who was switched off is refused. Unset: wherever a token is required.",
    example=0,
)


async def require(
    ports: Ports, user: Mapping[str, Any], state: UserState | None
) -> None:
    """Refuse a user who is inactive, checked as `config_mode_check_is_active` sets.

    Raises:
        Forbidden: `active.inactive`.
    """
    if ports.http.mode_check_is_active == "database":
        state = await ports.users.fresh(user["id"])
    _require(ports, user, state)


def _require(ports: Ports, user: Mapping[str, Any], state: UserState | None) -> None:
    if ports.http.mode_check_is_active == "token":
        active = user.get("is_active") != 0
    else:
        active = state is not None and state.is_active
    if not active:
        raise Forbidden("user not active", code="active.inactive")


def require_active(exchange: Exchange, proceed: Proceed) -> Coroutine[Any, Any, None]:
    """Refuse users who are known and inactive."""
    user, ports = exchange.user, exchange.ports
    if user and ports.http.mode_check_is_active == "database":
        return _require_now(exchange, proceed)
    if user:
        _require(ports, user, exchange.state)
    return proceed(exchange)


async def _require_now(exchange: Exchange, proceed: Proceed) -> None:
    await require(exchange.ports, exchange.user, exchange.state)
    await proceed(exchange)


def _explain(policy: RoutePolicy, caller: Caller) -> Check:
    if not policy.active_required:
        return Check("active", "not checked")
    user = caller.user
    inactive = user is not None and not user.is_active
    return Check("active", "checked", "user not active" if inactive else "")


STEP = Step(
    require_active,
    "the user is active",
    keys=(IS_ACTIVE_CHECK,),
    codes=("active.inactive",),
    applies=lambda policy: policy.active_required,
    explain=_explain,
    guards=True,
    websocket=True,
)
