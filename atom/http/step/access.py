"""`id`, `is_access`: which users may call a route."""

from atom.account import access
from atom.http.exchange import Exchange
from atom.http.policy import Key, RoutePolicy, flag, whole
from atom.http.step import Caller, Check, Proceed, Step

ID: Key[int | None] = Key(
    "id",
    "id",
    whole,
    None,
    form="whole number, one route's own",
    help="Api id: users who list it in `api_access` may call an `/admin` route.",
    example=20,
)
IS_ACCESS: Key[bool] = Key(
    "is_access",
    "access_required",
    flag,
    False,
    form="0 or 1",
    help="The check of `id` on a route outside `/admin`; a user token is needed.",
    example=1,
)


async def require_access(exchange: Exchange, proceed: Proceed) -> None:
    """Let only users through who have the id of the route in their api_access."""
    user, state = exchange.user, exchange.state
    await access.require(exchange.ports, user, exchange.policy.id, state)
    await proceed(exchange)


def _explain(policy: RoutePolicy, caller: Caller) -> Check:
    if not policy.access_required:
        return Check("access", "not checked")
    user = caller.user
    allowed = user is not None and policy.id in user.api_access
    return Check("access", f"id {policy.id}", "" if allowed else "api access denied")


STEP = Step(
    require_access,
    "the user's `api_access` lists the id of the route",
    keys=(ID, IS_ACCESS),
    codes=("access.denied", "access.unmapped"),
    applies=lambda policy: policy.access_required,
    explain=_explain,
    guards=True,
    websocket=True,
)
