"""When a service that fell silent may be asked again."""

import logging

from atom.adapter import Patience


def test_one_caller_in_each_pause_tries(clock):
    """The others are spared the wait for a dead server."""
    patience = Patience("Redis", "nothing is cached", clock=clock)
    assert patience.may_ask()
    patience.failed(OSError())

    assert [False, False] == [patience.may_ask() for _ in range(2)]
    clock.now += 1
    assert [True, False] == [patience.may_ask() for _ in range(2)]
    clock.now += 1
    assert [True, False] == [patience.may_ask() for _ in range(2)]


def test_answer_ends_the_silence(clock):
    """From then on everybody may ask."""
    patience = Patience("Redis", "nothing is cached", clock=clock)
    patience.failed(OSError())
    patience.answered()

    assert [True, True] == [patience.may_ask() for _ in range(2)]


def test_silence_is_said_once_and_so_is_its_end(clock, caplog):
    """A log that repeats itself is not read."""
    caplog.set_level(logging.INFO)
    patience = Patience("Redis", "nothing is cached", clock=clock)
    for _ in range(5):
        patience.failed(OSError("secret"))
    for _ in range(5):
        patience.answered()

    assert [
        "Redis is silent (OSError): nothing is cached",
        "Redis answers again",
    ] == [one.message for one in caplog.records]
