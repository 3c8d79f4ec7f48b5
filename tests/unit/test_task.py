"""Work that outlives its request."""

import asyncio

import pytest

from atom.task import Backlog, Tasks, ended


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """A clock at zero."""
    return Clock()


def backlog(tasks, clock, **limits):
    """Return a small backlog of these tasks."""
    tasks.backlog = Backlog(tasks, clock=clock, **limits)
    return tasks.backlog


async def test_no_more_than_so_much_is_done_at_once(clock):
    """In order; what waits is begun as soon as there is room."""
    tasks, done, most = Tasks(), [], []
    waiting = backlog(tasks, clock, at_once=3)
    active = 0

    def work(number):
        async def run():
            nonlocal active
            active += 1
            most.append(active)
            await asyncio.sleep(0.001)
            active -= 1
            done.append(number)

        return run

    for number in range(20):
        waiting.add(work(number), name="x", size=1)
    assert 0 == await tasks.drain(seconds=10)

    assert 3 == max(most)
    assert sorted(done) == done == list(range(20))


async def test_it_is_full_by_number_bytes_and_age(clock):
    """Each of them alone."""
    tasks, hold = Tasks(), asyncio.Event()
    waiting = backlog(
        tasks, clock, at_once=1, number_max=3, bytes_max=10, seconds_max=5
    )
    waiting.add(hold.wait, name="x", size=4)
    await asyncio.sleep(0)

    assert waiting.is_full(7)
    assert not waiting.is_full(6)
    waiting.add(hold.wait, name="x", size=0)
    clock.now = 4
    assert not waiting.is_full(0)
    clock.now = 6
    assert waiting.is_full(0)
    clock.now = 0
    for _ in range(2):
        waiting.add(hold.wait, name="x", size=0)
    assert waiting.is_full(0)
    hold.set()
    assert 0 == await tasks.drain(seconds=10)
    assert not waiting.is_full(10)


async def test_work_that_fails_does_not_stop_the_rest(clock, caplog):
    """It is logged; what it held is given back."""
    tasks, done = Tasks(), []
    waiting = backlog(tasks, clock, at_once=1, bytes_max=10)

    async def fail():
        raise LookupError("no row")

    async def work():
        done.append(1)

    waiting.add(fail, name="background POST /x", size=10)
    waiting.add(work, name="x", size=0)
    await tasks.drain(seconds=10)

    assert [1] == done
    assert not waiting.is_full(10)
    assert "background POST /x failed" in caplog.text


async def test_what_cannot_be_done_before_the_end_is_logged(clock, caplog):
    """One line for each, by name."""
    tasks = Tasks()
    waiting = backlog(tasks, clock, at_once=1)
    for _ in range(3):
        waiting.add(asyncio.Event().wait, name="background POST /x", size=0)

    assert 3 == await tasks.drain(seconds=0.05)
    assert 2 == caplog.text.count("background POST /x dropped")


async def test_lost_cancellation_is_repeated():
    """As of a task that had its answer in the same moment: it goes on, and waits."""

    async def work():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(work()) for _ in range(2)]
    await asyncio.sleep(0)
    await ended(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_task_that_does_not_end_is_logged(caplog):
    """And no one waits for it."""
    may_end = asyncio.Event()

    async def work():
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(work(), name="stubborn")
    await asyncio.sleep(0)
    await ended([task], seconds=0.01)
    assert "stubborn does not end" in caplog.text
    may_end.set()
    await task
