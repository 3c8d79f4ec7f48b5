"""API keys: what a program of a user sends in place of an access token.

A key is 256 random bits, so its SHA-256 is stored and a slow hash would add nothing. It
opens the routes it was made for, and never more than its user may do now: it counts as
one of the user's sessions, and the steps that judge a user judge its caller.
"""

import hashlib
import re
import secrets
import time
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atom.account import token
from atom.account.letter import notify
from atom.account.profile import TOUCH_SECONDS, Touches
from atom.account.security_event import record
from atom.errors import Conflict, NotFound, RateLimited, Unauthenticated

if TYPE_CHECKING:
    from atom.port import Counter, Ports, UserState
    from atom.postgres.database import Database
    from atom.task import Tasks

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "atom_"  # by which scanners find a key that has leaked
RANDOM, CHECK = 43, 6  # digits: 62 ** 43 > 2 ** 256, 62 ** 6 > 2 ** 32
FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM + CHECK}}}")
SESSION = "key:"  # before the id of a key, where a token has the id of its session
KNOWN_MAX = 2000
# Keys that are looked up for one network in a minute; those that are known are not.
FIND_TIMES, FIND_SECONDS = 300, 60

FIND = """
select id, user_id, route, version,
  extract(epoch from created_at)::bigint as issued,
  extract(epoch from expires_at)::bigint as expires
from atom.api_key where key_hash = $1
"""
TOUCH = """
update atom.api_key set last_used_at = now()
where id = $1
  and (last_used_at is null or last_used_at < now() - make_interval(secs => $2))
"""
# The row of the user is locked, so that one is counted after the other.
OWNER = "select email from users where id = $1 for no key update"
VERSION = "coalesce((select version from atom.token_version where user_id = $1), 0)"
PRUNE = """
delete from atom.api_key where user_id = $1 and expires_at < now() - interval '30 days'
"""
COUNT = f"""
select count(*) from atom.api_key
where user_id = $1 and expires_at > now() and version = {VERSION}
"""  # noqa: S608 - constants alone
MAKE = f"""
insert into atom.api_key (user_id, name, key_hash, route, version, expires_at)
values ($1, $2, $3, $4, {VERSION}, now() + make_interval(secs => $5))
returning id, expires_at
"""  # noqa: S608 - constants alone
READ = f"""
select coalesce(json_agg(k order by k.id desc), '[]')::text
from (select id, name, route, created_at, expires_at, last_used_at,
        expires_at > now() and version = {VERSION} as is_alive
      from atom.api_key where user_id = $1 order by id desc limit 1000) as k
"""  # noqa: S608 - constants alone
DELETE = "delete from atom.api_key where id = $1 and user_id = $2"
MADE = "An API key of your account was made"
MADE_TEXT = (
    'Its name is "{}". If it was not you, delete it, set a new password, and ask '
    "for help."
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that there is, or was: the state of its user has whether it is alive."""

    id: int
    claims: token.Claims
    routes: frozenset[str]  # "GET /my/profile"


def made_key() -> str:
    """Return a new key: the prefix, 256 random bits, a checksum."""
    text = PREFIX + "".join(secrets.choice(DIGITS) for _ in range(RANDOM))
    return text + checksum(text)


def checksum(text: str) -> str:
    """Return the digits by which a mistyped key is known without a query.

    >>> checksum("atom_")
    '4MNHU9'
    """
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECK):
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits


def is_form(text: str) -> bool:
    """Whether a text may be a key."""
    return FORM.fullmatch(text) is not None and checksum(text[:-CHECK]) == text[-CHECK:]


class ApiKeys:
    """Finds keys, and remembers the last ones that were found.

    What is remembered of a key never changes. Whether it is alive is asked of the state
    of its user, which is coherent across workers.
    """

    def __init__(
        self, database: "Database", counter: "Counter", tasks: "Tasks"
    ) -> None:
        self._database = database
        self._counter = counter
        self._tasks = tasks
        self._known: OrderedDict[bytes, ApiKey] = OrderedDict()
        self._touches = Touches()

    async def find(self, text: str, caller: str) -> ApiKey:
        """Return a key by what its caller sent. The database is asked once for each.

        Raises:
            Unauthenticated: `token.invalid`, `token.expired`.
            RateLimited: to a caller who makes keys up, which costs a query each.
        """
        if not is_form(text):
            raise token.invalid()
        digest = _digest(text)
        key = self._known.get(digest)
        if key is None:
            hits, left = await self._counter.hit(f"key:{caller}", FIND_SECONDS)
            if hits > FIND_TIMES:
                raise RateLimited(seconds=max(left, 1))
            row = await self._database.row(FIND, digest)
            if row is None:
                raise token.invalid()
            key = self._known[digest] = _read(row)
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(digest)
        if key.claims.expires <= time.time():
            raise token.expired()
        return key

    def note_use(self, key: ApiKey) -> None:
        """Note when a key was used last, at most once a minute."""
        if self._touches.due(key.id, time.monotonic()):
            touch = self._database.run(TOUCH, key.id, float(TOUCH_SECONDS))
            self._tasks.spawn(touch, name="touch")


def user_of(claims: token.Claims, state: "UserState") -> Mapping[str, Any]:
    """Return what a key shows of its user: everything as it is now."""
    return {
        "is_active": int(state.is_active),
        "api_access": ",".join(map(str, sorted(state.api_access))) or None,
        **state.claims,
        "id": claims.subject,
    }


async def create_key(
    ports: "Ports", user_id: int, name: str, routes: Sequence[str], seconds: int | None
) -> dict[str, Any]:
    """Make a key for routes, "GET /my/profile". It is shown here, and never again.

    Raises:
        Conflict: `key.limit`.
        Unauthenticated: `account.missing`.
    """
    config, text = ports.account, made_key()
    seconds = min(seconds or config.api_key_expire_sec, config.api_key_expire_sec)
    async with ports.database.transaction() as connection:
        owner = await connection.row(OWNER, user_id)
        if owner is None:
            raise Unauthenticated("user not found", code="account.missing")
        await connection.run(PRUNE, user_id)
        if await connection.value(COUNT, user_id) >= config.api_key_limit:
            raise Conflict(
                f"you have {config.api_key_limit} API keys already",
                code="key.limit",
                hint="Delete one, /my/api-key-delete.",
            )
        (made,) = await connection.rows(
            MAKE, user_id, name, _digest(text), list(routes), float(seconds)
        )
        about = {"key_id": made["id"], "route": list(routes)}
        await record(ports, "key.created", user_id, **about)
        await notify(ports, user_id, owner["email"], MADE, MADE_TEXT.format(name))
    return {
        "message": text,
        "id": made["id"],
        "route": list(routes),
        "expires_at": made["expires_at"].isoformat(),
    }


async def read_keys(ports: "Ports", user_id: int) -> bytes:
    """Return the keys of a user as JSON, the newest first, without the keys."""
    return bytes(await ports.database.value(READ, user_id), "utf-8")


async def delete_key(ports: "Ports", user_id: int, key_id: int) -> int:
    """End a key, at once on every worker. Return its id.

    Raises:
        NotFound: `key.missing`.
    """
    async with ports.database.transaction() as connection:
        if not await connection.run(DELETE, key_id, user_id):
            raise NotFound("API key not found", code="key.missing")
        await record(ports, "key.deleted", user_id, key_id=key_id)
    ports.users.forget(user_id)  # here before the bus brings it
    return key_id


def _read(row: Mapping[str, Any]) -> ApiKey:
    claims = token.Claims(
        user={},
        subject=row["user_id"],
        session=f"{SESSION}{row['id']}",
        version=row["version"],
        issued=row["issued"],
        expires=row["expires"],
        unique="",
    )
    return ApiKey(row["id"], claims, frozenset(row["route"]))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
