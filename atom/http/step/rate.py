"""`ratelimiter_times_sec`: how often one caller may use one route."""

from atom.account.login import network
from atom.errors import RateLimited
from atom.http.exchange import Exchange, Proceed, only_if, websocket_too


def caller(exchange: Exchange) -> str:
    """Name who is counted: the user, else the network their address is one of."""
    if exchange.user:
        return exchange.identity
    return f"ip:{network(exchange.address)}"


@websocket_too
@only_if(lambda policy: policy.rate is not None)
async def limit_rate(exchange: Exchange, proceed: Proceed) -> None:
    """Turn away a caller who has used up the window."""
    rule = exchange.policy.rate
    assert rule is not None
    hits, left = await exchange.ports.counter.hit(
        f"rate:{exchange.policy.name}:{caller(exchange)}", rule.seconds
    )
    remaining = max(rule.times - hits, 0)
    exchange.extra_headers += [
        (b"ratelimit-policy", b'"default";q=%d;w=%d' % (rule.times, rule.seconds)),
        (b"ratelimit", b'"default";r=%d;t=%d' % (remaining, left)),
    ]
    if hits > rule.times:
        raise RateLimited(seconds=max(left, 1))
    await proceed(exchange)
