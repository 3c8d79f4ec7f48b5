"""A second factor set up in the middle of a login, by who may not go on without one."""

from collections.abc import Mapping
from typing import Any

from atom.account import factor, passkey, session
from atom.account import mailed_token as tokens
from atom.account.demand import is_lacking
from atom.account.factor_passkey import keep
from atom.account.session import Person, TokenPair
from atom.port import Ports

# Two who have passed the first step do not both set one up.
LOCK = "select id from users where id = $1 for update"


async def begin_totp(ports: Ports, mfa_token: str) -> dict[str, str]:
    """Return a secret for an app, to who has passed the first step of a login.

    Raises:
        Unauthenticated: `account_token.invalid`.
        Forbidden: `active.inactive`.
    """
    found = await tokens.find(ports.database, tokens.ENROL, mfa_token)
    async with ports.database.transaction() as connection:
        person = await who(ports, connection, found)
        (row,) = await connection.rows(factor.OWNER, person.id, "", 0.0)
        return await factor.offer(ports, row)


async def end_totp(
    ports: Ports, *, mfa_token: str, code: str
) -> tuple[TokenPair, list[str]]:
    """Set the app up that shows the code, and begin a session; the others end.

    Return the tokens, and the recovery codes, once.

    Raises:
        Unauthenticated: `account_token.invalid`; `mfa.invalid`.
        NotFound: `mfa.missing` when no secret waits.
        Forbidden: `active.inactive`.
    """
    async with ports.database.transaction() as connection:
        taken = await tokens.take(connection, tokens.ENROL, mfa_token)
        person = await who(ports, connection, taken)
        codes = await factor.accept(ports, connection, person.id, code)
        pair = await enter_enrolled(ports, connection, person)
    ports.users.forget(person.id)
    return pair, codes


async def enter_enrolled(ports: Ports, connection: Any, person: Person) -> TokenPair:
    """Begin the session of who has just set a factor up; those without it end."""
    await session.revoke_all(connection, person.id)
    return await session.open_session(connection, person, ports.account)


async def who(ports: Ports, connection: Any, found: tokens.Mailed) -> Person:
    """Return who passed the first step, while they still have no factor.

    Raises:
        Unauthenticated: `account_token.invalid`.
        Forbidden: `active.inactive`.
    """
    user_id = int(found.user_id or 0)
    await connection.run(LOCK, user_id)
    now = await session.person_now(connection, user_id, ports.account)
    person = session.require_usable(now)
    is_theirs = person.version == found.detail["version"]
    if not is_theirs or not await is_lacking(connection, ports.account, user_id):
        raise tokens.invalid()
    return person


async def begin_first_passkey(ports: Ports, mfa_token: str) -> dict[str, Any]:
    """Return what the browser makes a passkey of, as `begin_totp` does a secret.

    Raises:
        Unauthenticated: `account_token.invalid`.
        Forbidden: `passkey.off`; `active.inactive`.
    """
    passkey.require_on(ports.account)
    found = await tokens.find(ports.database, tokens.ENROL, mfa_token)
    async with ports.database.transaction() as connection:
        person = await who(ports, connection, found)
        (row,) = await connection.rows(factor.OWNER, person.id, "", 0.0)
        return await passkey.offer(ports, connection, person.id, factor.label(row))


async def end_first_passkey(
    ports: Ports, *, mfa_token: str, credential: Mapping[str, Any], name: str | None
) -> tuple[TokenPair, list[str]]:
    """Keep the passkey, and begin a session; the others end.

    Return the tokens, and the recovery codes, once. Raises as `keep` does, and
    `account_token.invalid`, `active.inactive`.
    """
    passkey.require_on(ports.account)
    async with ports.database.transaction() as connection:
        taken = await tokens.take(connection, tokens.ENROL, mfa_token)
        person = await who(ports, connection, taken)
        made = await keep(ports, connection, person.id, credential, name)
        pair = await enter_enrolled(ports, connection, person)
    ports.users.forget(person.id)
    return pair, made["recovery_code"]
