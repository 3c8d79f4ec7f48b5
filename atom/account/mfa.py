"""The second step of a login: a challenge, and what answers it.

Whoever has passed the first step, whichever it was, enters by `enter`: users with a
second factor get a token that is good for the second step alone. It is a row, deleted
when it is used, so of two callers with the same one wins.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from atom.account import mailed_token as tokens
from atom.account import passkey, recovery, session, totp, vault
from atom.account.config import AccountConfig
from atom.account.demand import is_lacking
from atom.account.security_event import ABOUT
from atom.account.session import Person, TokenPair
from atom.account.session_list import has_session_near
from atom.account.throttle import LoginThrottle
from atom.errors import ApiError, Forbidden, Unauthenticated, Unavailable
from atom.port import Ports

log = logging.getLogger(__name__)

SECONDS = 300  # that a challenge is good for
ENROL_SECONDS = 900
ENROLLED = ("totp", "passkey")  # what may be set up in the middle of a login

FACTORS = """
select exists (select from atom.totp
               where user_id = $1 and secret is not null) as totp,
  $2 and exists (select from atom.passkey where user_id = $1) as passkey,
  exists (select from atom.recovery_code where user_id = $1) as recovery
"""
IS_MADE = "select to_regclass('atom.totp') is not null"
SECRET = "select secret, waiting from atom.totp where user_id = $1"
# A code is good once, and so is each that came before it. Source: RFC 6238 section 5.2.
USE_STEP = """
update atom.totp set last_step = $2
where user_id = $1 and secret = $3 and last_step < $2
"""
STALE = """
select user_id, secret, waiting from atom.totp
where substring(secret from 1 for 4) <> $1 or substring(waiting from 1 for 4) <> $1
"""
SEAL = """
update atom.totp set secret = $4, waiting = $5
where user_id = $1 and secret is not distinct from $2
  and waiting is not distinct from $3
"""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The answer to the first step of a login, where there is a second one."""

    token: str
    methods: tuple[str, ...]
    enrol: tuple[str, ...] = ()  # what has to be set up first; then there is no method

    @property
    def seconds(self) -> int:
        """How long the token is good."""
        return ENROL_SECONDS if self.enrol else SECONDS


Entry = TokenPair | Challenge


@dataclass(frozen=True, slots=True)
class Given:
    """What proves the second factor: one of these."""

    code: str | None = None
    recovery_code: str | None = None
    passkey: Mapping[str, Any] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is given."""
        return self == Given()


def invalid() -> Unauthenticated:
    """Return the error of a second factor, whatever is wrong with it."""
    return Unauthenticated(
        "code invalid",
        code="mfa.invalid",
        hint="A code is good once: wait for the next, and check the device's clock.",
    )


def require_on(ports: Ports) -> None:
    """Check that there are second factors.

    Raises:
        Forbidden: `mfa.off`.
    """
    if ports.account.mfa == "off":
        raise Forbidden(
            "second factors are off", code="mfa.off", hint="Set config_mfa."
        )


async def methods_of(
    database: Any, config: AccountConfig, user_id: int
) -> tuple[str, ...]:
    """Return what the second step of a user may be; a recovery code alone is none."""
    has_passkeys = bool(config.passkey_origin_list)
    (row,) = await database.rows(FACTORS, user_id, has_passkeys)
    found = tuple(name for name in ("totp", "passkey", "recovery") if row[name])
    return found if row["totp"] or row["passkey"] else ()


async def enter(ports: Ports, database: Any, person: Person) -> Entry:
    """Begin a session for who has passed the first step, or ask for the second."""
    if ports.account.mfa == "off":
        return await session.open_session(database, person, ports.account)
    methods = await methods_of(database, ports.account, person.id)
    enrol: tuple[str, ...] = ()
    if not methods:
        if not await is_lacking(database, ports.account, person.id):
            return await session.open_session(database, person, ports.account)
        enrol = ENROLLED if ports.account.passkey_origin_list else ENROLLED[:1]
    made = Challenge("", methods, enrol)
    _, token = await tokens.issue(
        database,
        tokens.ENROL if enrol else tokens.SECOND_STEP,
        seconds=made.seconds,
        type=0,
        email="",
        user_id=person.id,
        detail={"version": person.version},
    )
    return replace(made, token=token)


async def log_in_with_factor(
    ports: Ports, *, mfa_token: str, given: Given, caller: str
) -> TokenPair:
    """Begin a session for who has passed both steps.

    Raises:
        Unauthenticated: `account_token.invalid`; `mfa.invalid`, and the token stays
            good.
        Forbidden: `active.inactive`.
        ApiError: `mfa.unproven` when nothing is given.
        RateLimited: after too many tries.
    """
    found = await tokens.find(ports.database, tokens.SECOND_STEP, mfa_token)
    user_id = int(found.user_id or 0)
    ABOUT.set(user_id)
    throttle = await count_try(ports, user_id, caller)
    async with ports.database.transaction() as connection:
        taken = await tokens.take(connection, tokens.SECOND_STEP, mfa_token)
        now = await session.person_now(connection, user_id, ports.account)
        person = session.require_usable(now)
        if person.version != taken.detail["version"]:
            raise tokens.invalid()  # the password was changed meanwhile
        await verify(ports, connection, user_id, given)
        pair = await session.open_session(connection, person, ports.account)
    await throttle.reset()
    return pair


async def count_try(ports: Ports, user_id: int, caller: str) -> LoginThrottle:
    """Count a try before it is answered. Return what forgets it once it was right.

    Raises:
        RateLimited: after too many, but from networks of the user's sessions.
    """

    async def is_known() -> bool:
        return await has_session_near(ports, user_id, caller)

    made = LoginThrottle.for_factor(ports.counter, user_id, caller)
    for throttle in made:
        await replace(throttle, is_known=is_known).fail()
    return made[0]


async def verify(ports: Ports, connection: Any, user_id: int, given: Given) -> None:
    """Use up what proves the second factor, in the transaction of what it is for.

    Raises:
        Unauthenticated: `mfa.invalid`; `passkey.invalid`.
        ApiError: `mfa.unproven` when nothing is given.
    """
    if given.code is not None:
        right = await _use_code(ports, connection, user_id, given.code)
    elif given.recovery_code is not None:
        right = await recovery.use(connection, user_id, given.recovery_code)
    elif given.passkey is not None:
        found = await passkey.take_challenge(connection, passkey.SECOND, given.passkey)
        right = (
            found.user_id
            == user_id
            == await passkey.use(
                ports, connection, given.passkey, user_id=user_id, alone=False
            )
        )
    else:
        raise unproven("Send code, recovery_code or passkey.")
    if not right:
        raise invalid()


def unproven(hint: str) -> ApiError:
    """Return the error of a request without what proves that the user asks."""
    return ApiError("a proof is missing", code="mfa.unproven", hint=hint)


async def _use_code(ports: Ports, connection: Any, user_id: int, code: str) -> bool:
    row = await connection.row(SECRET, user_id)
    if row is None or row["secret"] is None:
        return False
    stored = bytes(row["secret"])
    secret = vault.unseal(ports.account, user_id, stored)
    step = totp.step_of(secret, "".join(code.split()), time.time())
    if step is None:
        return False
    return bool(await connection.run(USE_STEP, user_id, step, stored))


async def prepare(ports: Ports) -> list[str]:
    """Encrypt with the first key what another one has encrypted; at each start.

    Return what is against second factors as they are configured.
    """
    if ports.account.mfa == "off":
        return []
    if not await ports.database.value(IS_MADE):
        return ["config_mfa: run `python main.py schema apply`: it lacks a table"]
    config, lost = ports.account, 0
    for row in await ports.database.rows(STALE, vault.mark(config)):
        user_id, stored = row["user_id"], (row["secret"], row["waiting"])
        try:
            made = [
                one and vault.seal(config, user_id, vault.unseal(config, user_id, one))
                for one in stored
            ]
        except Unavailable:
            lost += 1
            continue
        await ports.database.run(SEAL, user_id, *stored, *made)
    if lost:
        log.warning(
            "the authenticator secrets of %s users cannot be read: give the key that "
            "they were encrypted with back to config_key_mfa, as the second",
            lost,
        )
    return []
