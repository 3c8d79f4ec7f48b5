"""A user's passkeys: made, listed, taken away, and the login by one alone."""

from collections.abc import Mapping
from typing import Any

from atom.account import factor, passkey, session, session_list
from atom.account import mailed_token as tokens
from atom.account.factor import Me
from atom.account.mfa import Given
from atom.account.session import TokenPair
from atom.errors import ApiError, Conflict, NotFound
from atom.port import Ports

MOST = 20  # of one user

# Who adds two at once adds them one after the other.
LOCK = "select id from users where id = $1 for update"
COUNT = "select count(*) from atom.passkey where user_id = $1"
ADD = """
insert into atom.passkey
  (credential_id, user_id, public_key, sign_count, name, is_backed_up)
values ($1, $2, $3, $4, $5, $6)
on conflict do nothing returning 1
"""
# base64url, as browsers spell it.
ID = "rtrim(translate(encode(credential_id, 'base64'), E'+/\\n', '-_'), '=')"
READ = f"""
select {ID} as id, name, created_at, last_used_at, is_backed_up
from atom.passkey where user_id = $1 order by created_at, credential_id
"""  # noqa: S608 - a constant
DELETE = f"delete from atom.passkey where user_id = $1 and {ID} = $2"  # noqa: S608


async def create_passkey(
    ports: Ports, me: Me, *, password: str | None, given: Given
) -> dict[str, Any]:
    """Return what the browser makes a passkey of. Raises as `prove`; `passkey.off`."""
    passkey.require_on(ports.account)
    row = await factor.prove(ports, me, password, given)
    return await passkey.offer(ports, ports.database, me.id, factor.label(row))


async def confirm_passkey(
    ports: Ports, me: Me, *, credential: Mapping[str, Any], name: str | None
) -> dict[str, Any]:
    """Keep a passkey that the browser has made. Every other session of the user ends.

    Return its id, and recovery codes where it is the first second factor.

    Raises:
        Unauthenticated: `passkey.invalid`.
        Conflict: `passkey.exists`.
        ApiError: `passkey.too_many`.
        Forbidden: `passkey.off`.
    """
    passkey.require_on(ports.account)
    async with ports.database.transaction() as connection:
        made = await keep(ports, connection, me.id, credential, name)
        await session_list.end_but(ports, me.id, me.session)
    ports.users.forget(me.id)
    return made


async def keep(
    ports: Ports,
    connection: Any,
    user_id: int,
    credential: Mapping[str, Any],
    name: str | None,
) -> dict[str, Any]:
    """Keep a passkey of a user, in a transaction. Raises as `confirm_passkey` does."""
    found = await passkey.take_challenge(connection, passkey.CREATE, credential)
    if found.user_id != user_id:
        raise passkey.invalid()
    made = passkey.registered(ports.account, credential)
    await connection.run(LOCK, user_id)
    if await connection.value(COUNT, user_id) >= MOST:
        raise ApiError(
            "too many passkeys", code="passkey.too_many", hint="Delete one first."
        )
    key = made.credential_id, user_id, made.credential_public_key, made.sign_count
    if not await connection.value(ADD, *key, name, made.credential_backed_up):
        raise Conflict("this passkey is known already", code="passkey.exists")
    codes = []
    if ports.account.mfa != "off":
        codes = await factor.first_codes(connection, user_id)
    await factor.note(ports, connection, user_id, "passkey-create")
    return {"id": str(credential["id"]), "recovery_code": codes}


async def read_passkeys(ports: Ports, user_id: int) -> list[dict[str, Any]]:
    """Return the passkeys of a user, without their keys, the oldest first."""
    return [dict(row) for row in await ports.database.rows(READ, user_id)]


async def delete_passkey(
    ports: Ports, me: Me, *, id: str, password: str | None, given: Given
) -> None:
    """Take a passkey away. Raises as `prove`; `passkey.missing`; `mfa.required`."""
    await factor.prove(ports, me, password, given)
    async with ports.database.transaction() as connection:
        if not await connection.run(DELETE, me.id, id):
            raise NotFound("no such passkey", code="passkey.missing")
        await factor.require_another(ports, connection, me.id)
        await factor.remove_codes(ports, connection, me.id)
        await factor.note(ports, connection, me.id, "passkey-delete")


async def begin_passkey(ports: Ports, mfa_token: str | None) -> dict[str, Any]:
    """Return what the browser asks a passkey for: of any user, or in a second step.

    Raises:
        Unauthenticated: `account_token.invalid`.
        Forbidden: `passkey.off`.
    """
    passkey.require_on(ports.account)
    user_id = None
    if mfa_token is not None:
        found = await tokens.find(ports.database, tokens.SECOND_STEP, mfa_token)
        user_id = found.user_id
    return await passkey.ask(ports, ports.database, user_id)


async def log_in_with_passkey(ports: Ports, credential: Mapping[str, Any]) -> TokenPair:
    """Begin a session for the user of a passkey; it is both factors.

    Raises:
        Unauthenticated: `passkey.invalid`.
        Forbidden: `passkey.off`; `active.inactive`.
    """
    passkey.require_on(ports.account)
    async with ports.database.transaction() as connection:
        await passkey.take_challenge(connection, passkey.LOGIN, credential)
        user_id = await passkey.use(
            ports, connection, credential, user_id=None, alone=True
        )
        now = await session.person_now(connection, user_id, ports.account)
        person = session.require_usable(now)
        return await session.open_session(connection, person, ports.account)
