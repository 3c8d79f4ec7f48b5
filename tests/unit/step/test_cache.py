"""Answers that are repeated."""

import asyncio

import pytest

from atom.errors import NotFound
from atom.http.policy import RoutePolicy
from atom.http.step.cache import CacheRule, answer_from_cache, key_for
from tests.unit.step.probe import Route, body, headers

CACHED = RoutePolicy(name="GET /test", values={"cache": CacheRule("inmemory", 60)})


async def test_second_answer_is_the_first_again(exchange):
    """Body and content type are replayed and marked."""
    route, stores = Route(), exchange().ports.stores
    first = exchange(query="a=1&b=2", policy=CACHED, stores=stores)
    second = exchange(query="b=2&a=%31", policy=CACHED, stores=stores)
    await answer_from_cache(first, route)
    await answer_from_cache(second, route)

    assert 1 == route.reached
    assert body(first) == body(second)
    assert b"application/json" == headers(second)[b"content-type"]
    assert b"hit" == headers(second)[b"x-cache"]
    assert ("stored", "cached") == (first.outcome, second.outcome)


async def test_users_never_share_an_answer(exchange):
    """Not with each other, and not with strangers."""
    route, stores = Route(), exchange().ports.stores
    for user in ({}, {"id": 1}, {"id": 2}):
        made = exchange(policy=CACHED, stores=stores)
        made.user.update(user)
        await answer_from_cache(made, route)

    assert 3 == route.reached


async def test_only_a_200_is_kept(exchange):
    """A refusal is asked again, and stays a refusal."""
    route, stores = Route(error=NotFound("no")), exchange().ports.stores
    for _ in range(2):
        with pytest.raises(NotFound):
            await answer_from_cache(exchange(policy=CACHED, stores=stores), route)

    assert 2 == route.reached


async def test_many_askers_are_one_question(exchange):
    """Forty askers at once make the route work once."""
    stores = exchange().ports.stores

    class Slow(Route):
        async def __call__(self, exchange):
            await asyncio.sleep(0.02)
            await super().__call__(exchange)

    route = Slow()
    asked = [exchange(policy=CACHED, stores=stores) for _ in range(40)]
    await asyncio.gather(*(answer_from_cache(one, route) for one in asked))

    assert 1 == route.reached
    assert 1 == len({body(one) for one in asked})


def test_values_cannot_pose_as_other_parameters():
    """Escaping keeps `a=1&b=2` apart from one parameter that holds it."""
    assert key_for("x", "a=1&b=2", "u") != key_for("x", "a=1%26b%3D2", "u")
