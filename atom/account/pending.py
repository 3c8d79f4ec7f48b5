"""Users who have signed up and wait: for their e-mail to be confirmed, or an admin.

They are inactive, so nothing else has to know of them. An address that is not confirmed
is not in `users`: no one keeps it from its owner, and whoever signs up with it does not
learn whether a user has it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.account import mailed_token as tokens
from atom.account.letter import asked_for, notify, send_link
from atom.account.update import forget
from atom.config.view import view
from atom.errors import Conflict
from atom.event.envelope import AS_SELF, metadata_text
from atom.port import Ports

EMAIL, ADMIN = "email_verification", "admin_approval"  # as config has them
NOTICES, NOTICE_SECONDS = 20, 3600  # of registrations, to each admin
ADMINS_MAX = 20

WAIT = """
insert into atom.pending_user (user_id, reason, type, email) values ($1, $2, $3, $4)
"""
WAITING = """
select p.user_id from atom.pending_user p join users u on u.id = p.user_id
where p.type = $1 and p.email = $2 and p.reason = 'email_verification'
  and u.is_deleted is distinct from 1
order by p.created_at desc, p.user_id desc limit 1
"""
HAS_ADDRESS = "select exists (select from users where type = $1 and email = $2)"
SETTLE = "delete from atom.pending_user where user_id = $1 returning reason, email"
CONFIRM = f"""
update users set email = $2, is_active = 1, is_verified = 1, updated_by_id = $1
where id = $1 and is_deleted is distinct from 1 and {AS_SELF.format(place=3)}
returning id
"""  # noqa: S608 - constants alone
APPROVE = """
delete from atom.pending_user where user_id = $1 and reason = 'admin_approval'
returning (select email from users where id = $1)
"""
ADMINS = """
select id, email from users
where string_to_array(replace(api_access, ' ', ''), ',') @> array[$1::text]
  and is_active is distinct from 0 and is_deleted is distinct from 1
order by id limit $2
"""
WHO = "select username, email, mobile from users where id = $1"
HAVE = "You have an account already"
HAVE_TEXT = (
    "Someone signed up with your address, which has an account. If it was you, log in,"
    " or set a new password. If not, there is nothing to do."
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A new user who cannot log in yet, and why."""

    user_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class RightsConfig:
    """The key that has the id of the route that approves."""

    api: Mapping[str, Mapping[str, Any]]

    @property
    def id(self) -> int:
        """The api id of those who approve."""
        return int(self.api["/admin/user-rights-update"]["id"])


async def mail_confirmation(ports: Ports, type: int, email: str) -> None:
    """Mail a link that confirms the address; to one who has it, a notice instead."""
    seconds = ports.account.email_verify_expire_sec
    async with ports.database.transaction() as connection:
        row = await connection.row(WAITING, type, email)
        if row is None:
            return
        if await connection.value(HAS_ADDRESS, type, email):
            return await notify(ports, None, email, HAVE, HAVE_TEXT)
        _, token = await tokens.issue(
            connection,
            tokens.EMAIL_VERIFY,
            seconds=seconds,
            type=type,
            email=email,
            user_id=row["user_id"],
        )
        place = (email, tokens.EMAIL_VERIFY, token, seconds)
        await send_link(ports, "verify_email", *place)


async def resend(ports: Ports, *, type: int, email: str, caller: str) -> None:
    """Mail the link again, if someone waits with the address; raises as `asked_for`."""
    address = await asked_for(ports, "verify", type, email, caller)
    work = mail_confirmation(ports, type, address)
    ports.tasks.spawn(work, name="email-verify-resend")


async def confirm(ports: Ports, token: str) -> None:
    """Let in the user who got a token by mail, with the address it was sent to.

    Raises:
        Unauthenticated: `account_token.invalid`.
        Conflict: `account.exists` when another user has the address since.
    """
    async with ports.database.transaction() as connection:
        taken = await tokens.take(connection, tokens.EMAIL_VERIFY, token)
        waiting = await connection.row(SETTLE, taken.user_id)
        if waiting is None or waiting["email"] != taken.email:
            raise tokens.invalid()
        try:
            async with ports.database.transaction():
                change = (taken.user_id, taken.email, metadata_text())
                user_id = await connection.value(CONFIRM, *change)
        except Conflict:
            raise _exists() from None
        if user_id is None:
            raise tokens.invalid()
        await connection.run(tokens.VOID, user_id, tokens.EMAIL_VERIFY)
    ports.database.written("users")
    forget(ports, user_id)


def _exists() -> Conflict:
    return Conflict("email already exists", code="account.exists")


async def settle(ports: Ports, connection: Any, user_id: int, is_active: Any) -> None:
    """End the wait of a user whom an admin let in, with a notice, or refused.

    On the transaction of the admin's change. An address still has to be confirmed: an
    admin cannot know that it is theirs, and sign-in by others trusts those in `users`.
    """
    if is_active == 0:
        if await connection.row(SETTLE, user_id) is not None:
            await connection.run(tokens.VOID, user_id, tokens.EMAIL_VERIFY)
        return
    row = await connection.row(APPROVE, user_id)
    if row is None:
        return
    email = row["email"]
    subject = f"Your account at {ports.mailer.config.app_name} is open"
    text = "An administrator has approved your account. You can log in now."
    await notify(ports, user_id, email, subject, text, kind="approval")


async def notify_admins(ports: Ports, user_id: int) -> None:
    """Notify those who may approve of a registration; a flood of them only at first."""
    hits, _ = await ports.counter.hit("registered", NOTICE_SECONDS, times=NOTICES)
    if hits > NOTICES:
        return
    api_id = str(view(RightsConfig, ports.config).id)
    who = await ports.database.row(WHO, user_id)
    if who is None:
        return
    name = who["username"] or who["email"] or who["mobile"]
    named = f"User {user_id} ({name})" if name else f"User {user_id}"
    text = f"{named} has signed up and waits for approval."
    async with ports.database.transaction() as connection:
        for row in await connection.rows(ADMINS, api_id, ADMINS_MAX):
            subject = f"A new user at {ports.mailer.config.app_name}"
            place = (row["id"], row["email"])
            await notify(ports, *place, subject, text, kind="registration")
