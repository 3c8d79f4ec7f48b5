"""How many messages an address is sent, and by how many callers."""

import hashlib

from atom.errors import RateLimited
from atom.http.address import network
from atom.port import Counter

# Messages in so many seconds. The first is for one caller and one address, so that no
# one keeps another from a message; the second for one caller; the third for an address
# that many write to.
SECONDS = 600
PAIR_TIMES = 5
CALLER_TIMES = 60
ADDRESS_TIMES = 15


async def count_message(counter: Counter, what: str, who: str, caller: str) -> int:
    """Count a message of a caller to an address, whether or not anyone is there.

    `what` is what the message is for, each with counts of its own. Return 0, or the
    seconds until the next one is allowed.
    """
    address, place = _mark(who), _mark(network(caller))
    for key, times in (
        (f"{what}:pair:{address}:{place}", PAIR_TIMES),
        (f"{what}:caller:{place}", CALLER_TIMES),
        (f"{what}:address:{address}", ADDRESS_TIMES),
    ):
        hits, seconds = await counter.hit(key, SECONDS, times=times)
        if hits > times:
            return max(1, seconds)
    return 0


async def require_room(counter: Counter, what: str, who: str, caller: str) -> None:
    """Count a mail of an account.

    Raises:
        RateLimited: `account.too_often`.
    """
    if seconds := await count_message(counter, what, who, caller):
        raise RateLimited("too many mails", seconds=seconds, code="account.too_often")


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
