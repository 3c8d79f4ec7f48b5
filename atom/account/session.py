"""Sessions: an access token to send, and a refresh token to get the next pair with.

A session is a family of refresh tokens, each good for one rotation. Only their SHA-256
is stored: they are long and random, so a slow hash would add nothing. A family with one
revoked token is dead as a whole. Access tokens carry the family as `sid`;
the first token of a family has its id, so that either column names the session.
"""

import hashlib
import logging
import secrets
import time
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import orjson

from atom.account import token
from atom.account.config import AccountConfig
from atom.account.demand import require_factor
from atom.account.security_event import ABOUT, ENTERED, record
from atom.errors import Conflict, Forbidden, Unauthenticated
from atom.port import Ports, UserState

log = logging.getLogger(__name__)

# Address and user agent of the caller who gets tokens; the routes of /auth set it.
DEVICE: ContextVar[tuple[str | None, str | None]] = ContextVar(
    "device", default=(None, None)
)

# The columns a token carries come as JSON, by name and never as text of a statement.
PERSON = """
select u.id, u.is_active, u.is_deleted, coalesce(v.version, 0) as version,
       (select reason from atom.pending_user p where p.user_id = u.id) as waits_for,
       (select jsonb_object_agg(column_name, value)::text
        from jsonb_each(to_jsonb(u)) as each (column_name, value)
        where column_name = any ($2::text[])) as claims
from users u left join atom.token_version v on v.user_id = u.id
where u.id = $1
"""

# However often it is renewed, a session ends so long after its first token.
OPEN = """
insert into atom.session
  (id, user_id, family, token_hash, expires_at, address, user_agent)
values ($1, $2, $3, $4, least(now() + make_interval(secs => $5),
  coalesce((select o.created_at from atom.session o where o.id = $3), now())
  + make_interval(secs => $6)), $7, $8)
"""
ENDS = """coalesce((select o.created_at from atom.session o where o.id = s.family),
    s.created_at) + make_interval(secs => $2)"""

TAKE = f"""
update atom.session s set used_at = now()
where s.token_hash = $1 and s.used_at is null and s.revoked_at is null
  and s.expires_at > now() and {ENDS} > now()
  and not exists (select from atom.session o
                  where o.family = s.family and o.revoked_at is not null)
returning s.user_id, s.family
"""  # noqa: S608 - constants alone

FIND = f"""
select s.user_id, s.family, s.used_at is not null as used,
  s.expires_at <= now() or {ENDS} <= now() as late,
  s.used_at > now() - make_interval(secs => $3)
    and not exists (select from atom.session o
                    where o.family = s.family and o.revoked_at is not null) as lately
from atom.session s where s.token_hash = $1
"""  # noqa: S608 - constants alone

REVOKE_FAMILY = """
update atom.session set revoked_at = now()
where family = $1 and user_id = $2 and revoked_at is null
"""

REVOKE_USER = """
update atom.session set revoked_at = now() where user_id = $1 and revoked_at is null
"""

REMOVE_USER = "delete from atom.session where user_id = $1"

# The first token of a family is when the session began: it is kept as long as any.
PRUNE = """
delete from atom.session s
where s.user_id = $1 and s.expires_at < now() - make_interval(secs => $2)
  and (s.id <> s.family or not exists (
        select from atom.session o where o.family = s.family
          and o.expires_at >= now() - make_interval(secs => $2)))
"""


@dataclass(frozen=True)
class TokenPair:
    """The answer to a login: tokens, and the seconds the access token lives."""

    access: str
    refresh: str
    expires_in: int


@dataclass(frozen=True)
class Person:
    """A user as the tables have them now, and the claims of their token."""

    id: int
    version: int
    claims: dict[str, Any]
    is_active: bool
    is_deleted: bool
    waits_for: str | None

    @classmethod
    def of(cls, row: Mapping[str, Any], config: AccountConfig) -> "Person":
        """Read a row that has the columns of PERSON."""
        columns = orjson.loads(row["claims"] or "{}")
        names = config.token_key_list
        return cls(
            id=row["id"],
            version=row["version"],
            claims={name: columns.get(name) for name in names},
            is_active=row["is_active"] != 0,
            is_deleted=row["is_deleted"] == 1,
            waits_for=row["waits_for"],
        )


def require_usable(person: Person | None) -> Person:
    """Return the person, if they may use tokens.

    Raises:
        Unauthenticated: `account.missing` when deleted, softly or not.
        Forbidden: `active.inactive`, `account.unconfirmed`, `account.unapproved`.
    """
    if person is None or person.is_deleted:
        raise Unauthenticated("user not found", code="account.missing")
    if not person.is_active:
        raise inactive(person.waits_for)
    return person


def inactive(waits_for: str | None) -> Forbidden:
    """Return the error of a user who may not log in."""
    if waits_for == "email_verification":
        return Forbidden(
            "email not confirmed",
            code="account.unconfirmed",
            hint="Open the link of the mail, or ask /auth/email-verify-resend for one.",
        )
    if waits_for == "admin_approval":
        return Forbidden("waiting for approval", code="account.unapproved")
    return Forbidden("user not active", code="active.inactive")


async def person_now(
    database: Any, user_id: int, config: AccountConfig
) -> Person | None:
    """Return a user as they are now; None when there is none."""
    row = await database.row(PERSON, user_id, list(config.token_key_list))
    return None if row is None else Person.of(row, config)


def is_alive(state: UserState, claims: token.Claims) -> bool:
    """Whether the session of a token is alive, and has the user's version.

    Raises:
        Unauthenticated: `token.expired` when the time of the session is over.
    """
    if state.token_version != claims.version:
        return False
    if state.sessions is None:
        return True
    ends = state.sessions.get(claims.session)
    if ends is None:
        return False
    if ends <= time.time():
        raise token.expired()
    return True


async def look_again(
    ports: Ports, state: UserState | None, claims: token.Claims
) -> UserState:
    """Return the state of a user as remembered without the session of a token.

    It may be older than the session: before one is refused, the database is asked,
    once.

    Raises:
        Unauthenticated: `account.missing`, `token.revoked`, `token.expired`.
    """
    if state is not None and claims.session not in state.ended:
        state = await ports.users.fresh(claims.subject)
        if state is not None:
            if is_alive(state, claims):
                return state
            state.ended.add(claims.session)
    if state is None:
        raise Unauthenticated("user not found", code="account.missing")
    raise Unauthenticated("token invalid", code="token.revoked")


async def check(ports: Ports, text: str) -> dict[str, Any]:
    """Return the user of a token that is valid now, with `id`.

    Raises:
        Unauthenticated: `token.invalid`, `token.expired`, `token.revoked`.
        Forbidden: `active.inactive`.
    """
    claims = ports.tokens.decode(text, int(time.time()))
    state = await ports.users.state(claims.subject)
    if state is None or not is_alive(state, claims):
        state = await look_again(ports, state, claims)
    if not state.is_active:
        raise Forbidden("user not active", code="active.inactive")
    return {**claims.user, **state.claims, "id": claims.subject}


def access_token(person: Person, session: str, config: AccountConfig) -> str:
    """Sign an access token for a session, with the first of the keys."""
    return token.encode(
        person.claims,
        key=token.signing_keys(config.key_jwt)[0],
        now=int(time.time()),
        seconds=config.token_expire_sec,
        subject=person.id,
        session=session,
        version=person.version,
        unique=secrets.token_hex(16),
    )


async def open_session(
    database: Any, user_row: Person, config: AccountConfig
) -> TokenPair:
    """Begin a session: a new family with its first pair of tokens."""
    return await _issue(database, user_row, None, config)


async def _issue(
    database: Any, person: Person, family: uuid.UUID | None, config: AccountConfig
) -> TokenPair:
    """Add a token to a family, or begin one. The token carries the user's version."""
    await database.run(PRUNE, person.id, float(config.token_expire_sec))
    made = uuid.uuid4()
    if family is None:
        family = made
        ENTERED.set(person.id)
    refresh = f"{person.version}.{secrets.token_urlsafe(32)}"
    await database.run(
        OPEN,
        made,
        person.id,
        family,
        _digest(refresh),
        float(config.token_refresh_expire_sec),
        float(config.session_expire_sec),
        *DEVICE.get(),
    )
    return TokenPair(
        access=access_token(person, str(family), config),
        refresh=refresh,
        expires_in=config.token_expire_sec,
    )


async def rotate(ports: Ports, refresh: str) -> TokenPair:
    """Exchange a refresh token for the next pair.

    Of two callers with the same token one wins. The other may be a second tab of the
    same browser, and is refused; after the grace it proves that the token was copied,
    and the session ends for both. So does a change of the password.

    Raises:
        Unauthenticated: `token.invalid`, `token.expired`, `account.missing`;
            `mfa.required`, and the token is not used up.
        Conflict: `token.used` within the grace.
        Forbidden: `active.inactive`; the token is not used up.
    """
    digest, config = _digest(refresh), ports.account
    async with ports.database.transaction() as connection:
        taken = await connection.row(TAKE, digest, float(config.session_expire_sec))
        if taken is not None:
            found = await person_now(connection, taken["user_id"], config)
            person = require_usable(found)
            await require_factor(connection, config, person.id)
            if str(person.version) == refresh.partition(".")[0]:
                return await _issue(connection, person, taken["family"], config)
    await _refuse(ports, digest)
    raise token.invalid()


async def _refuse(ports: Ports, digest: bytes) -> None:
    most = float(ports.account.session_expire_sec)
    grace = float(ports.account.token_refresh_grace_sec)
    known = await ports.database.row(FIND, digest, most, grace)
    if known is None:
        return
    ABOUT.set(known["user_id"])
    if known["lately"]:
        raise Conflict(
            "refresh token was used a moment ago",
            code="token.used",
            hint="Go on with the pair that its first use got.",
        )
    if known["used"]:
        log.warning("a used refresh token of user %s came back", known["user_id"])
        async with ports.database.transaction() as connection:
            await revoke(connection, known["family"], known["user_id"])
            await record(ports, "session.reused", known["user_id"])
        ports.users.forget(known["user_id"])  # here before the bus brings it
        return
    if known["late"]:
        raise token.expired()


async def renew(ports: Ports, user_id: int, session_id: str) -> tuple[str, int]:
    """Return an access token from the row as it is now, and its seconds to live.

    The session stays the same, so that logging out ends this token as well.

    Raises:
        Unauthenticated: `account.missing`, `mfa.required`.
        Forbidden: `active.inactive`.
    """
    found = await person_now(ports.database, user_id, ports.account)
    person = require_usable(found)
    await require_factor(ports.database, ports.account, person.id)
    seconds = ports.account.token_expire_sec
    return access_token(person, session_id, ports.account), seconds


async def logout(ports: Ports, user_id: int, session_id: str) -> None:
    """End a session of a user, for its access and its refresh tokens."""
    async with ports.database.transaction() as connection:
        await revoke(connection, session_id, user_id)
        await record(ports, "session.ended", user_id, which="this")
    ports.users.forget(user_id)


async def revoke(database: Any, session: uuid.UUID | str, user_id: int) -> None:
    """End one session of a user; nothing happens when it has ended already."""
    try:
        family = session if isinstance(session, uuid.UUID) else uuid.UUID(session)
    except ValueError:
        return
    # A rotation in progress may add a token this statement does not see; once it is
    # committed the next turn does. No rotation begins after the first turn.
    while await database.run(REVOKE_FAMILY, family, user_id):
        continue


async def revoke_all(database: Any, user_id: int) -> None:
    """End every session of a user."""
    await database.run(REVOKE_USER, user_id)


async def remove_all(database: Any, user_id: int) -> None:
    """Delete every session of a user who was deleted."""
    await database.run(REMOVE_USER, user_id)


def _digest(refresh: str) -> bytes:
    return hashlib.sha256(refresh.encode("utf-8", "surrogatepass")).digest()
