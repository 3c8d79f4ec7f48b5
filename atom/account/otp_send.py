"""Sending one-time codes, within bounds for an address and for a caller."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from atom.account import otp
from atom.account.name import validate
from atom.account.token import signing_keys
from atom.errors import RateLimited
from atom.http.address import network
from atom.port import Ports

# Codes in so many seconds. The first is for one caller and one address, so that no one
# keeps another from a code; the second for an address that many write to.
SECONDS = 600
PAIR_TIMES = 5
ADDRESS_TIMES = 15
CALLER_TIMES = 60

Send = Callable[[str, str], Awaitable[object]]  # a code to an address


@dataclass(frozen=True, slots=True)
class Wanted:
    """A code that a caller asks for."""

    kind: str  # email, mobile
    address: str
    purpose: str | None
    caller: str  # network address


async def send_otp(ports: Ports, wanted: Wanted, send: Send) -> None:
    """Send a new code to an address. It is stored once the provider has accepted it.

    Raises:
        ApiError: `identity.unreadable`, or what the provider does not accept.
        RateLimited: `otp.too_often`.
        Unavailable: when the provider does not answer.
    """
    address = validate(wanted.kind, wanted.address)
    await _count(ports, f"{wanted.kind} {address}", wanted.caller)
    code = otp.new_code()
    await send(address, code)
    await otp.store(
        ports.database,
        wanted.kind,
        address,
        code,
        key=signing_keys(ports.account.key_jwt)[0],
        purpose=wanted.purpose,
    )


async def _count(ports: Ports, who: str, caller: str) -> None:
    address, place = _mark(who), _mark(network(caller))
    for key, times in (
        (f"otp:pair:{address}:{place}", PAIR_TIMES),
        (f"otp:caller:{place}", CALLER_TIMES),
        (f"otp:address:{address}", ADDRESS_TIMES),
    ):
        hits, seconds = await ports.counter.hit(key, SECONDS, times=times)
        if hits > times:
            raise RateLimited(
                "too many codes", seconds=max(1, seconds), code="otp.too_often"
            )


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
