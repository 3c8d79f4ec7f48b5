"""`id`: which users may call an /admin route."""

from atom.account import access
from atom.http.exchange import Exchange, Proceed, only_if, websocket_too


@websocket_too
@only_if(lambda policy: policy.tier == "admin")
async def require_access(exchange: Exchange, proceed: Proceed) -> None:
    """Let an admin route through only for users whose api_access lists its id."""
    user, state = exchange.user, exchange.state
    await access.require(exchange.ports, user, exchange.policy.id, state)
    await proceed(exchange)
