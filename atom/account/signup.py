"""Signing up: a user with a name and a password, and their first session."""

from collections.abc import Mapping
from typing import Any

from atom.account import session
from atom.account.config import AccountConfig
from atom.account.name import validate
from atom.account.password import hash_password, require_length
from atom.account.session import TokenPair
from atom.errors import ApiError, Conflict, Forbidden
from atom.port import Ports

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


async def sign_up(
    ports: Ports, *, type: int, username: str, password: str
) -> TokenPair:
    """Create a user with a name and a password, and begin a session.

    Raises:
        Forbidden: `account.closed` when config_is_signup is 0.
        ApiError: a type, name or password against the rules.
        Conflict: `account.exists`.
    """
    _require_open(ports.account, type)
    name = validate("username", username)
    require_length(password, ports.account)
    who: dict[str, Any] = {"type": type, "username": name}
    return await _create(ports, (TAKEN, SIGN_UP), who, "password", password)


async def sign_up_bigint(
    ports: Ports, *, type: int, username_bigint: int, password_bigint: int
) -> TokenPair:
    """Create a user with numbers as name and password. Raises as `signup` does."""
    _require_open(ports.account, type)
    password = str(password_bigint)
    require_length(password, ports.account, "password_bigint")
    who = {"type": type, "username_bigint": username_bigint}
    texts = TAKEN_BIGINT, SIGN_UP_BIGINT
    return await _create(ports, texts, who, "password_bigint", password)


def _require_open(config: AccountConfig, type: int) -> None:
    if not config.is_signup:
        raise Forbidden("signup disabled", code="account.closed")
    choices = config.signup_type_list
    if type not in choices:
        raise ApiError(
            f"type must be one of {', '.join(str(one) for one in choices)}",
            code="account.unknown_type",
        )


async def _create(
    ports: Ports,
    texts: tuple[str, str],
    who: dict[str, Any],
    column: str,
    password: str,
) -> TokenPair:
    taken, insert = texts
    # Checked before as well: a name that is taken does not cost a hash.
    if await ports.database.value(taken, *who.values()):
        raise _exists()
    row = {**who, column: await hash_password(password)}
    has_hooks = ports.rules.has_hooks("users", "create")
    async with ports.database.transaction() as connection:
        if has_hooks:
            created = await _create_with_hooks(ports, row, taken, who)
        else:
            created = await connection.value(insert, *row.values())
        if created is None:
            raise _exists()
        found = await session.person_now(connection, created, ports.account)
        person = session.require_usable(found)
        pair = await session.open_session(connection, person, ports.account)
    ports.database.written("users")
    return pair


async def _create_with_hooks(
    ports: Ports, row: dict[str, Any], taken: str, who: Mapping[str, Any]
) -> int | None:
    """Add the user with the hooks of the table. Return None if the name is taken."""
    hooked = ports.rules.hooks["users", "create"]
    scope, table = ports.rules.trusted(None), ports.database.catalog.table("users")
    try:
        ids = await hooked.create_all(ports.database, scope, table, [row], many=False)
    except Conflict:
        if await ports.database.value(taken, *who.values()):
            return None
        raise
    return ids[0]


def _exists() -> Conflict:
    return Conflict("username already exists", code="account.exists")
