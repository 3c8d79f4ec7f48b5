"""`concurrency_max`: how many requests a route works on at once, in each process."""

from collections import Counter

from atom.errors import Unavailable
from atom.http.exchange import Exchange, Proceed, only_if

running: Counter[str] = Counter()


@only_if(lambda policy: policy.concurrency is not None)
async def limit_concurrency(exchange: Exchange, proceed: Proceed) -> None:
    """Turn away at once what could only queue up."""
    policy = exchange.policy
    if running[policy.name] >= (policy.concurrency or 0):
        raise Unavailable(
            "This route is busy.", code="concurrency.exceeded", hint="Try again."
        )
    running[policy.name] += 1
    try:
        await proceed(exchange)
    finally:
        running[policy.name] -= 1
