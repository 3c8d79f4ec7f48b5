"""Logging in with a name and a password.

A user who does not exist, was deleted or has no password gets the same answer, after
the same time, as one who mistypes the password.
"""

from dataclasses import replace
from typing import Any

from atom.account.mfa import Entry, enter
from atom.account.name import is_storable, normalize
from atom.account.password import hash_password, verify_password
from atom.account.security_event import ABOUT
from atom.account.session import Person, inactive
from atom.account.session_list import has_session_near
from atom.account.throttle import LoginThrottle
from atom.errors import ApiError, Unauthenticated
from atom.event.envelope import AS_SELF, metadata_text
from atom.port import Ports

FOUND = """
select u.id, u.is_active, u.is_deleted, u.password, u.password_bigint,
       coalesce(v.version, 0) as version,
       (select reason from atom.pending_user p where p.user_id = u.id) as waits_for,
       (select jsonb_object_agg(column_name, value)::text
        from jsonb_each(to_jsonb(u)) as each (column_name, value)
        where column_name = any ($3::text[])) as claims
from users u left join atom.token_version v on v.user_id = u.id
"""

# $2 holds the name as typed, which a row may have that is older than the normal form,
# then the normal form.
BY_NAME = {
    "username": FOUND
    + """where u.type = $1 and u.username = any ($2::text[])
         order by array_position($2::text[], u.username) limit 1""",
    "username_bigint": FOUND
    + """where u.type = $1 and u.username_bigint = any ($2::bigint[])
         order by u.id limit 1""",
    "email": FOUND
    + """where u.type = $1 and u.email = any ($2::text[])
         order by array_position($2::text[], u.email) limit 1""",
    "mobile": FOUND
    + """where u.type = $1 and u.mobile = any ($2::text[])
         order by array_position($2::text[], u.mobile) limit 1""",
}

# Or the newest who waits to have the address confirmed.
OR_WAITING = """where u.id in (
  select id from users where type = $1 and email = any ($2::text[])
  union all
  select user_id from atom.pending_user where type = $1 and email = any ($2::text[]))
order by array_position($2::text[], u.email), u.id desc limit 1"""
WITH_WAITING = {"email": FOUND + OR_WAITING}

# A new hash of the same password is not a change of password: the triggers on users
# know it by this setting, and open sessions stay open.
SAME_PASSWORD = "select set_config('atom.rehash', 'on', true)"
REPLACE = {
    column: f"update users set {column} = $3 where id = $1 and {column} = $2"  # noqa: S608 - constants alone
    f" and {AS_SELF.format(place=4)}"
    for column in ("password", "password_bigint")
}


def wrong() -> Unauthenticated:
    """Return the error of a failed login. Deliberately without the reason."""
    return Unauthenticated("wrong login or password", code="account.wrong_password")


async def check_password(
    throttle: LoginThrottle, text: str, stored: str | None, refusal: ApiError
) -> bool:
    """Verify a password, throttled. Return whether its hash should be replaced.

    Raises:
        ApiError: the refusal, when it is wrong.
        RateLimited: after too many failures.
    """
    await throttle.check()
    verdict = await verify_password(text, stored)
    if not verdict.ok:
        await throttle.fail()
        raise refusal
    await throttle.check()
    await throttle.reset()
    return verdict.rehash


async def log_in(
    ports: Ports,
    *,
    kind: str,
    type: int,
    name: str | int,
    password: str,
    address: str,
) -> Entry:
    """Begin a session for a user who knows the password, or ask for a second factor.

    `kind` is username, username_bigint, email or mobile.

    Raises:
        Unauthenticated: `account.wrong_password`, whatever is wrong.
        Forbidden: `active.inactive`, `account.unconfirmed`, `account.unapproved`, to a
            user who knows the password.
        RateLimited: after too many failures.
    """
    column = "password_bigint" if kind == "username_bigint" else "password"
    one = normalize(kind, name) if isinstance(name, str) else name
    throttle = LoginThrottle.for_user(ports.counter, f"{kind} {type} {one}", address)
    row = None
    if is_storable(str(name)):
        row = await ports.database.row(
            WITH_WAITING.get(kind, BY_NAME[kind]),
            type,
            [one] if isinstance(name, int) else [name.strip(), one],
            list(ports.account.token_key_list),
        )
    if row is not None and row["is_deleted"] == 1:
        row = None
    stored = row[column] if row is not None else None
    user_id = row["id"] if row is not None else 0
    ABOUT.set(user_id or None)

    async def is_known() -> bool:
        return await has_session_near(ports, user_id, address)

    throttle = replace(throttle, is_known=is_known)
    rehash = await check_password(throttle, password, stored, wrong())
    if row is None or stored is None:  # never: only a stored hash is verified
        raise wrong()
    person = Person.of(row, ports.account)
    if not person.is_active:
        raise inactive(person.waits_for)
    if rehash:
        await replace_hash(ports.database, person.id, column, stored, password)
    return await enter(ports, ports.database, person)


async def replace_hash(
    database: Any, user_id: int, column: str, stored: str, password: str
) -> None:
    """Store a password with a current hash, unless it was changed meanwhile."""
    made = await hash_password(password)
    async with database.transaction() as connection:
        await connection.run(SAME_PASSWORD)
        change = (user_id, stored, made, metadata_text())
        await connection.run(REPLACE[column], *change)
    database.written("users")
