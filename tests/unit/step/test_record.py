"""The row of log_api."""

import pytest

from atom.errors import Forbidden
from atom.http.step.error import answer_errors
from atom.http.step.record import masked, record
from atom.observe.journal import COLUMNS
from tests.unit.step.probe import Route


async def test_one_row_for_a_request(exchange):
    """What was asked, how it was answered; secrets starred."""
    made = exchange(query="a=1&otp=123456")

    async def inner(exchange):
        await answer_errors(exchange, Route(error=Forbidden("no")))

    await record(made, inner)
    (row,) = made.ports.journal.rows
    recorded = dict(zip(COLUMNS, row, strict=True))

    assert (5, 403, "a=1&otp=***") == (
        recorded["type"],
        recorded["status_code"],
        recorded["query_param"],
    )


@pytest.mark.parametrize(
    "query",
    ["token=abc", "x=1&password_old=abc", "OTP=abc", "google_token=abc&y=2"],
)
def test_secret_values_are_masked(query):
    """No spelling of a secret-looking name shows its value."""
    assert "abc" not in masked(query)
