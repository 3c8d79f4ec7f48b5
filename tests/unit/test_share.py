"""Shares of a pool: one caller never gets all of it; who waits is served in turn."""

import asyncio

import pytest

from atom.errors import Unavailable
from atom.postgres import share
from atom.postgres.share import Caller, Pace, Shares
from tests.unit.conftest import Clock


def caller(name, tier="my"):
    return Caller(tier, name, lambda: None)


async def late(shares, name, seconds=None):
    """Wait as a caller who did not enter."""
    one = caller(name)
    assert not shares.enter(one)
    await shares.wait(one, seconds)
    return one


@pytest.fixture
def clock(monkeypatch):
    """Let a test set the time."""
    now = Clock()
    monkeypatch.setattr(share, "monotonic", now)
    return now


def used(shares, clock, one, seconds, pace=None):
    """Let a request enter, take so long, and leave."""
    assert shares.enter(one, pace)
    clock.now += seconds
    shares.leave(one)
    if pace is not None:
        pace.add(seconds)


def test_one_caller_gets_a_quarter():
    """The others find the rest, up to the reserve of the server."""
    shares, first = Shares(20), caller("b")
    assert shares.enter(first)
    assert [True] * 5 + [False] == [shares.enter(caller("a")) for _ in range(6)]
    shares.leave(first)
    for name in "bc":
        assert [True] * 5 == [shares.enter(caller(name)) for _ in range(5)]
    assert not shares.enter(caller("d"))  # a tier gets three quarters
    assert [True] * 3 == [shares.enter(caller("e", "public")) for _ in range(3)]
    assert not shares.enter(caller("f", "public"))  # two are for the server itself


def test_a_caller_alone_gets_half():
    """Whoever comes next finds a quarter at once, and from then on it is a quarter."""
    shares = Shares(20)
    held = [caller("a") for _ in range(11)]
    assert [True] * 10 + [False] == [shares.enter(each) for each in held]
    assert [True] * 5 + [False] == [shares.enter(caller("b")) for _ in range(6)]
    for each in held[:5]:
        shares.leave(each)
    assert not shares.enter(caller("a"))


async def test_a_caller_who_waits_is_another_one(clock):
    """However long it has waited."""
    shares = Shares(8)
    for name in "bccddee":
        assert shares.enter(caller(name, f"tier {name}"))
    waiting = asyncio.create_task(late(shares, "a"))
    await asyncio.sleep(0)
    clock.now += 60
    one = caller("b", "tier b")
    assert not shares.enter(one)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


def test_a_caller_is_there_for_a_second_after_its_last_request(clock):
    """Between two requests of one the other does not get all the room."""
    shares = Shares(20)
    used(shares, clock, caller("b"), 0.001)
    assert [True] * 5 + [False] == [shares.enter(caller("a")) for _ in range(6)]
    clock.now += 1.1
    assert [True] * 5 + [False] == [shares.enter(caller("a")) for _ in range(6)]


def test_a_caller_of_two_tiers_is_one():
    """What it uses as a user counts for it as an admin."""
    shares = Shares(20)
    assert shares.enter(caller("b"))
    assert [True] * 3 == [shares.enter(caller("a")) for _ in range(3)]
    assert [True] * 2 + [False] == [
        shares.enter(caller("a", "admin")) for _ in range(3)
    ]


async def test_of_what_runs_long_a_caller_has_one_at_once(clock):
    """While others are there; what it asks that is short does not wait for it."""
    shares, slow, quick = Shares(20), Pace(), Pace()
    quick.add(0.001)
    used(shares, clock, caller("a"), 0.4, slow)
    held = [caller("a"), caller("a")]
    assert [True] * 2 == [shares.enter(each, slow) for each in held]  # not much so far
    clock.now += 0.4
    assert shares.enter(caller("b"))
    for each in held:
        shares.leave(each)

    long = [caller("a"), caller("a")]
    assert [True, False] == [shares.enter(each, slow) for each in long]
    assert not shares.enter(caller("a"))  # of unknown pace: as what it asked before
    with pytest.raises(Unavailable, match="1 database .* for what runs long") as caught:
        await shares.wait(long[1], 0)
    assert "pool.share" == caught.value.code
    assert [True] * 4 + [False] == [shares.enter(caller("a"), quick) for _ in range(5)]


async def test_who_is_alone_again_has_half_at_once(clock):
    """All that waited for the one that ran long are let in, not one after another."""
    shares, slow = Shares(20), Pace()
    used(shares, clock, caller("b"), 0.001)
    used(shares, clock, caller("a"), 1, slow)
    first, other = caller("a"), caller("b")
    assert shares.enter(other)
    assert shares.enter(first, slow)
    ones = [caller("a") for _ in range(12)]
    assert not any(shares.enter(each, slow) for each in ones)
    tasks = [asyncio.create_task(shares.wait(each, None)) for each in ones]
    await asyncio.sleep(0)
    shares.leave(first)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 1 == sum(task.done() for task in tasks)

    shares.leave(other)
    clock.now += 1.1
    shares._look()  # before long, by itself
    await asyncio.gather(*tasks[:10])
    assert not tasks[10].done()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_has_used_least_is_next(clock):
    """Not who came first."""
    shares, order = Shares(8), []
    used(shares, clock, caller("a"), 0.3)
    used(shares, clock, caller("b"), 0.2)
    held = [caller("x"), caller("x"), *(caller(f"y{n}") for n in range(4))]
    assert all(shares.enter(each) for each in held)

    async def wait(name):
        await late(shares, name)
        order.append(name)

    tasks = []
    for name in "abc":
        tasks.append(asyncio.create_task(wait(name)))
        await asyncio.sleep(0)
    for each in held[:3]:
        shares.leave(each)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert ["c", "b", "a"] == order


def test_short_ones_do_not_hide_a_long_one():
    """Nor does a single slow moment make short ones long."""
    pace = Pace()
    pace.add(1)
    for _ in range(20):
        pace.add(0.001)
    assert pace.is_long
    pace = Pace()
    for _ in range(50):
        pace.add(0.001)
    pace.add(0.015)
    assert not pace.is_long


def test_callers_are_forgotten(clock):
    """Those who use nothing and were not there lately."""
    shares, one = Shares(20), caller("one")
    assert shares.enter(one)
    for number in range(5000):
        used(shares, clock, caller(f"a{number}"), 0.1)
    assert len(shares._uses) < 2000
    assert shares._uses["one"] is one.use


def test_small_pool_is_not_divided():
    """There is nothing to share in a pool of three."""
    assert not Shares(3).is_divided
    assert Shares(8).is_divided


async def test_who_waits_is_served_in_turn_with_the_other_callers():
    """A hundred that wait for one caller do not stand before one of another."""
    shares, order = Shares(8), []
    held = [caller("x"), caller("x"), *(caller(f"y{n}") for n in range(4))]
    assert all(shares.enter(each) for each in held)

    async def wait(name):
        await late(shares, name, 5)
        order.append(name)

    tasks = [asyncio.create_task(wait("a")) for _ in range(10)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(wait("b")))
    await asyncio.sleep(0)
    for each in held[:3]:
        shares.leave(each)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert ["a", "b", "a"] == order
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_caller_is_told_apart_from_the_pool():
    """Who uses too much hears pool.share; who meets a full pool, pool.exhausted."""
    shares = Shares(8)
    for _ in range(4):
        shares.enter(caller("a"))
    with pytest.raises(Unavailable) as caught:
        await late(shares, "a", 0.01)
    assert "pool.share" == caught.value.code
    assert "Retry-After" in caught.value.headers

    for name in "bc":
        shares.enter(caller(name, "admin"))
    shares.enter(caller("d"))
    with pytest.raises(Unavailable) as caught:
        await late(shares, "e", 0.01)
    assert "pool.exhausted" == caught.value.code


async def test_who_leaves_while_waiting_leaves_nothing_behind():
    """However a wait ends, the count is right again."""
    shares = Shares(8)
    first, second = caller("a"), caller("a")
    assert shares.enter(caller("b"))
    assert shares.enter(first) and shares.enter(second)
    waiting = asyncio.create_task(late(shares, "a"))
    served = asyncio.create_task(late(shares, "a"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    shares.leave(first)
    served.cancel()  # served and cancelled at once
    await asyncio.gather(served, return_exceptions=True)
    shares.leave(second)

    assert shares.enter(caller("a")) and shares.enter(caller("a"))
    assert not shares.enter(caller("a"))


@pytest.mark.parametrize("others", [0, 1])
async def test_who_gives_up_just_as_there_is_room_is_passed_over(others):
    """Cancelled, and not yet run: the room is for the next one, and nothing fails."""
    shares = Shares(8)
    held = [caller("a") for _ in range(4)]
    assert all(shares.enter(each) for each in held)
    gone = asyncio.create_task(late(shares, "a"))
    await asyncio.sleep(0)
    served = [asyncio.create_task(late(shares, "a")) for _ in range(others)]
    await asyncio.sleep(0)
    gone.cancel()
    shares.leave(held.pop())
    await asyncio.gather(gone, *served, return_exceptions=True)

    assert [True] * (1 - others) + [False] == [
        shares.enter(caller("a")) for _ in range(2 - others)
    ]


@pytest.mark.parametrize("steps", range(1, 5))
async def test_who_is_too_late_and_cancelled_at_once_is_not_counted(steps):
    """At whatever moment the two meet, the room that there is stays as it was."""
    shares, held = Shares(8), [caller("a") for _ in range(4)]
    assert all(shares.enter(each) for each in held)
    waiting = asyncio.create_task(late(shares, "a", 0))
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert not shares.enter(caller("a"))
    shares.leave(held[0])
    assert shares.enter(caller("a"))
