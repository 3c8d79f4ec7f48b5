"""Invitations: an admin invites an address, with rights the admin holds.

The token of the mail makes the user, with a password of their own. What the admin may
grant is checked twice: when inviting, and when it is accepted.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from atom.account import mailed_token as tokens
from atom.account.letter import require_mail, send_link
from atom.account.mfa import Entry
from atom.account.name import validate
from atom.account.password import hash_password
from atom.account.password_rule import require_fit
from atom.account.rights import AUDIT, FIRST, parse, require_held
from atom.account.security_event import record
from atom.account.signup import create_user, let_in, prove, read_columns
from atom.errors import Conflict, Forbidden, NotFound
from atom.port import Ports

GRANTED = ("api_access", "role")  # what an invitation may carry
UNIQUE = ("username", "email", "mobile")
MINE = """
select to_jsonb(u)::text from users u
where id = $1 and is_active is distinct from 0 and is_deleted is distinct from 1
"""
TAKEN = "select exists (select from users where type = $1 and email = $2)"
REPLACE = """
delete from atom.account_token where purpose = $1 and type = $2 and email = $3
"""
OPEN = """
select id, email, type, detail ->> 'api_access' as api_access, detail -> 'role' as role,
  created_by_id, created_at, expires_at
from atom.account_token where purpose = $1 and expires_at > now()
order by id desc limit $2 offset $3
"""
NEWEST = "select id from users where type = $1 and email = $2"
WITHDRAW = "delete from atom.account_token where purpose = $1 and id = $2"


async def invite(
    ports: Ports,
    user: Mapping[str, Any],
    *,
    email: str,
    type: int,
    **granted: Any,
) -> int:
    """Mail an invitation. Return its id. It replaces an earlier one of the address.

    Raises:
        ApiError: `identity.unreadable`; a right that cannot be read.
        Forbidden: `rights.exceeded`, naming what the caller lacks.
        Conflict: `account.exists`.
        Unavailable: `account.no_mail`.
    """
    require_mail(ports)
    address = validate("email", email)
    table = ports.database.catalog.table("users")
    wanted = parse(table, granted)
    seconds = ports.account.invitation_expire_sec
    me = int(user["id"])
    async with ports.database.transaction() as connection:
        mine = await _holder(connection, me)
        if mine is None:
            raise Forbidden("user not active", code="active.inactive")
        if me != FIRST:
            require_held(mine, {}, wanted)
        if await connection.value(TAKEN, type, address):
            raise _exists()
        await connection.run(REPLACE, tokens.INVITATION, type, address)
        made, token = await tokens.issue(
            connection,
            tokens.INVITATION,
            seconds=seconds,
            type=type,
            email=address,
            detail=wanted,
            created_by_id=me,
        )
        inviter = mine.get("name") or mine.get("username")
        place = (address, tokens.INVITATION, token, seconds)
        by = inviter or ports.mailer.config.app_name
        await send_link(ports, "invitation", *place, inviter=by)
    return made


async def invitations(ports: Ports, *, limit: int, page: int) -> list[dict[str, Any]]:
    """Return the invitations that are open, the newest first."""
    skipped = (page - 1) * limit
    rows = await ports.database.rows(OPEN, tokens.INVITATION, limit, skipped)
    return [
        {**row, "role": orjson.loads(row["role"]) if row["role"] else None}
        for row in rows
    ]


async def withdraw(ports: Ports, invitation_id: int) -> int:
    """Withdraw an invitation. Return its id.

    Raises:
        NotFound: `row.missing`.
    """
    if not await ports.database.run(WITHDRAW, tokens.INVITATION, invitation_id):
        raise NotFound("There is no such invitation.", code="row.missing")
    return invitation_id


async def accept(
    ports: Ports,
    *,
    token: str,
    password: str,
    username: str | None = None,
    otp: str | None = None,
    **more: Any,
) -> Entry:
    """Make the user who was invited, and begin a session.

    `more` are columns that `config_signup` lists. Sign-up may be closed.

    Raises:
        Unauthenticated: `account_token.invalid`; also when the admin does not hold the
            rights any more.
        ApiError: a name, password or column against the rules; the token stays good.
        Conflict: `account.exists`; as well.
    """
    found = await tokens.find(ports.database, tokens.INVITATION, token)
    names = {} if username is None else {"username": validate("username", username)}
    require_fit(password, ports.account, [found.email, *names.values()])
    columns = await read_columns(ports, more, "email")
    await prove(ports, columns, otp)
    stored = await hash_password(password)
    async with ports.database.transaction() as connection:
        taken = await tokens.take(connection, tokens.INVITATION, token)
        await _require_still_held(connection, taken)
        granted = parse(ports.database.catalog.table("users"), taken.detail)
        row = {"type": taken.type, **names, "email": found.email, "is_verified": 1}
        row |= {"password": stored, **columns, **granted}
        unique = {one: row[one] for one in UNIQUE if one in row}
        made = await create_user(ports, row, unique, is_approved=True)
        if made is None:
            raise _exists()
        pair = let_in(made)
        user_id = await connection.value(NEWEST, taken.type, found.email)
        await record(
            ports, "account.invited", user_id, by=taken.created_by_id, **granted
        )
        if granted:
            await connection.run(
                AUDIT,
                taken.created_by_id,
                user_id,
                "{}",
                orjson.dumps(taken.detail).decode(),
                tokens.INVITATION,
            )
    return pair


async def _holder(database: Any, user_id: int | None) -> dict[str, Any] | None:
    text = await database.value(MINE, user_id)
    return orjson.loads(text) if text else None


async def _require_still_held(database: Any, taken: tokens.Mailed) -> None:
    mine = await _holder(database, taken.created_by_id)
    if mine is None:
        raise tokens.invalid()
    if taken.created_by_id != FIRST:
        try:
            require_held(mine, {}, taken.detail)
        except Forbidden:
            raise tokens.invalid() from None


def _exists() -> Conflict:
    return Conflict("email already exists", code="account.exists")
