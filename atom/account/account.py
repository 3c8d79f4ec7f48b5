"""Accounts: signing up, one's own profile, new tokens, logging out, deletion."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from atom.account import profile as own
from atom.account import session
from atom.account.identity import checked
from atom.account.login import login
from atom.account.password import hash_password
from atom.account.root import RootLogin, ensure_root
from atom.account.session import TokenPair
from atom.account.update import check_new_password, forget, update
from atom.errors import ApiError, Conflict, Forbidden, NotFound, Unauthenticated
from atom.port import Ports
from atom.row.visibility import view

__all__ = [
    "RootLogin",
    "delete",
    "ensure_root",
    "login",
    "logout",
    "profile",
    "refresh",
    "signup",
    "signup_bigint",
    "update",
]

TAKEN = "select exists (select from users where type = $1 and username = $2)"
TAKEN_BIGINT = (
    "select exists (select from users where type = $1 and username_bigint = $2)"
)
SIGN_UP = """
insert into users (type, username, password) values ($1, $2, $3)
on conflict do nothing returning id
"""
SIGN_UP_BIGINT = """
insert into users (type, username_bigint, password_bigint) values ($1, $2, $3)
on conflict do nothing returning id
"""

TOUCH_SECONDS = 60
TOUCHED_MAX = 10_000
TOUCH = """
update users set last_active_at = now()
where id = $1
  and (last_active_at is null or last_active_at < now() - make_interval(secs => $2))
"""

MODES = ("soft", "hard")
HELD = "select api_access, is_protected, is_deleted from users where id = $1 for update"
SOFT = "update users set is_deleted = 1, updated_by_id = $1 where id = $1"
HARD = "delete from users where id = $1"


async def signup(ports: Ports, *, type: int, username: str, password: str) -> TokenPair:
    """Make a user with a name and a password, and begin a session.

    Raises:
        Forbidden: `account.closed` when config_is_signup is 0.
        ApiError: a type, name or password against the rules.
        Conflict: `account.exists`.
    """
    _require_open(ports.config, type)
    name = checked("username", username)
    check_new_password(password, ports.config)
    return await _make(ports, (TAKEN, SIGN_UP), (type, name), password)


async def signup_bigint(
    ports: Ports, *, type: int, username_bigint: int, password_bigint: int
) -> TokenPair:
    """Make a user whose name and password are numbers. Raises as `signup` does."""
    _require_open(ports.config, type)
    password = str(password_bigint)
    check_new_password(password, ports.config, "password_bigint")
    return await _make(
        ports, (TAKEN_BIGINT, SIGN_UP_BIGINT), (type, username_bigint), password
    )


def _require_open(config: Mapping[str, Any], type: int) -> None:
    if not config["config_is_signup"]:
        raise Forbidden("signup disabled", code="account.closed")
    choices = config["config_signup_type_list"]
    if type not in choices:
        raise ApiError(
            f"type must be one of {', '.join(str(one) for one in choices)}",
            code="account.unknown_type",
        )


async def _make(
    ports: Ports, texts: tuple[str, str], who: tuple[int, str | int], password: str
) -> TokenPair:
    taken, make = texts
    # Asked first as well: a name that is taken shall not cost a hash.
    if await ports.database.value(taken, *who):
        raise _exists()
    stored = await hash_password(password)
    async with ports.database.transaction() as connection:
        made = await connection.value(make, *who, stored)
        if made is None:
            raise _exists()
        found = await session.person_now(connection, made, ports.config)
        person = session.require_usable(found)
        pair = await session.open_session(connection, person, ports.config)
    ports.database.written("users")
    return pair


def _exists() -> Conflict:
    return Conflict("username already exists", code="account.exists")


async def profile(ports: Ports, user_id: int) -> bytes:
    """Return one's own row as JSON, without secret columns; note that they were here.

    Raises:
        NotFound: `account.missing`.
    """
    row = await ports.database.value(own.read(view(ports, "users")), user_id)
    if row is None:
        raise NotFound("user not found", code="account.missing")
    touches = _touches.setdefault(ports.database, Touches())
    if touches.due(user_id, time.monotonic()):
        ports.tasks.spawn(
            ports.database.run(TOUCH, user_id, float(TOUCH_SECONDS)), name="touch"
        )
    return bytes(row, "utf-8")


class Touches:
    """Remembers whose visit was noted lately; those seen longest ago give way."""

    def __init__(self, size: int = TOUCHED_MAX) -> None:
        self._size = size
        self._noted: OrderedDict[int, float] = OrderedDict()

    def due(self, user_id: int, now: float) -> bool:
        """Return whether a visit is to be noted now, at most once a minute."""
        noted = self._noted.get(user_id)
        if noted is not None and now - noted < TOUCH_SECONDS:
            return False
        self._noted[user_id] = now
        self._noted.move_to_end(user_id)
        if len(self._noted) > self._size:
            self._noted.popitem(last=False)
        return True


_touches: WeakKeyDictionary[Any, Touches] = WeakKeyDictionary()


async def refresh(ports: Ports, user_id: int, session_id: str) -> tuple[str, int]:
    """Return an access token from the row as it is now, and its seconds to live.

    The session stays the same, so that logging out ends this token as well.

    Raises:
        Unauthenticated: `account.missing`.
        Forbidden: `active.inactive`.
    """
    found = await session.person_now(ports.database, user_id, ports.config)
    person = session.require_usable(found)
    seconds = ports.config["config_token_expire_sec"]
    return session.access_token(person, session_id, ports.config), seconds


async def logout(ports: Ports, user_id: int, session_id: str) -> None:
    """End a session of a user, for its access and its refresh tokens."""
    await session.revoke(ports.database, session_id, user_id)
    forget(ports, user_id)


async def delete(ports: Ports, user_id: int, mode: str) -> None:
    """Delete one's own account: marked as deleted (soft), or gone (hard).

    Raises:
        ApiError: `account.unknown_mode`.
        Forbidden: while the user has api_access, or is protected.
    """
    if mode not in MODES:
        raise ApiError(
            f"mode must be {' or '.join(MODES)}", code="account.unknown_mode"
        )
    async with ports.database.transaction() as connection:
        row = await connection.row(HELD, user_id)
        if row is None or row["is_deleted"] == 1:
            raise Unauthenticated("user not found", code="account.missing")
        if (row["api_access"] or "").strip():
            raise Forbidden(
                "a user with api_access cannot be deleted",
                code="account.has_access",
                hint="Ask an admin to take api_access away first.",
            )
        if row["is_protected"] == 1 or user_id == 1:
            raise Forbidden("this user is protected", code="account.protected")
        if mode == "soft":
            await connection.run(SOFT, user_id)
            await session.revoke_all(connection, user_id)
        else:
            await connection.run(HARD, user_id)
            await session.remove_all(connection, user_id)
    ports.database.written("users")
    forget(ports, user_id)
