"""One shape for every error."""

import pytest

from atom.http.step.error import answer_errors
from atom.reply import success
from tests.unit.step.probe import Route, body


@pytest.mark.parametrize("env", ["production", "staging", "qa"])
async def test_a_fault_shows_nothing_outside_development(exchange, env):
    """The text of an exception may hold anything."""
    made = exchange(config={"config_env": env})
    await answer_errors(made, Route(error=RuntimeError("secret detail")))

    assert 500 == made.status
    assert b"secret" not in body(made)
    assert b"RuntimeError" not in body(made)


async def test_a_fault_is_logged_once_after_the_answer_began(exchange, caplog):
    """And not raised again for the server to log it as well."""
    made = exchange()

    async def late(exchange):
        await exchange.reply(success("ok"))
        raise RuntimeError("late")

    await answer_errors(made, late)

    assert 200 == made.status
    assert 1 == caplog.text.count("RuntimeError: late")
