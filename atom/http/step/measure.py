"""`config_is_prometheus`: how many requests, how long they took, what refused them."""

from atom.http.exchange import Exchange
from atom.http.policy_table import METHODS
from atom.http.step import Proceed, Step
from atom.observe import metrics
from atom.observe.usage import IN_HAND

UNKNOWN = "unknown"  # the route of a path that has none: callers may try many
CLASSES = {number: f"{number}xx" for number in range(6)}


async def measure(exchange: Exchange, proceed: Proceed) -> None:
    """Count the request by its route, which was matched already, and time it."""
    kind = exchange.scope["type"]
    start = metrics.now()
    IN_HAND[kind] += 1
    try:
        await proceed(exchange)
    finally:
        IN_HAND[kind] -= 1
        count(exchange, *labels(exchange), metrics.now() - start)


def labels(exchange: Exchange) -> tuple[str, str]:
    """Return method and route of a request, of which there are only so many."""
    method, _, path = exchange.policy.name.partition(" ")
    if not path:
        return "-", UNKNOWN
    if method == "*":
        method = exchange.method if exchange.method in METHODS else "other"
    return method, path


def count(exchange: Exchange, method: str, path: str, seconds: float) -> None:
    """Count a request that has been answered."""
    status = exchange.status
    metrics.REQUESTS.add(method, path, CLASSES[status // 100])
    if exchange.scope["type"] == "http":
        metrics.SECONDS.observe(seconds, method, path)
    if status >= 400 and (code := exchange.description):
        metrics.REFUSED.add(code.partition(" ")[0])
    if exchange.outcome in ("cached", "stored"):
        metrics.CACHED.add(exchange.outcome)


STEP = Step(
    measure,
    "counted and timed, where metrics are on",
    applies=lambda policy: metrics.is_on(),
    websocket=True,
)
