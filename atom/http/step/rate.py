"""`ratelimiter_times_sec`: how often one caller may use one route."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from atom.errors import RateLimited
from atom.http.exchange import Exchange
from atom.http.policy import Key, RoutePolicy
from atom.http.step import Caller, Check, Proceed, Step


@dataclass(frozen=True)
class RateRule:
    """At most `times` requests in each window of `seconds`."""

    times: int
    seconds: int

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Parse `[times, seconds]`, both whole numbers of at least 1."""
        wrong = "expected [times, seconds], two whole numbers of at least 1"
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
            raise ValueError(wrong)
        if any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in value):
            raise ValueError(wrong)
        return cls(*value)

    def describe(self) -> list[int]:
        """Return the rule as it is written in config_api."""
        return [self.times, self.seconds]


def _describe(rule: RateRule | None) -> Any:
    return rule and rule.describe()


RATELIMITER_TIMES_SEC: Key[RateRule | None] = Key(
    "ratelimiter_times_sec",
    "rate",
    RateRule.parse,
    None,
    form="`[times, seconds]`",
    help="So many calls in each window, for each user, or each address without a "
    "token.",
    example=[10, 60],
    describe=_describe,
)


async def limit_rate(exchange: Exchange, proceed: Proceed) -> None:
    """Refuse a caller who has used up the window."""
    rule = RATELIMITER_TIMES_SEC.of(exchange.policy)
    assert rule is not None
    hits, left = await exchange.ports.counter.hit(
        f"rate:{exchange.policy.name}:{exchange.caller}", rule.seconds
    )
    remaining = max(rule.times - hits, 0)
    exchange.extra_headers += [
        (b"ratelimit-policy", b'"default";q=%d;w=%d' % (rule.times, rule.seconds)),
        (b"ratelimit", b'"default";r=%d;t=%d' % (remaining, left)),
    ]
    if hits > rule.times:
        raise RateLimited(seconds=max(left, 1))
    await proceed(exchange)


def _explain(policy: RoutePolicy, caller: Caller) -> Check:
    return Check("rate", _describe(RATELIMITER_TIMES_SEC.of(policy)))


STEP = Step(
    limit_rate,
    "the caller has calls left in this window",
    keys=(RATELIMITER_TIMES_SEC,),
    codes=("rate.exceeded",),
    applies=lambda policy: RATELIMITER_TIMES_SEC.of(policy) is not None,
    explain=_explain,
    websocket=True,
)
