"""Routes that take too long."""

import asyncio

import pytest

from atom.errors import TimedOut
from atom.http.policy import RoutePolicy
from atom.http.step.timeout import limit_time
from tests.unit.step.probe import body


async def test_slow_route_is_stopped(exchange):
    """The handler is cancelled, not left running."""
    stopped = []

    async def slow(exchange):
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    with pytest.raises(TimedOut):
        await limit_time(exchange(policy=RoutePolicy(values={"timeout": 0.01})), slow)
    assert [True] == stopped


async def test_begun_answer_is_not_cut(exchange):
    """A stream may take longer than its first byte."""
    made = exchange(policy=RoutePolicy(values={"timeout": 0.01}))

    async def stream(exchange):
        await exchange.send(
            {"type": "http.response.start", "status": 200, "headers": []}
        )
        await asyncio.sleep(0.05)
        await exchange.send({"type": "http.response.body", "body": b"end"})

    await limit_time(made, stream)
    assert b"end" == body(made)
