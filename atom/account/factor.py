"""A user's own second factors: set up, listed, taken away.

Each change is proven by the password or a factor that is there; a user who has neither
logs in again. A notice is mailed, and the audit has it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.account import recovery, session_list, totp, vault
from atom.account.demand import is_lacking
from atom.account.letter import notify
from atom.account.login import check_password
from atom.account.mfa import (
    Given,
    count_try,
    invalid,
    methods_of,
    require_on,
    unproven,
    verify,
)
from atom.account.rights import AUDIT
from atom.account.security_event import record
from atom.account.throttle import LoginThrottle
from atom.errors import Forbidden, NotFound, Unauthenticated
from atom.port import Ports

RECENT = 600  # seconds in which a login proves that the user asks
WAITS = 3600  # seconds in which the first code of a new secret has to come

OWNER = """
select u.id, u.password, u.password_bigint, u.username, u.email, u.mobile,
  exists (select from atom.totp t
          where t.user_id = u.id and t.secret is not null) as totp,
  exists (select from atom.session s where s.user_id = u.id and s.id = s.family
          and s.family::text = $2
          and s.created_at > now() - make_interval(secs => $3)) as is_recent
from users u where u.id = $1
"""
STATE = """
select (select confirmed_at from atom.totp
        where user_id = $1 and secret is not null) as totp_since,
  (select count(*) from atom.passkey where user_id = $1) as passkey,
  (select count(*) from atom.recovery_code where user_id = $1) as recovery_code
"""
WAIT = """
insert into atom.totp as t (user_id, waiting, waiting_since) values ($1, $2, now())
on conflict (user_id) do update set waiting = $2, waiting_since = now()
"""
WAITING = """
select waiting from atom.totp where user_id = $1
  and waiting_since > now() - make_interval(secs => $2)
"""
CONFIRM = """
update atom.totp set secret = waiting, last_step = $3, confirmed_at = now(),
  waiting = null, waiting_since = null
where user_id = $1 and waiting = $2
"""
DELETE = "delete from atom.totp where user_id = $1 and secret is not null"
HAS_CODES = "select exists (select from atom.recovery_code where user_id = $1)"
WORDS = {
    "totp-create": "An authenticator app was added to your account",
    "totp-delete": "The authenticator app of your account was taken away",
    "passkey-create": "A passkey was added to your account",
    "passkey-delete": "A passkey of your account was taken away",
    "recovery-code-create": "Your account has new recovery codes",
}
KINDS = {  # of the security events
    "totp-create": "factor.added",
    "totp-delete": "factor.removed",
    "passkey-create": "factor.added",
    "passkey-delete": "factor.removed",
    "recovery-code-create": "factor.renewed",
}
TEXT = (
    "If it was not you, set a new password at once, look through your sessions, and ask"
    " for help."
)


@dataclass(frozen=True, slots=True)
class Me:
    """Who asks: the user, the session, and the caller's address."""

    id: int
    session: str
    caller: str


async def prove(
    ports: Ports, me: Me, password: str | None, given: Given
) -> Mapping[str, Any]:
    """Check that the user asks, and not someone at their open session. Return the row.

    Raises:
        ApiError: `mfa.unproven` when nothing is given.
        Unauthenticated: `account.wrong_password`, `mfa.invalid`.
        Forbidden: `mfa.stale` to who has neither, and logged in long ago.
        RateLimited: after too many tries.
    """
    row = await ports.database.row(OWNER, me.id, me.session, float(RECENT))
    if row is None:
        raise Unauthenticated("user not found", code="account.missing")
    stored = row["password"] or row["password_bigint"]
    if not given.is_empty:
        throttle = await count_try(ports, me.id, me.caller)
        async with ports.database.transaction() as connection:
            await verify(ports, connection, me.id, given)
        await throttle.reset()
    elif password is not None and stored:
        mine = f"own {me.id}"
        throttle = LoginThrottle.for_user(ports.counter, mine, mine)
        wrong = Unauthenticated("password is wrong", code="account.wrong_password")
        await check_password(throttle, password, stored, wrong)
    elif stored or row["totp"]:
        raise unproven("Send password, code or recovery_code.")
    elif not row["is_recent"]:
        raise Forbidden(
            "the login is too long ago", code="mfa.stale", hint="Log in again."
        )
    return row


async def read_factors(ports: Ports, user_id: int) -> dict[str, Any]:
    """Return what the user has set up."""
    (row,) = await ports.database.rows(STATE, user_id)
    return {
        "mode": ports.account.mfa,
        "totp_since": row["totp_since"],
        "passkey": row["passkey"],
        "recovery_code": row["recovery_code"],
    }


async def create_totp(
    ports: Ports, me: Me, *, password: str | None, given: Given
) -> dict[str, str]:
    """Return a new secret for an app; it counts once a code of it has come.

    An app that is set up already goes on until then. Raises as `prove` does, and
    `mfa.off`.
    """
    require_on(ports)
    row = await prove(ports, me, password, given)
    return await offer(ports, row)


async def offer(ports: Ports, row: Mapping[str, Any]) -> dict[str, str]:
    """Store a secret that waits for its first code. Return it."""
    user_id, secret = int(row["id"]), totp.new_secret()
    sealed = vault.seal(ports.account, user_id, secret)
    await ports.database.run(WAIT, user_id, sealed)
    uri = totp.uri(secret, ports.mailer.config.app_name, label(row))
    return {"secret": totp.spelt(secret), "uri": uri}


def label(row: Mapping[str, Any]) -> str:
    """Return how a user is named where the account is listed with others."""
    return str(row["username"] or row["email"] or row["mobile"] or row["id"])


async def confirm_totp(ports: Ports, me: Me, code: str) -> list[str]:
    """Set the app up that shows the code. Every other session of the user ends.

    Return recovery codes, once; none when the user has some.

    Raises:
        Unauthenticated: `mfa.invalid`; the secret goes on waiting.
        NotFound: `mfa.missing` when none waits.
        Forbidden: `mfa.off`.
    """
    require_on(ports)
    async with ports.database.transaction() as connection:
        codes = await accept(ports, connection, me.id, code)
        await session_list.end_but(ports, me.id, me.session)
    ports.users.forget(me.id)
    return codes


async def accept(ports: Ports, connection: Any, user_id: int, code: str) -> list[str]:
    """Make the secret that waits the user's, in a transaction. Return recovery codes.

    Raises as `confirm_totp` does.
    """
    stored = await connection.value(WAITING, user_id, float(WAITS))
    if stored is None:
        raise missing()
    secret = vault.unseal(ports.account, user_id, bytes(stored))
    step = totp.step_of(secret, "".join(code.split()), time.time())
    if step is None:
        raise invalid()
    if not await connection.run(CONFIRM, user_id, stored, step):
        raise invalid()  # by another one, a moment ago
    codes = await first_codes(connection, user_id)
    await note(ports, connection, user_id, "totp-create")
    return codes


async def first_codes(connection: Any, user_id: int) -> list[str]:
    """Return recovery codes of a user who has none; else none."""
    if await connection.value(HAS_CODES, user_id):
        return []
    return await recovery.renew(connection, user_id)


async def delete_totp(
    ports: Ports, me: Me, *, password: str | None, given: Given
) -> None:
    """Take the app and the recovery codes away. Raises as `prove`;
    `mfa.missing`; `mfa.required` where it is the last one that is demanded."""
    row = await prove(ports, me, password, given)
    if not row["totp"]:
        raise missing()
    async with ports.database.transaction() as connection:
        if not await connection.run(DELETE, me.id):
            raise missing()
        await require_another(ports, connection, me.id)
        await remove_codes(ports, connection, me.id)
        await note(ports, connection, me.id, "totp-delete")


async def remove_codes(ports: Ports, connection: Any, user_id: int) -> None:
    """Remove the recovery codes of who has nothing left to recover."""
    if not await methods_of(connection, ports.account, user_id):
        await connection.run(recovery.REMOVE, user_id)


async def require_another(ports: Ports, connection: Any, user_id: int) -> None:
    """Check that a user still has the factor they need, after one was taken away.

    Raises:
        Forbidden: `mfa.required`.
    """
    if await is_lacking(connection, ports.account, user_id):
        raise Forbidden(
            "a second factor is required",
            code="mfa.required",
            hint="Set another one up first; /my/totp-create replaces the app.",
        )


async def renew_codes(
    ports: Ports, me: Me, *, password: str | None, given: Given
) -> list[str]:
    """Return new recovery codes; the earlier ones are void. Raises as `delete_totp`."""
    await prove(ports, me, password, given)
    if not await methods_of(ports.database, ports.account, me.id):
        raise missing()
    async with ports.database.transaction() as connection:
        codes = await recovery.renew(connection, me.id)
        await note(ports, connection, me.id, "recovery-code-create")
    return codes


def missing() -> NotFound:
    """Return the error of an app that is not there, or does not wait."""
    return NotFound(
        "no authenticator app", code="mfa.missing", hint="Begin with /my/totp-create."
    )


async def note(ports: Ports, connection: Any, user_id: int, action: str) -> None:
    """Note a change where it is kept, and mail a notice, on the transaction."""
    await connection.run(AUDIT, user_id, user_id, "{}", "{}", action)
    await record(ports, KINDS[action], user_id)
    email = await connection.value("select email from users where id = $1", user_id)
    await notify(ports, user_id, email, WORDS[action], TEXT)
