"""A new password for who has forgotten theirs, by a link that is mailed."""

from atom.account import mailed_token as tokens
from atom.account import session
from atom.account.letter import asked_for, notify, send_link
from atom.account.password import hash_password
from atom.account.password_rule import require_fit
from atom.account.security_event import record
from atom.account.update import forget
from atom.event.envelope import AS_SELF, metadata_text
from atom.port import Ports

OF_ADDRESS = """
select id, name from users
where type = $1 and email = $2 and is_deleted is distinct from 1
  and is_active is distinct from 0
"""
# The address is the one the mail went to: who had it before has no way in. A number as
# password is gone too, which would open the account as before.
SET = f"""
update users set password = $2, password_bigint = null, updated_by_id = $1
where id = $1 and email = $3
  and is_deleted is distinct from 1 and is_active is distinct from 0
  and {AS_SELF.format(place=4)}
returning id
"""  # noqa: S608 - constants alone
USERNAME = "select username from users where id = $1"
CHANGED = "Your password was changed"
CHANGED_TEXT = (
    "A new password was set by a link that was mailed to you, and every session has"
    " ended. If it was not you, set another at once."
)


async def ask_reset(ports: Ports, *, type: int, email: str, caller: str) -> None:
    """Mail a link to a user who has the address, if any; raises as `asked_for`."""
    address = await asked_for(ports, "reset", type, email, caller)
    ports.tasks.spawn(_mail(ports, type, address), name="password-forgot")


async def _mail(ports: Ports, type: int, address: str) -> None:
    seconds = ports.account.password_reset_expire_sec
    async with ports.database.transaction() as connection:
        row = await connection.row(OF_ADDRESS, type, address)
        if row is None:
            return
        _, token = await tokens.issue(
            connection,
            tokens.PASSWORD_RESET,
            seconds=seconds,
            type=type,
            email=address,
            user_id=row["id"],
        )
        place = (address, tokens.PASSWORD_RESET, token, seconds)
        await send_link(ports, "reset_password", *place, name=row["name"])


async def reset_password(ports: Ports, *, token: str, password: str) -> None:
    """Set a new password by a token that was mailed. Every session of the user ends.

    Raises:
        Unauthenticated: `account_token.invalid`.
        ApiError: a password against the rules; the token stays good.
    """
    found = await tokens.find(ports.database, tokens.PASSWORD_RESET, token)
    username = await ports.database.value(USERNAME, found.user_id)
    require_fit(password, ports.account, [found.email, username])
    stored = await hash_password(password)
    async with ports.database.transaction() as connection:
        taken = await tokens.take(connection, tokens.PASSWORD_RESET, token)
        change = (taken.user_id, stored, found.email, metadata_text())
        user_id = await connection.value(SET, *change)
        if user_id is None:
            raise tokens.invalid()
        await connection.run(tokens.VOID, user_id, tokens.PASSWORD_RESET)
        await session.revoke_all(connection, user_id)
        await record(ports, "password.reset", user_id)
        await notify(ports, user_id, found.email, CHANGED, CHANGED_TEXT)
    ports.database.written("users")
    forget(ports, user_id)
