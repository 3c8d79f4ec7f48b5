"""Answered at once, done after."""

import gc
from functools import partial

import orjson
import pytest

from atom.errors import ApiError, TooLarge, Unavailable
from atom.http.policy import RoutePolicy
from atom.http.step.background import asked_for, run_in_background
from atom.http.step.record import record
from atom.task import Tasks
from tests.unit.step.probe import Route, body

ALLOWED = RoutePolicy(name="POST /test", values={"background": True})


async def test_answers_at_once_and_works_after(exchange):
    """The caller does not wait; the row of the log comes with the result."""
    made = exchange(query="is_background=1", method="POST", policy=ALLOWED, body=b"{}")
    made.after = lambda exchange: done.append(exchange.description)
    done, route = [], Route()
    await run_in_background(made, route)

    assert "added in background" == orjson.loads(body(made))["message"]
    assert 0 == route.reached
    await made.ports.tasks.drain(seconds=1)
    assert 1 == route.reached
    assert "ok" in done[0]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_route_that_does_not_allow_it_refuses(exchange, method):
    """Or its checked answer could be turned into an acknowledgement."""
    with pytest.raises(ApiError) as caught:
        made = exchange(query="is_background=1", method=method)
        await run_in_background(made, Route())

    assert "background.not_allowed" == caught.value.code


async def test_bodies_that_wait_are_bounded(exchange):
    """A caller who need not wait for an answer cannot fill the memory."""
    query = {"query": "is_background=1", "method": "POST", "policy": ALLOWED}
    tasks = Tasks()
    tasks.backlog.bytes_max = 5
    first, second, third = (
        exchange(**query, body=b"{ }", tasks=tasks) for _ in range(3)
    )
    await run_in_background(first, Route())

    with pytest.raises(Unavailable) as caught:
        await run_in_background(second, Route())
    assert "background.busy" == caught.value.code
    assert caught.value.headers["Retry-After"]
    await tasks.drain(seconds=10)
    await run_in_background(third, Route())
    await tasks.drain(seconds=10)

    with pytest.raises(TooLarge):
        await run_in_background(exchange(**query, body=b"{    }", tasks=tasks), Route())


async def test_a_waiting_request_leaves_no_cycle(exchange):
    """It is freed the moment it is done, whatever the garbage collector does."""
    tasks, counted = Tasks(), []

    async def one():
        made = exchange(
            query="is_background=1",
            method="POST",
            policy=ALLOWED,
            body=b"{}",
            tasks=tasks,
        )
        await record(made, partial(run_in_background, proceed=Route()))

    for _ in range(3):  # what is made once is made
        await one()
    await tasks.drain(seconds=10)
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            await one()
        await tasks.drain(seconds=10)
        counted.append(gc.collect())
    finally:
        gc.enable()

    assert counted[0] < 100, counted


def test_value_must_be_0_or_1():
    """Anything else is refused, never guessed."""
    with pytest.raises(ApiError):
        asked_for("is_background=yes")
