"""One shape for every error."""

from atom.http.step.error import answer_errors
from tests.unit.step.probe import Route, body


async def test_fault_tells_nothing(exchange):
    """The text of an exception stays with us."""
    made = exchange()
    await answer_errors(made, Route(error=RuntimeError("secret detail")))

    assert 500 == made.status
    assert b"secret" not in body(made)
