"""What Sentry is to know of a request."""

from atom.http.policy import RoutePolicy
from atom.http.step.trace import STEP, trace
from atom.observe import tracing
from atom.observe.request_context import ROUTE


async def test_route_is_noted_without_the_path(exchange):
    """An error logged anywhere below has it."""
    seen = []

    async def answer(asked):
        seen.append(ROUTE.get())

    policy = RoutePolicy(name="GET /shop/{name}")
    await trace(exchange("/shop/zoe", policy=policy), answer)
    await trace(exchange("/nowhere", policy=RoutePolicy(name="")), answer)

    assert ["GET /shop/{name}", "unknown"] == seen


def test_off_the_step_is_left_out():
    """A server without Sentry does not pay for it."""
    policy = RoutePolicy(name="GET /x")
    assert not STEP.applies(policy)
    tracing.start(0.5)
    try:
        assert STEP.applies(policy)
        assert 0.5 == tracing.rate()
    finally:
        tracing.stop()
    assert not STEP.applies(policy)
