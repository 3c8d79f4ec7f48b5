"""Logging in with a one-time code; who is unknown becomes a user."""

from collections.abc import Container

from atom.account import otp, session
from atom.account.config import AccountConfig
from atom.account.login import BY_NAME
from atom.account.mfa import Entry, enter
from atom.account.name import normalize, validate
from atom.account.session import Person
from atom.account.signup import create_user, let_in, require_open
from atom.account.throttle import LoginThrottle
from atom.account.token import signing_keys
from atom.errors import ApiError, Conflict, Unauthenticated
from atom.port import Ports


async def log_in_with_otp(
    ports: Ports, *, kind: str, type: int, address: str, code: str, caller: str
) -> Entry:
    """Let in who receives messages at an address.

    `kind` is email or mobile; `caller` is a network address.

    Raises:
        Unauthenticated: `otp.invalid`.
        RateLimited: after too many wrong codes.
        Forbidden: `active.inactive`; to an unknown person `account.closed`, or
            `account.unapproved`.
        ApiError: `account.unknown_type`; a column that sign-up demands.
        Conflict: `account.exists`, when the address is a deleted user's.
    """
    await verify_throttled(ports, kind, address, code, caller, "login")
    address = validate(kind, address)
    pair = await _known(ports, kind, type, address)
    if pair is not None:
        return pair
    require_open(ports.account, type)
    require_nothing_else(ports.account, {kind})
    unique = {kind: address}
    made = await create_user(ports, {"type": type, **unique}, unique)
    if made is None:  # by another login, a moment ago
        made = await _known(ports, kind, type, address)
    if made is None:
        raise Conflict(f"{kind} already exists", code="account.exists")
    return let_in(made)


def require_nothing_else(config: AccountConfig, given: Container[str]) -> None:
    """Check that sign-up demands no column which a login does not have.

    Raises:
        ApiError: naming the column.
    """
    for column in config.mandatory:
        if column not in given:
            raise ApiError(
                f"{column} is mandatory",
                hint="Sign up by /auth/signup, which takes it.",
            )


async def _known(ports: Ports, kind: str, type: int, address: str) -> Entry | None:
    names = list(ports.account.token_key_list)
    row = await ports.database.row(BY_NAME[kind], type, [address], names)
    if row is None or row["is_deleted"] == 1:
        return None
    person = session.require_usable(Person.of(row, ports.account))
    return await enter(ports, ports.database, person)


async def verify_throttled(
    ports: Ports, kind: str, address: str, code: str, caller: str, purpose: str
) -> None:
    """Consume a code of an address; wrong ones are counted over all its codes.

    Raises:
        Unauthenticated: `otp.invalid`, whatever is wrong with it.
        RateLimited: after too many wrong codes.
    """
    plain = normalize(kind, address)
    throttle = LoginThrottle.for_user(ports.counter, f"otp {kind} {plain}", caller)
    await throttle.check()
    keys = signing_keys(ports.account.key_jwt)
    given = {kind: address}
    try:
        await otp.verify_otp(ports.database, code, keys=keys, purpose=purpose, **given)
    except Unauthenticated:
        await throttle.fail()
        raise
    await throttle.reset()
