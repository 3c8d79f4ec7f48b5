"""The second factors of another user, taken away by an admin: a lost phone."""

from collections.abc import Mapping
from typing import Any

import orjson

from atom.account import mailed_token as tokens
from atom.account import session
from atom.account.factor import missing
from atom.account.letter import notify
from atom.account.rights import AUDIT, FIRST, held_by, require_held
from atom.account.security_event import record
from atom.errors import Forbidden
from atom.event.envelope import note_caller
from atom.port import Ports

ACTION = "user-mfa-delete"
DELETE = """
with gone as (delete from atom.totp where user_id = $1
    returning secret is not null as is_set),
  keys as (delete from atom.passkey where user_id = $1 returning 1),
  codes as (delete from atom.recovery_code where user_id = $1 returning 1)
select (select count(*) from gone where is_set) as totp,
  (select count(*) from keys) as passkey,
  (select count(*) from codes) as recovery_code
"""
SUBJECT = "The second factors of your account were taken away"
TEXT = (
    "An admin did it, and every session has ended. If you did not ask for it, set a new"
    " password at once, and ask for help."
)


async def take_factors(ports: Ports, user: Mapping[str, Any], user_id: int) -> int:
    """Take every second factor of a user away, and end their sessions. Return the id.

    Raises:
        Forbidden: `rights.own`; `rights.exceeded`, naming what the caller lacks.
        NotFound: `row.missing`; `mfa.missing` when there is none.
    """
    me = int(user["id"])
    if user_id in (me, FIRST):
        raise Forbidden(
            "No one takes away their own factors here, or those of user 1.",
            code="rights.own",
            hint="One's own: /my/totp-delete.",
        )
    async with ports.database.transaction() as connection:
        await note_caller(connection)
        mine, was = await held_by(connection, me, user_id)
        if me != FIRST:
            require_held(mine, was, {})
        (gone,) = await connection.rows(DELETE, user_id)
        if not any(gone):
            raise missing()
        for purpose in (tokens.SECOND_STEP, tokens.ENROL):
            await connection.run(tokens.VOID, user_id, purpose)
        before = orjson.dumps(dict(gone)).decode()
        await connection.run(AUDIT, me, user_id, before, "{}", ACTION)
        await record(ports, "factor.removed", user_id)
        await session.revoke_all(connection, user_id)
        await notify(ports, user_id, was.get("email"), SUBJECT, TEXT)
    ports.users.forget(user_id)
    return user_id
