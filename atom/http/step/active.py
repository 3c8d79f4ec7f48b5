"""`is_active_check`: whether the user was switched off since the token was made."""

from atom.errors import Forbidden, Unavailable
from atom.http.exchange import Exchange, Proceed, only_if, websocket_too


@websocket_too
@only_if(lambda policy: policy.active_required)
async def require_active(exchange: Exchange, proceed: Proceed) -> None:
    """Turn away users who are known and inactive."""
    if not exchange.user:
        return await proceed(exchange)
    mode = exchange.ports.config["config_mode_check_is_active"]
    if mode == "token":
        active = exchange.user.get("is_active") != 0
    else:
        state, users = exchange.state, exchange.ports.users
        if state is None or users is None:
            raise Unavailable("Users cannot be checked.", hint="Is a database set?")
        if mode == "database":
            state = await users.fresh(exchange.user["id"])
        active = state is not None and state.is_active
    if not active:
        raise Forbidden("user not active", code="active.inactive")
    await proceed(exchange)
