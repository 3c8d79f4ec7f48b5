"""Logging in with a name and a password, and how often that may go wrong.

Whoever does not exist, was deleted or has no password gets the same answer after the
same time as whoever mistypes one.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

from atom.account.identity import spelled, storable
from atom.account.password import hash_password, verify_password
from atom.account.session import Person, TokenPair, open_session
from atom.errors import ApiError, Forbidden, RateLimited, Unauthenticated
from atom.http.address import network
from atom.port import Counter, Ports

# Failures in so many seconds. The first is for one who guesses one user's password; it
# binds the address too, so that nobody locks out a user from elsewhere. The others are
# for guesses spread over many addresses, or over many users.
SECONDS = 300
PAIR_TIMES = 10
USER_TIMES = 100
ADDRESS_TIMES = 100

FOUND = """
select u.id, u.is_active, u.is_deleted, u.password, u.password_bigint,
       coalesce(v.version, 0) as version,
       (select jsonb_object_agg(column_name, value)::text
        from jsonb_each(to_jsonb(u)) as each (column_name, value)
        where column_name = any ($3::text[])) as claims
from users u left join atom.token_version v on v.user_id = u.id
"""

# $2 holds the one spelling first, then what was typed: rows written by other hands may
# have kept that.
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

# The same password with a new hash is no change of password: the triggers on users know
# it by this setting, and whoever is logged in stays so.
SAME_PASSWORD = "select set_config('atom.rehash', 'on', true)"
REPLACE = {
    "password": "update users set password = $3 where id = $1 and password = $2",
    "password_bigint": (
        "update users set password_bigint = $3 where id = $1 and password_bigint = $2"
    ),
}


def wrong() -> Unauthenticated:
    """Say that a login failed, and nothing of why."""
    return Unauthenticated("wrong login or password", code="account.wrong_password")


@dataclass(frozen=True)
class Guard:
    """Counts failures of one caller against one user, and stops them.

    Only failures count, so a hundred logins at once with the right password pass. A
    guess is told right only while there is room, whatever was begun at the same time.
    """

    counter: Counter
    keys: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, counter: Counter, who: str, address: str) -> "Guard":
        """Guard a user, named in any words, against a caller at an address."""
        user, place = _mark(who), _mark(network(address))
        return cls(
            counter,
            (
                (f"login:pair:{user}:{place}", PAIR_TIMES),
                (f"login:user:{user}", USER_TIMES),
                (f"login:address:{place}", ADDRESS_TIMES),
            ),
        )

    async def require_room(self) -> None:
        """Refuse who has failed too often.

        Raises:
            RateLimited: with the seconds until the window ends.
        """
        found = await asyncio.gather(*(self.counter.peek(key) for key, _ in self.keys))
        for (_, times), (hits, seconds) in zip(self.keys, found, strict=True):
            if hits >= times:
                raise _too_often(seconds)

    async def failed(self) -> None:
        """Count a failure.

        Raises:
            RateLimited: when it is one too many.
        """
        found = await asyncio.gather(
            *(self.counter.hit(key, SECONDS) for key, _ in self.keys)
        )
        for (_, times), (hits, seconds) in zip(self.keys, found, strict=True):
            if hits > times:
                raise _too_often(seconds)

    async def passed(self) -> None:
        """Forget the failures of this caller with this user.

        The other counts stay: an attacker would reset them with a login of their own.
        """
        await self.counter.clear(self.keys[0][0])


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _too_often(seconds: int) -> RateLimited:
    return RateLimited("too many failed logins", seconds=max(1, seconds))


async def check_password(
    guard: Guard, text: str, stored: str | None, refusal: ApiError
) -> bool:
    """Verify a password under a guard. Return whether its hash should be replaced.

    Raises:
        ApiError: the refusal, when it is wrong.
        RateLimited: after too many failures.
    """
    await guard.require_room()
    verdict = await verify_password(text, stored)
    if not verdict.ok:
        await guard.failed()
        raise refusal
    await guard.require_room()
    await guard.passed()
    return verdict.rehash


async def login(
    ports: Ports,
    *,
    kind: str,
    type: int,
    name: str | int,
    password: str,
    address: str,
) -> TokenPair:
    """Begin a session for who knows the password.

    `kind` is username, username_bigint, email or mobile.

    Raises:
        Unauthenticated: `account.wrong_password`, whatever is wrong.
        Forbidden: `active.inactive`, to who knows the password.
        RateLimited: after too many failures.
    """
    column = "password_bigint" if kind == "username_bigint" else "password"
    one = spelled(kind, name) if isinstance(name, str) else name
    guard = Guard.of(ports.counter, f"{kind} {type} {one}", address)
    row = None
    if storable(str(one)):
        row = await ports.database.row(
            BY_NAME[kind],
            type,
            [one] if isinstance(name, int) else [one, name.strip()],
            list(ports.config["config_token_key_list"]),
        )
    if row is not None and row["is_deleted"] == 1:
        row = None
    stored = row[column] if row is not None else None
    rehash = await check_password(guard, password, stored, wrong())
    if row is None or stored is None:  # never: a verdict of yes needs a hash
        raise wrong()
    person = Person.of(row, ports.config)
    if not person.is_active:
        raise Forbidden("user not active", code="active.inactive")
    if rehash:
        await replace_hash(ports.database, person.id, column, stored, password)
    return await open_session(ports.database, person, ports.config)


async def replace_hash(
    database: Any, user_id: int, column: str, stored: str, password: str
) -> None:
    """Store a password again, hashed as we do now, unless it was changed meanwhile."""
    made = await hash_password(password)
    async with database.transaction() as connection:
        await connection.run(SAME_PASSWORD)
        await connection.run(REPLACE[column], user_id, stored, made)
