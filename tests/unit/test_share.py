"""Shares of a pool: one caller never gets all of it; who waits is served in turn."""

import asyncio

import pytest

from atom.errors import Unavailable
from atom.postgres.share import Caller, Shares


def caller(name, tier="my"):
    return Caller(tier, name, None)


def test_one_caller_gets_a_quarter():
    """The others find the rest, up to the reserve of the server."""
    shares = Shares(20)
    assert shares.enter(caller("b"))
    assert [True] * 5 + [False] == [shares.enter(caller("a")) for _ in range(6)]
    shares.leave(caller("b"))
    for name in "bc":
        assert [True] * 5 == [shares.enter(caller(name)) for _ in range(5)]
    assert not shares.enter(caller("d"))  # a tier gets three quarters
    assert [True] * 3 == [shares.enter(caller("e", "public")) for _ in range(3)]
    assert not shares.enter(caller("f", "public"))  # two are for the server itself


def test_a_caller_alone_gets_half():
    """Whoever comes next finds a quarter at once, and from then on it is a quarter."""
    shares = Shares(20)
    assert [True] * 10 + [False] == [shares.enter(caller("a")) for _ in range(11)]
    assert [True] * 5 + [False] == [shares.enter(caller("b")) for _ in range(6)]
    for _ in range(5):
        shares.leave(caller("a"))
    assert not shares.enter(caller("a"))


async def test_a_caller_who_waits_is_another_one():
    """Nobody is alone beside who waits."""
    shares = Shares(8)
    assert shares.enter(caller("a"))
    waiting = asyncio.create_task(shares.wait(caller("b"), None))
    await asyncio.sleep(0)
    assert shares.enter(caller("a"))
    assert not shares.enter(caller("a"))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert shares.enter(caller("a"))


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
        await shares.wait(caller(name), 5)
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
        await shares.wait(caller("a"), 0.01)
    assert "pool.share" == caught.value.code
    assert "Retry-After" in caught.value.headers

    for name in "bc":
        shares.enter(caller(name, "admin"))
    for name in "de":
        shares.enter(caller(name))
    with pytest.raises(Unavailable) as caught:
        await shares.wait(caller("e"), 0.01)
    assert "pool.exhausted" == caught.value.code


async def test_who_leaves_while_waiting_leaves_nothing_behind():
    """However a wait ends, the count is right again."""
    shares = Shares(8)
    first, second = caller("a"), caller("a")
    assert shares.enter(caller("b"))
    assert shares.enter(first) and shares.enter(second)
    waiting = asyncio.create_task(shares.wait(caller("a"), None))
    served = asyncio.create_task(shares.wait(caller("a"), None))
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
    gone = asyncio.create_task(shares.wait(caller("a"), None))
    await asyncio.sleep(0)
    served = [
        asyncio.create_task(shares.wait(caller("a"), None)) for _ in range(others)
    ]
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
    shares = Shares(8)
    assert all(shares.enter(caller("a")) for _ in range(4))
    waiting = asyncio.create_task(shares.wait(caller("a"), 0))
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert not shares.enter(caller("a"))
    shares.leave(caller("a"))
    assert shares.enter(caller("a"))
