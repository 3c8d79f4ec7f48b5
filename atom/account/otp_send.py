"""Sending one-time codes, within bounds for an address and for a caller."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from atom.account import otp
from atom.account.limit import count_message
from atom.account.name import validate
from atom.account.token import signing_keys
from atom.errors import RateLimited
from atom.port import Ports

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
    who = f"{wanted.kind} {address}"
    if seconds := await count_message(ports.counter, "otp", who, wanted.caller):
        raise RateLimited("too many codes", seconds=seconds, code="otp.too_often")
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
