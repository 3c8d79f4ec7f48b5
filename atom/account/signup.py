"""Signing up: a user with a name and a password, and their first session."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from atom.account import session
from atom.account.allow import ADDRESSES, NAMES, taken_at_signup
from atom.account.config import AccountConfig
from atom.account.letter import require_mail
from atom.account.limit import require_room
from atom.account.mfa import Entry, enter
from atom.account.name import validate
from atom.account.otp import require_proof
from atom.account.password import hash_password, require_length
from atom.account.password_rule import require_fit
from atom.account.pending import (
    ADMIN,
    EMAIL,
    WAIT,
    Waiting,
    mail_confirmation,
    notify_admins,
)
from atom.errors import ApiError, Conflict, Forbidden, nearest
from atom.event.envelope import metadata_text
from atom.port import Ports
from atom.postgres.catalog import Table, shown
from atom.postgres.identifier import quote_all
from atom.row.payload import Reader

if TYPE_CHECKING:
    from atom.row.hooked import HookedWrite

# By username and username_bigint; the columns and values that are taken as well.
TAKEN = {
    name: f"select exists (select from users where type = $1 and {name} = $2)"  # noqa: S608
    for name in (*NAMES, *ADDRESSES)
}
HELD = """ or exists (select from atom.held_name
where type = $1 and normal = $2 and kind = '%s')"""
TAKEN |= {name: TAKEN[name] + HELD % name for name in ("username", *ADDRESSES)}
PASSWORD_OF = {"username_bigint": "password_bigint"}


@dataclass(frozen=True, slots=True)
class Wish:
    """A sign-up as it is asked for."""

    type: int
    kind: str  # username, username_bigint, email, mobile
    name: str | int
    password: str
    otp: str | None
    caller: str  # network address


async def sign_up(
    ports: Ports,
    *,
    type: int,
    kind: str = "username",
    name: str = "",
    password: str,
    caller: str = "",
    otp: str | None = None,
    **more: Any,
) -> Entry | Waiting:
    """Create a user with a name and a password, and begin a session.

    `kind` is username, email or mobile, and `name` is one; so is `more[kind]`, next to
    columns that `config_signup` lists. A user may have to wait instead.

    Raises:
        Forbidden: `account.closed` when config_is_signup is 0.
        ApiError: a type, name, password or column against the rules.
        Conflict: `account.exists`.
        RateLimited: `account.too_often`, for an e-mail that is to be confirmed.
        Unavailable: `account.no_mail`.
    """
    require_open(ports.account, type)
    name = validate(kind, name)
    require_fit(password, ports.account, [name, _text(more.get("email"))])
    wish = Wish(type, kind, name, password, otp, caller)
    return await _create(ports, wish, more)


async def sign_up_bigint(
    ports: Ports,
    *,
    type: int,
    username_bigint: int,
    password_bigint: int,
    caller: str = "",
    otp: str | None = None,
    **more: Any,
) -> Entry | Waiting:
    """Create a user with numbers as name and password. Raises as `sign_up` does."""
    require_open(ports.account, type)
    password = str(password_bigint)
    require_length(password, ports.account, "password_bigint")
    wish = Wish(type, "username_bigint", username_bigint, password, otp, caller)
    return await _create(ports, wish, more)


def _text(given: Any) -> str | None:
    return given if isinstance(given, str) else None


def require_open(config: AccountConfig, type: int) -> None:
    """Check that people of a type may sign up.

    Raises:
        Forbidden: `account.closed`.
        ApiError: `account.unknown_type`.
    """
    if not config.is_signup:
        raise Forbidden("signup disabled", code="account.closed")
    choices = config.signup_type_list
    if type not in choices:
        raise ApiError(
            f"type must be one of {', '.join(str(one) for one in choices)}",
            code="account.unknown_type",
        )


async def _create(ports: Ports, wish: Wish, more: Mapping[str, Any]) -> Entry | Waiting:
    kind, type = wish.kind, wish.type
    columns = await read_columns(ports, more, kind)
    if kind not in ADDRESSES:
        # Checked before as well: a name that is taken does not cost a hash.
        await _require_free(ports, type, {kind: wish.name})
    columns[kind] = wish.name
    unconfirmed = await _unconfirmed(ports, wish, columns)
    addresses = {one: columns[one] for one in ADDRESSES if one in columns}
    # First: only who receives mail at an address learns whether it is taken.
    await prove(ports, columns, wish.otp)
    await _require_free(ports, type, addresses)
    stored = await hash_password(wish.password)
    row = {"type": type, PASSWORD_OF.get(kind, "password"): stored, **columns}
    unique = {one: columns[one] for one in (kind, *ADDRESSES) if one in columns}
    made = await create_user(ports, row, unique, unconfirmed=unconfirmed)
    if made is None:  # by another sign-up, a moment ago
        await _require_free(ports, type, unique)
        raise _exists(kind)
    return made


async def _unconfirmed(ports: Ports, wish: Wish, columns: dict[str, Any]) -> str | None:
    """Take the address that a mail has to confirm from the columns, and return it.

    Raises:
        RateLimited: `account.too_often`.
        Unavailable: `account.no_mail`.
    """
    if ports.account.user_approval_flow != EMAIL:
        return None
    require_mail(ports)
    email: str = columns.pop("email")
    who = f"{wish.type} {email}"
    await require_room(ports.counter, "signup", who, wish.caller)
    return email


async def create_user(
    ports: Ports,
    row: dict[str, Any],
    unique: Mapping[str, Any],
    *,
    unconfirmed: str | None = None,
    is_approved: bool = False,
    also: Callable[[Any, int], Awaitable[None]] | None = None,
) -> Entry | Waiting | None:
    """Add a user, and begin a session. Return None when a unique rule is against it.

    `also` is done with the new user on the same connection; what it raises undoes both.

    `unique` are the columns of the row that no other user of the type may have. A user
    with an `unconfirmed` e-mail, or not approved where that is demanded, waits.

    Raises:
        Conflict: `account.exists`, when the table has hooks.
    """
    users = ports.database.catalog.table("users")
    hooked = ports.rules.hooks.get(("users", "create"))
    flow = ports.account.user_approval_flow
    is_admins = flow == ADMIN and not is_approved
    reason = EMAIL if unconfirmed else ADMIN if is_admins else None
    row = {**row, "is_active": 0} if reason else row
    made: Entry | Waiting
    async with ports.database.transaction() as connection:
        if hooked is None:
            text = _insert(users, tuple(row))
            created = await connection.value(text, metadata_text(), *row.values())
        else:
            created = await _create_with_hooks(ports, hooked, row, unique)
        if created is None:
            return None
        if also is not None:
            await also(connection, created)
        if reason:
            await connection.run(WAIT, created, reason, row["type"], unconfirmed)
            made = Waiting(created, reason)
        else:
            found = await session.person_now(connection, created, ports.account)
            person = session.require_usable(found)
            made = await enter(ports, connection, person)
    ports.database.written("users")
    if unconfirmed:
        work = mail_confirmation(ports, row["type"], unconfirmed)
        ports.tasks.spawn(work, name="email-verify")
    elif reason:
        ports.tasks.spawn(notify_admins(ports, created), name="admin-approval")
    return made


def let_in(made: Entry | Waiting) -> Entry:
    """Return the tokens of a new user.

    Raises:
        Forbidden: `account.unapproved`.
    """
    if isinstance(made, Waiting):
        raise session.inactive(made.reason)
    return made


async def _create_with_hooks(
    ports: Ports,
    hooked: "HookedWrite",
    row: dict[str, Any],
    unique: Mapping[str, Any],
) -> int:
    """Add the user with the hooks of the table. Return the id.

    Raises:
        Conflict: `account.exists` when a name or address is taken meanwhile.
    """
    scope = ports.rules.trusted(None)
    into = scope.creatable(ports.database.catalog, "users")
    try:
        ids = await hooked.create_all(ports.database, scope, into, [row], many=False)
    except Conflict:
        await _require_free(ports, row["type"], unique)
        raise  # of a hook, or for another rule
    return ids[0]


async def read_columns(
    ports: Ports, more: Mapping[str, Any], kind: str
) -> dict[str, Any]:
    """Parse the columns that `config_signup` lists; the name itself is one of another.

    Raises:
        ApiError: naming one that is unknown, lacking or cannot be read.
    """
    config = ports.account
    known = {*taken_at_signup(config.signup), *config.mandatory} - {kind}
    for name in more:
        if name not in known:
            raise ApiError(
                f"signup does not take '{shown(name)}'",
                code="account.managed_column",
                hint=nearest(name[:60], known),
            )
    for name in config.mandatory:
        if name != kind and more.get(name) in (None, ""):
            raise ApiError(f"{name} is mandatory", code="request.invalid")
    if not more:
        return {}
    table = ports.database.catalog.table("users")
    reader = Reader(ports.rules.trusted(None), table, create=True)
    return await reader.read(more)


async def prove(ports: Ports, columns: Mapping[str, Any], otp: str | None) -> None:
    """Check the OTP of an address.

    Raises:
        ApiError: `otp.missing`; `account.not_alone` for two addresses.
        Unauthenticated: `otp.invalid`.
    """
    given = [kind for kind in ADDRESSES if columns.get(kind) is not None]
    if not given or not ports.account.is_otp_verify:
        return
    if len(given) > 1:
        raise ApiError(
            "email and mobile must be given one at a time", code="account.not_alone"
        )
    (kind,) = given
    await require_proof(ports, kind, columns[kind], otp, "signup")


async def _require_free(ports: Ports, type: int, unique: Mapping[str, Any]) -> None:
    for kind, value in unique.items():
        if value is not None and await ports.database.value(TAKEN[kind], type, value):
            raise _exists(kind)


@lru_cache(64)
def _insert(table: Table, columns: tuple[str, ...]) -> str:
    """Build the insert of one user, nothing when a unique rule is against it.

    $1 is in which request, for the audit.
    """
    values = ", ".join(
        table.columns[name].kind.cast(f"${place}")
        for place, name in enumerate(columns, 2)
    )
    return (
        f"insert into users ({quote_all(columns)}) select {values}"
        " where set_config('atom.event', $1, true) is not null"
        " on conflict do nothing returning id"
    )


def _exists(kind: str) -> Conflict:
    name = kind if kind in ADDRESSES else "username"
    return Conflict(f"{name} already exists", code="account.exists")
