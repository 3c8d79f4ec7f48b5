"""`concurrency_max`: how many requests a route works on at once, in each process."""

from collections import Counter

from atom.errors import Unavailable
from atom.http.exchange import Exchange
from atom.http.policy import Key, whole
from atom.http.step import Proceed, Step

CONCURRENCY_MAX: Key[int | None] = Key(
    "concurrency_max",
    "concurrency",
    whole,
    None,
    form="whole number",
    help="503 with `Retry-After` above so many at once, in each process.",
    example=20,
)

running: Counter[str] = Counter()


async def limit_concurrency(exchange: Exchange, proceed: Proceed) -> None:
    """Refuse at once a request that could only queue up."""
    policy = exchange.policy
    if running[policy.name] >= (CONCURRENCY_MAX.of(policy) or 0):
        raise Unavailable(
            "This route is busy.", code="concurrency.exceeded", hint="Try again."
        )
    running[policy.name] += 1
    try:
        await proceed(exchange)
    finally:
        running[policy.name] -= 1


STEP = Step(
    limit_concurrency,
    "the route is not busy",
    keys=(CONCURRENCY_MAX,),
    codes=("concurrency.exceeded",),
    applies=lambda policy: CONCURRENCY_MAX.of(policy) is not None,
)
