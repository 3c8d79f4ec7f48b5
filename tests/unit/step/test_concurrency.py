"""Routes that are busy."""

import pytest

from atom.errors import Unavailable
from atom.http.policy import RoutePolicy
from atom.http.step.concurrency import limit_concurrency
from tests.unit.step.probe import Route


async def test_a_busy_route_refuses(exchange):
    """What is over the limit is refused at once; room is given back."""
    policy = RoutePolicy(name="GET /busy", values={"concurrency": 1})
    route = Route()

    async def nested(first):
        with pytest.raises(Unavailable):
            await limit_concurrency(exchange(policy=policy), route)

    await limit_concurrency(exchange(policy=policy), nested)
    await limit_concurrency(exchange(policy=policy), route)
    assert 1 == route.reached
