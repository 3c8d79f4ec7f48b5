"""A signal while the server is not serving yet."""

import asyncio
import contextlib
import os
import signal

import pytest

from atom.command.serve import Shutdown


@pytest.fixture
def shutdown():
    """Handlers of signals, taken back after the test."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {each: signal.getsignal(each) for each in numbers}
    yield Shutdown()
    for each, handler in before.items():
        signal.signal(each, handler)


async def lose_one():
    """Ask this process to end, and lose the cancellation, as a library may."""
    os.kill(os.getpid(), signal.SIGTERM)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(30)


async def and_end():
    await lose_one()


async def and_go_on():
    await lose_one()
    await asyncio.sleep(30)


@pytest.mark.parametrize("work", [and_end, and_go_on])
def test_a_cancellation_that_is_lost_ends_it_all_the_same(shutdown, work):
    """Else it would go on to serve, and hear no later signal either."""
    with pytest.raises(SystemExit) as ended:
        shutdown.run(work())
    assert 0 == ended.value.code


def test_without_a_signal_it_goes_on(shutdown):
    async def work():
        await asyncio.sleep(0)

    shutdown.run(work())
