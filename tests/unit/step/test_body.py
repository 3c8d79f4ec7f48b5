"""Bodies and their limit."""

import pytest

from atom.errors import TooLarge
from atom.http.policy import RoutePolicy
from atom.http.step.body import limit_body
from tests.unit.step.probe import Route


async def test_announced_body_is_refused_unread(exchange):
    """Content-Length above the limit never reaches the route."""
    made = exchange(method="POST", policy=RoutePolicy(values={"body_bytes": 10}))
    made.content_length = b"11"
    with pytest.raises(TooLarge):
        await limit_body(made, Route())


async def test_body_without_length_is_counted(exchange):
    """A chunked body stops at the limit."""
    made = exchange(
        method="POST", policy=RoutePolicy(values={"body_bytes": 10}), body=b"x" * 11
    )

    async def read(exchange):
        await exchange.body()

    with pytest.raises(TooLarge):
        await limit_body(made, read)
