"""Passwords: what verifies, what is replaced, and that nobody waits for them."""

import asyncio
import hashlib
import threading
import time

import pytest
from argon2 import PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st

from atom.account.password import (
    MAX_LENGTH,
    Verdict,
    _Threads,
    hash_password,
    verify_password,
)
from atom.errors import ApiError, Unavailable

RIGHT = "correct horse battery"
OLD_HASH = hashlib.sha256(RIGHT.encode()).hexdigest()


async def test_hash_verifies_and_needs_no_replacement():
    """What hash_password made is right for its password, and up to date."""
    assert Verdict(ok=True) == await verify_password(RIGHT, await hash_password(RIGHT))


async def test_wrong_password_is_refused():
    """Another password, also one that differs only in case, does not verify."""
    stored = await hash_password(RIGHT)

    assert Verdict(ok=False) == await verify_password(RIGHT.upper(), stored)


async def test_same_password_has_two_hashes():
    """Every hash has a salt of its own."""
    assert await hash_password(RIGHT) != await hash_password(RIGHT)


async def test_hash_is_argon2id_with_the_least_owasp_asks_for():
    """The stored text names Argon2id, at least 19 MiB and two rounds."""
    kind, _, cost = (await hash_password(RIGHT)).split("$")[1:4]
    numbers = dict(part.split("=") for part in cost.split(","))

    assert kind == "argon2id"
    assert int(numbers["m"]) >= 19 * 1024
    assert int(numbers["t"]) >= 2


async def test_old_sha256_verifies_and_asks_to_be_replaced():
    """The unsalted hash of former versions opens the door and is to be replaced."""
    assert Verdict(ok=True, rehash=True) == await verify_password(RIGHT, OLD_HASH)


async def test_old_sha256_with_a_wrong_password_is_not_replaced():
    """Only the owner of a password causes its hash to be replaced."""
    assert Verdict(ok=False) == await verify_password("another one", OLD_HASH)


async def test_hash_text_itself_is_no_password():
    """Whoever stole an old hash cannot log in with it."""
    assert Verdict(ok=False) == await verify_password(OLD_HASH, OLD_HASH)


async def test_hash_with_other_parameters_is_replaced():
    """A hash made with less work verifies and asks to be replaced."""
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(RIGHT)

    assert Verdict(ok=True, rehash=True) == await verify_password(RIGHT, weak)


@pytest.mark.parametrize(
    "stored", [None, "", "plain", RIGHT, "$argon2id$broken", "$2b$12$bcrypt"]
)
async def test_what_is_no_hash_verifies_nothing(stored):
    """No user, no password, clear text and damaged hashes all answer no."""
    assert Verdict(ok=False) == await verify_password(RIGHT, stored)


@pytest.mark.parametrize("stored", [None, OLD_HASH], ids=["nobody", "old hash"])
async def test_no_costs_the_same_as_a_real_check(stored):
    """A stopwatch does not tell unknown users or old hashes from known ones."""
    known = await hash_password(RIGHT)

    async def quickest(against):
        taken = []
        for _ in range(5):
            began = time.process_time()  # work, not waiting: the machine may be busy
            await verify_password("wrong", against)
            taken.append(time.process_time() - began)
        return min(taken)

    assert 0.5 < await quickest(stored) / await quickest(known) < 2


async def test_loop_goes_on_while_passwords_are_hashed():
    """Other requests are served while a password is being hashed."""
    work = asyncio.gather(*(hash_password(RIGHT) for _ in range(8)))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1

    assert 8 == len(await work)
    assert turns >= 5


async def test_longest_password_is_hashed_and_verifies():
    """A password of exactly the length that is allowed works."""
    longest = "é" * MAX_LENGTH

    assert (await verify_password(longest, await hash_password(longest))).ok


async def test_password_longer_than_allowed_is_refused():
    """Nobody makes the server hash megabytes."""
    with pytest.raises(ApiError) as caught:
        await hash_password("x" * (MAX_LENGTH + 1))

    assert caught.value.code == "password.too_long"


async def test_password_that_only_begins_right_is_refused():
    """A login with more than the longest password is not cut down to a right one."""
    longest = "x" * MAX_LENGTH
    stored = await hash_password(longest)

    assert not (await verify_password(longest + "y", stored)).ok


async def test_lone_surrogate_is_a_password_like_any_other():
    """JSON can carry half a surrogate pair; it is hashed, not a fault of ours."""
    assert (
        await verify_password("a\ud800b-long", await hash_password("a\ud800b-long"))
    ).ok


async def test_too_many_waiting_are_turned_away_at_once():
    """Work beyond the bound is refused instead of queued, and room comes back."""
    threads = _Threads(cores=1, waiting=2)
    go = threading.Event()
    held = [asyncio.create_task(threads.run(go.wait, 30)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable) as caught:
        await threads.run(time.sleep, 0)
    go.set()
    await asyncio.gather(*held)
    await asyncio.sleep(0)

    assert caught.value.code == "password.busy"
    assert await threads.run(lambda: 7) == 7


@given(st.text(max_size=50), st.text(max_size=50))
@settings(max_examples=15, deadline=None)
def test_exactly_the_same_text_verifies(one, other):
    """Whatever the two texts are: they verify if and only if they are the same."""

    async def verdict():
        return await verify_password(other, await hash_password(one))

    assert (one == other) is asyncio.run(verdict()).ok
