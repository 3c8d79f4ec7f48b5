"""`id`: which users may call an /admin route."""

from atom.errors import Forbidden, Unavailable
from atom.exchange import Exchange, Proceed, only_if, websocket_too


def listed(value: object) -> frozenset[int]:
    """Read api_access as a token carries it: a comma text, a list, or nothing.

    >>> sorted(listed("1, 2,x"))
    [1, 2]
    """
    parts = value if isinstance(value, list) else str(value or "").split(",")
    words = (str(part).strip() for part in parts)
    return frozenset(int(word) for word in words if word.isdecimal())


@websocket_too
@only_if(lambda policy: policy.tier == "admin")
async def require_access(exchange: Exchange, proceed: Proceed) -> None:
    """Let an admin route through only for users whose api_access lists its id."""
    ports, mode = exchange.ports, exchange.ports.config["config_mode_check_api_access"]
    if exchange.policy.id is None:
        raise Forbidden("api id not mapped", code="access.unmapped")
    if mode == "token":
        ids = listed(exchange.user.get("api_access"))
    else:
        if ports.users is None or exchange.state is None:
            raise Unavailable("Access cannot be checked.", hint="Is a database set?")
        state = exchange.state
        if mode == "database":
            state = await ports.users.fresh(exchange.user["id"]) or state
        ids = state.api_access
    if exchange.policy.id not in ids:
        raise Forbidden("api access denied")
    await proceed(exchange)
