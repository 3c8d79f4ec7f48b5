"""`timeout_sec`: how long a route may take until its answer begins."""

import asyncio
from collections.abc import Mapping
from typing import Any

from atom.errors import TimedOut
from atom.http.exchange import Exchange
from atom.http.policy import Key, number
from atom.http.route import Route
from atom.http.step import Proceed, Step


def _check(seconds: float | None, config: Mapping[str, Any], route: Route) -> str:
    if seconds is None or route.asynchronous:
        return ""
    return "timeout_sec needs an async route; a thread cannot be stopped"


TIMEOUT_SEC: Key[float | None] = Key(
    "timeout_sec",
    "timeout",
    number(0.001),
    None,
    form="seconds",
    help="504 when the answer has not begun by then; the handler is cancelled.",
    example=5,
    check=_check,
)


async def limit_time(exchange: Exchange, proceed: Proceed) -> None:
    """Stop a route that has not begun to answer; its transaction is rolled back.

    Once the answer has begun it may take as long as it needs: a stream is not cut.
    """
    try:
        async with asyncio.timeout(TIMEOUT_SEC.of(exchange.policy)) as limit:
            exchange.on_start = lambda: limit.reschedule(None)
            await proceed(exchange)
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimedOut(
            "This took too long.", hint="Ask for less, or raise timeout_sec."
        ) from None
    finally:
        exchange.on_start = None


STEP = Step(
    limit_time,
    "the answer begins in time",
    keys=(TIMEOUT_SEC,),
    codes=("timeout.exceeded",),
    applies=lambda policy: TIMEOUT_SEC.of(policy) is not None,
)
