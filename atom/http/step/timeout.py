"""`timeout_sec`: how long a route may take until its answer begins."""

import asyncio

from starlette.types import Message

from atom.errors import TimedOut
from atom.http.exchange import Exchange, Proceed, only_if


@only_if(lambda policy: policy.timeout is not None)
async def limit_time(exchange: Exchange, proceed: Proceed) -> None:
    """Stop a route that has not begun to answer; its transaction is rolled back.

    Once the answer has begun it may take as long as it needs: a stream is not cut.
    """
    try:
        async with asyncio.timeout(exchange.policy.timeout) as limit:
            send = exchange._send

            async def disarm(message: Message) -> None:
                limit.reschedule(None)
                await send(message)

            exchange._send = disarm
            await proceed(exchange)
    except TimeoutError:
        if not limit.expired():
            raise
        raise TimedOut(
            "This took too long.", hint="Ask for less, or raise timeout_sec."
        ) from None
    finally:
        exchange._send = send
