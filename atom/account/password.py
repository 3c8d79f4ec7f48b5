"""Passwords: hashed with Argon2id in threads of their own, so the loop never waits.

A hash made with other parameters, or by the SHA-256 of former versions, still verifies
once; the verdict then asks for a new hash.
"""

import asyncio
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from atom import malloc
from atom.account.config import AccountConfig
from atom.errors import ApiError, Unavailable
from atom.task import cores

# Twice the rounds OWASP asks for at this memory: about 40 ms on a core of its own, 60
# to 90 ms on a busy one. Source: OWASP Password Storage Cheat Sheet, Argon2id.
# The keys config_password_… set others for a process.
MEMORY_KIB = 19_456
ROUNDS = 4
LANES = 1
COST = {"memory_cost": MEMORY_KIB, "time_cost": ROUNDS, "parallelism": LANES}

IDLE_SECONDS = 1.0  # without a hash, until its memory is given back
MAX_LENGTH = 1000  # characters; more is never typed, and hashing reads all of it
MAX_WAITING = 200  # beyond that a caller would wait longer than clients do
OLD_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)

Found = TypeVar("Found")


@dataclass(frozen=True)
class Verdict:
    """Whether a password is right, and whether its stored hash should be replaced."""

    ok: bool
    rehash: bool = False


class _Threads:
    """As many threads as this process has cores, and a bound on waiting callers."""

    def __init__(self, cores: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(cores, thread_name_prefix="password")
        self._waiting = waiting
        self._held = 0

    async def run(self, work: Callable[..., Found], *arguments: Any) -> Found:
        """Run work in a thread.

        Raises:
            Unavailable: `password.busy` when too many wait already.
        """
        if self._held >= self._waiting:
            raise Unavailable(
                "Too many logins at the moment.",
                code="password.busy",
                hint="Try again in a moment.",
            )
        future = asyncio.get_running_loop().run_in_executor(
            self._pool, work, *arguments
        )
        # Counted until the work ends, not until its caller gives up: a caller who
        # leaves early must not make room for more than the threads can do.
        self._held += 1
        future.add_done_callback(self._freed)
        return await future

    def _freed(self, future: asyncio.Future[Any]) -> None:
        self._held -= 1
        if not self._held:
            future.get_loop().call_later(IDLE_SECONDS, self._rested)

    def _rested(self) -> None:
        if not self._held:
            malloc.give_back()


@cache
def _threads() -> _Threads:
    return _Threads(cores(), MAX_WAITING)


@cache
def _hasher() -> Any:
    from argon2 import PasswordHasher

    return PasswordHasher(
        memory_cost=COST["memory_cost"],
        time_cost=COST["time_cost"],
        parallelism=COST["parallelism"],
    )


def set_cost(config: AccountConfig) -> None:
    """Hash with the parameters of config; a hash with others is replaced at login."""
    COST.update(
        memory_cost=config.password_memory_kib,
        time_cost=config.password_rounds,
        parallelism=config.password_lanes,
    )
    _hasher.cache_clear()
    _placeholder.cache_clear()


@cache
def _placeholder() -> str:
    """Return the hash that is checked in place of one that does not exist."""
    return str(_hasher().hash(os.urandom(16).hex()))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hash(text: str) -> str:
    return str(_hasher().hash(_bytes(text)))


def _matches(text: str, stored: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return bool(_hasher().verify(stored, _bytes(text)))
    except (Argon2Error, InvalidHashError):
        return False


def _verify(text: str, stored: str | None) -> Verdict:
    _placeholder()  # made before the first check, which it would slow down
    if stored is not None and OLD_SHA256.fullmatch(stored):
        digest = hashlib.sha256(_bytes(text)).hexdigest()
        ok = hmac.compare_digest(digest, stored.lower())
        # A stopwatch must not distinguish the quick hash from the slow one.
        _matches(text, _placeholder())
        return Verdict(ok, rehash=ok)
    if stored is None or not stored.startswith("$argon2"):
        _matches(text, _placeholder())
        return Verdict(False)
    ok = _matches(text, stored)
    return Verdict(ok, rehash=ok and bool(_hasher().check_needs_rehash(stored)))


def require_length(
    password: str, config: AccountConfig, column: str = "password"
) -> None:
    """Refuse a password shorter than config_password_min_length.

    Raises:
        ApiError: `password.too_short`.
    """
    least = config.password_min_length
    if len(password) < least:
        raise ApiError(
            f"{column} must have at least {least} characters", code="password.too_short"
        )


async def hash_password(text: str) -> str:
    """Return the Argon2id hash of a password, salted and with its parameters inside.

    Raises:
        ApiError: `password.too_long` above 1,000 characters.
        Unavailable: `password.busy` when too many passwords wait to be hashed.
    """
    if len(text) > MAX_LENGTH:
        raise ApiError(
            f"A password has at most {MAX_LENGTH} characters.",
            code="password.too_long",
        )
    return await _threads().run(_hash, text)


async def verify_password(text: str, stored: str | None) -> Verdict:
    """Check a password against a stored hash.

    Without a stored hash the verdict is no, after the time a real check takes, so that
    the clock does not reveal which users exist.

    Raises:
        Unavailable: `password.busy` when too many passwords wait to be checked.
    """
    # No stored password is longer: cut, so that the check costs what any other does.
    wanted = stored if len(text) <= MAX_LENGTH else None
    return await _threads().run(_verify, text[:MAX_LENGTH], wanted)
