"""Callers and their windows."""

import pytest

from atom.errors import RateLimited
from atom.http.policy import RoutePolicy
from atom.http.step.rate import RateRule, limit_rate
from tests.unit.step.probe import Route, headers


async def test_caller_is_turned_away_once_the_window_is_used_up(exchange):
    """The third request in a window allowing two never reaches the route."""
    policy, route = (
        RoutePolicy(name="GET /x", values={"rate": RateRule(2, 60)}),
        Route(),
    )
    counter = exchange().ports.counter

    for _ in range(2):
        await limit_rate(exchange(policy=policy, counter=counter), route)
    with pytest.raises(RateLimited) as caught:
        await limit_rate(exchange(policy=policy, counter=counter), route)

    assert 2 == route.reached
    assert "60" == caught.value.headers["Retry-After"]


async def test_another_caller_has_a_window_of_his_own(exchange):
    """Addresses and users are counted apart."""
    policy, route = (
        RoutePolicy(name="GET /x", values={"rate": RateRule(1, 60)}),
        Route(),
    )
    counter = exchange().ports.counter
    for ip in ("10.0.0.1", "10.0.0.2"):
        await limit_rate(exchange(policy=policy, counter=counter, ip=ip), route)
    known = exchange(policy=policy, counter=counter)
    known.user["id"] = 7
    await limit_rate(known, route)

    assert 3 == route.reached


async def test_an_answer_shows_what_is_left(exchange):
    """RateLimit headers are on every answer of a limited route."""
    made = exchange(policy=RoutePolicy(values={"rate": RateRule(2, 60)}))
    await limit_rate(made, Route())

    assert b'"default";r=1;t=60' == headers(made)[b"ratelimit"]
