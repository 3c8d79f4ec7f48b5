"""`ratelimiter_times_sec`: how often one caller may use one route."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from atom.errors import RateLimited
from atom.exchange import Exchange, Proceed, only_if, websocket_too


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


@websocket_too
@only_if(lambda policy: policy.rate is not None)
async def limit_rate(exchange: Exchange, proceed: Proceed) -> None:
    """Turn away a caller who has used up the window."""
    rule = exchange.policy.rate
    assert rule is not None
    hits, left = await exchange.ports.counter.hit(
        f"rate:{exchange.policy.name}:{exchange.identity}", rule.seconds
    )
    remaining = max(rule.times - hits, 0)
    exchange.extra_headers += [
        (b"ratelimit-policy", b'"default";q=%d;w=%d' % (rule.times, rule.seconds)),
        (b"ratelimit", b'"default";r=%d;t=%d' % (remaining, left)),
    ]
    if hits > rule.times:
        raise RateLimited(seconds=max(left, 1))
    await proceed(exchange)
