"""What is counted of a request."""

import pytest

from atom.http.policy import RoutePolicy
from atom.http.step.measure import STEP, measure
from atom.observe import metrics
from atom.observe.usage import IN_HAND


@pytest.fixture
def counting():
    """Metrics, on for one test."""
    metrics.start()
    yield
    metrics.stop()


def counted(*labels):
    """Return how many requests were counted so."""
    return metrics.REQUESTS.of(labels)._value.get()


async def test_a_request_that_fails_is_in_hand_no_longer(exchange, counting):
    """It is counted by its route, even if nothing was answered."""

    async def fail(asked):
        assert 1 == IN_HAND["http"]
        raise KeyError

    policy = RoutePolicy(name="GET /fails/{id}")
    with pytest.raises(KeyError):
        await measure(exchange("/fails/7", policy=policy), fail)

    assert 0 == IN_HAND["http"]
    assert 1 == counted("GET", "/fails/{id}", "0xx")


@pytest.mark.parametrize(
    ("name", "method", "labels"),
    [
        ("GET /x", "HEAD", ("GET", "/x")),
        ("* /any", "PATCH", ("PATCH", "/any")),
        ("* /any", "XY" * 9, ("other", "/any")),
        ("", "GET", ("-", "unknown")),
    ],
    ids=["head", "any method", "odd method", "no route"],
)
async def test_callers_make_no_series_of_their_own(
    exchange, counting, name, method, labels
):
    """Neither by a path nor by a method that they invent."""

    async def answer(asked):
        asked.status = 204

    before = counted(*labels, "2xx")
    asked = exchange("/some", method=method, policy=RoutePolicy(name=name))
    await measure(asked, answer)

    assert before + 1 == counted(*labels, "2xx")


def test_off_the_step_is_left_out():
    """A server without metrics does not pay for them."""
    policy = RoutePolicy(name="GET /x")
    assert not STEP.applies(policy)
    metrics.start()
    try:
        assert STEP.applies(policy)
    finally:
        metrics.stop()
