"""Answered at once, done after."""

import orjson
import pytest

from atom.errors import ApiError, TooLarge, Unavailable
from atom.http.step.background import asked_for, run_in_background
from tests.unit.step.probe import Route, body


async def test_answers_at_once_and_works_after(exchange):
    """The caller does not wait; the row of the log comes with the result."""
    made = exchange(query="is_background=1", method="POST", body=b"{}")
    made.after = lambda: done.append(made.description)
    done, route = [], Route()
    await run_in_background(made, route)

    assert "added in background" == orjson.loads(body(made))["message"]
    assert 0 == route.reached
    await made.ports.tasks.drain(seconds=1)
    assert 1 == route.reached
    assert "ok" in done[0]


async def test_reads_are_refused(exchange):
    """Nobody would see the answer of a read."""
    with pytest.raises(ApiError) as caught:
        await run_in_background(exchange(query="is_background=1"), Route())

    assert "background.refused" == caught.value.code


async def test_bodies_that_wait_are_bounded(exchange, monkeypatch):
    """Who need not wait for an answer cannot fill the memory; it is freed again."""
    monkeypatch.setattr("atom.http.step.background.HELD_MAX", 5)
    query = {"query": "is_background=1", "method": "POST"}
    first, second, third = (exchange(**query, body=b"{ }") for _ in range(3))
    await run_in_background(first, Route())

    with pytest.raises(Unavailable) as caught:
        await run_in_background(second, Route())
    assert "background.busy" == caught.value.code
    await first.ports.tasks.drain(seconds=10)
    await run_in_background(third, Route())
    await third.ports.tasks.drain(seconds=10)

    with pytest.raises(TooLarge):
        await run_in_background(exchange(**query, body=b"{    }"), Route())


def test_value_must_be_0_or_1():
    """Anything else is told, never guessed."""
    with pytest.raises(ApiError):
        asked_for("is_background=yes")
