"""`config_sentry_dsn`: errors know their route, and some requests are timed."""

from random import random

from atom.http.exchange import Exchange
from atom.http.step import Proceed, Step
from atom.observe import tracing
from atom.observe.request_context import ROUTE


async def trace(exchange: Exchange, proceed: Proceed) -> None:
    """Note the route for errors; time the request if it is chosen."""
    name = exchange.policy.name or "unknown"
    ROUTE.set(name)
    if random() >= tracing.rate():  # noqa: S311
        return await proceed(exchange)
    import sentry_sdk

    with (
        sentry_sdk.isolation_scope(),
        sentry_sdk.start_transaction(
            op="http.server", name=name, source="route"
        ) as transaction,
    ):
        await proceed(exchange)
        if exchange.status:
            transaction.set_http_status(exchange.status)


STEP = Step(
    trace,
    "its route is known to Sentry, where that is on",
    applies=lambda policy: tracing.is_on(),
)
