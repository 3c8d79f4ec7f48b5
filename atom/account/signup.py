"""Signing up: a user with a name and a password, and their first session."""

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
    return await _create(ports, (TAKEN, SIGN_UP), (type, name), password)


async def sign_up_bigint(
    ports: Ports, *, type: int, username_bigint: int, password_bigint: int
) -> TokenPair:
    """Create a user with numbers as name and password. Raises as `signup` does."""
    _require_open(ports.account, type)
    password = str(password_bigint)
    require_length(password, ports.account, "password_bigint")
    return await _create(
        ports, (TAKEN_BIGINT, SIGN_UP_BIGINT), (type, username_bigint), password
    )


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
    ports: Ports, texts: tuple[str, str], who: tuple[int, str | int], password: str
) -> TokenPair:
    taken, insert = texts
    # Checked before as well: a name that is taken does not cost a hash.
    if await ports.database.value(taken, *who):
        raise _exists()
    stored = await hash_password(password)
    async with ports.database.transaction() as connection:
        created = await connection.value(insert, *who, stored)
        if created is None:
            raise _exists()
        found = await session.person_now(connection, created, ports.account)
        person = session.require_usable(found)
        pair = await session.open_session(connection, person, ports.account)
    ports.database.written("users")
    return pair


def _exists() -> Conflict:
    return Conflict("username already exists", code="account.exists")
