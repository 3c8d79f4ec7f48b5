"""How often a password may be guessed, and by whom."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from atom.errors import RateLimited
from atom.http.address import network
from atom.port import Counter

# Failures in so many seconds. The first is for one who guesses one user's password; it
# binds the address too, so that no one locks out a user from elsewhere. The others are
# for guesses spread over many addresses, or over many users.
SECONDS = 300
PAIR_TIMES = 10
USER_TIMES = 100
ADDRESS_TIMES = 100
OF_USER = "login:user:"
# Tries of a second factor, by one caller and by all together; in a day as well, since
# of a million codes three are good. Only who has passed the first step gets there, so
# that no stranger uses them up.
FACTOR_PAIR_TIMES = 5
FACTOR_USER_TIMES = 30
DAY = 86_400
FACTOR_DAY_TIMES = 100


@dataclass(frozen=True)
class LoginThrottle:
    """The failures of one caller against one user, counted and bounded.

    Only failures count, so a hundred logins at once with the right password pass. A
    guess is answered only while there is room, whatever was begun at the same time.
    """

    counter: Counter
    keys: tuple[tuple[str, int], ...]
    is_known: Callable[[], Awaitable[bool]] | None = None
    seconds: int = SECONDS

    @classmethod
    def for_user(cls, counter: Counter, who: str, address: str) -> "LoginThrottle":
        """Return the throttle of a user, under any name, for a caller's address."""
        user, place = _mark(who), _mark(network(address))
        return cls(
            counter,
            (
                (f"login:pair:{user}:{place}", PAIR_TIMES),
                (f"{OF_USER}{user}", USER_TIMES),
                (f"login:address:{place}", ADDRESS_TIMES),
            ),
        )

    @classmethod
    def for_factor(
        cls, counter: Counter, user_id: int, address: str
    ) -> tuple["LoginThrottle", "LoginThrottle"]:
        """Return the throttles of a user's second factor: of 5 minutes, and of a day.

        Each try is counted as a failure before it is answered.
        """
        pair = f"mfa:pair:{user_id}:{_mark(network(address))}"
        user, day = f"{OF_USER}mfa:{user_id}", f"{OF_USER}mfa-day:{user_id}"
        keys = (pair, FACTOR_PAIR_TIMES), (user, FACTOR_USER_TIMES)
        of_day = cls(counter, ((day, FACTOR_DAY_TIMES),), seconds=DAY)
        return cls(counter, keys), of_day

    @classmethod
    def for_page(cls, counter: Counter, name: str, address: str) -> "LoginThrottle":
        """Return the throttle of a page without users, for a caller's address."""
        return cls(counter, ((f"login:{name}:{_mark(network(address))}", PAIR_TIMES),))

    async def check(self) -> None:
        """Refuse a caller with too many failures.

        Raises:
            RateLimited: with the seconds until the window ends.
        """
        found = await asyncio.gather(*(self.counter.peek(key) for key, _ in self.keys))
        await self._refuse([(hits + 1, seconds) for hits, seconds in found])

    async def fail(self) -> None:
        """Count a failure.

        Raises:
            RateLimited: when it is one too many.
        """
        found = await asyncio.gather(
            *(self.counter.hit(key, self.seconds) for key, _ in self.keys)
        )
        await self._refuse(found)

    async def _refuse(self, found: Sequence[tuple[int, int]]) -> None:
        """Raise when there are too many; the user's own networks go on at that limit.

        Otherwise strangers from many networks could keep a user out.
        """
        for (key, times), (hits, seconds) in zip(self.keys, found, strict=True):
            is_users = key.startswith(OF_USER)
            if hits > times and not (
                is_users and self.is_known is not None and await self.is_known()
            ):
                raise _too_often(seconds)

    async def reset(self) -> None:
        """Clear the failures of this caller with this user.

        The other counts stay: an attacker would reset them with a login of their own.
        """
        await self.counter.clear(self.keys[0][0])


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _too_often(seconds: int) -> RateLimited:
    return RateLimited("too many failed logins", seconds=max(1, seconds))
