"""Changing one's own row of users: which columns go alone, and which need a proof."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.account.allow import ADDRESSES, MANAGED, PASSWORDS, is_own
from atom.account.allow import OWN as OWN_KEY
from atom.account.config import AccountConfig
from atom.account.letter import notify
from atom.account.login import check_password
from atom.account.name import validate
from atom.account.otp import require_proof
from atom.account.password import hash_password, require_length
from atom.account.password_rule import require_fit
from atom.account.security_event import record
from atom.account.session import revoke_all
from atom.account.throttle import LoginThrottle
from atom.datatype.value import from_json
from atom.errors import ApiError, Forbidden, Unauthenticated, Unprocessable, nearest
from atom.event.envelope import note_caller
from atom.port import Ports
from atom.postgres.catalog import Table, shown
from atom.row.managed import MANAGED_PREFIX
from atom.row.sql import write

OLD = "password_old"

OWN = """
select id, username, password, password_bigint, email, mobile from users where id = $1
"""
CHANGED = {
    "email": "The e-mail address of your account was changed",
    "mobile": "The mobile number of your account was changed",
    "password": "The password of your account was changed",
}
CHANGED_TEXT = "If it was not you, set a new password at once, and ask for help."
# Nothing is written when the password that was verified is no longer the stored one.
SET_PASSWORD = {
    "password": """
update users set password = $2, updated_by_id = $1
where id = $1 and (password, password_bigint) is not distinct from ($3::text, $4::text)
""",
    "password_bigint": """
update users set password_bigint = $2, updated_by_id = $1
where id = $1 and (password, password_bigint) is not distinct from ($3::text, $4::text)
""",
}


@dataclass(frozen=True)
class Changes:
    """The changes a caller asks for, sorted by what each needs."""

    password: tuple[str, str] | None  # column, new password
    password_old: str | None
    columns: Mapping[str, Any]


def forget(ports: Ports, user_id: int) -> None:
    """Drop a user from this worker's cache; the database notifies the others."""
    ports.users.forget(user_id)


async def update_account(
    ports: Ports, user: Mapping[str, Any], changes: Any, otp: str | None
) -> int:
    """Change one's own row of users. Return its id.

    A password goes alone (with `password_old`) and ends every session; an e-mail or
    mobile goes one at a time, with an OTP sent to the new address.

    Raises:
        Forbidden: `account.wrong_id` for any id but one's own.
        ApiError: an unknown, managed or unreadable column; `account.not_alone`.
        Unauthenticated: a wrong `password_old` or OTP.
    """
    me = int(user["id"])
    if not isinstance(changes, Mapping):
        raise ApiError("The body takes an object with 'id'.")
    require_own(me, changes)
    table = ports.database.catalog.table("users")
    wanted = read(table, ports.account, changes)
    row = await ports.database.row(OWN, me)
    if row is None:
        raise Unauthenticated("user not found", code="account.missing")
    if wanted.password is not None:
        await _change_password(ports, row, wanted)
        return me
    columns = wanted.columns
    changed = [one for one in ADDRESSES if one in columns and columns[one] != row[one]]
    for kind in changed:
        await _prove(ports, kind, columns[kind] or row[kind], otp)
    if not changed:
        await _write(ports, table, me, columns)
        return me
    async with ports.database.transaction():
        await _write(ports, table, me, columns)
        for kind in changed:
            await record(ports, "address.changed", me, which=kind)
            await notify(ports, me, row["email"], CHANGED[kind], CHANGED_TEXT)
    return me


def require_own(me: int, changes: Mapping[str, Any]) -> None:
    """Refuse every id but one's own.

    Raises:
        ApiError: `account.wrong_id` when there is none.
        Forbidden: `account.wrong_id` when it is not one's own.
    """
    if "id" not in changes:
        raise ApiError("id is mandatory", code="account.wrong_id", hint=f"It is {me}.")
    given = changes["id"]
    if isinstance(given, bool) or str(given) != str(me):
        raise Forbidden("wrong id", code="account.wrong_id", hint=f"Yours is {me}.")


def read(table: Table, config: AccountConfig, changes: Mapping[str, Any]) -> Changes:
    """Sort the changes; refuse those that are not allowed together, or at all."""
    wanted = {name: value for name, value in changes.items() if name != "id"}
    old = wanted.pop(OLD, None)
    if old is not None and not isinstance(old, str | int):
        raise ApiError(f"{OLD} must be text", code="value.unreadable")
    if not wanted:
        raise ApiError("there is nothing to change", code="account.nothing")
    for name in wanted:
        _require_writable(table, config, name)
    secrets = [name for name in PASSWORDS if name in wanted]
    if secrets:
        if len(wanted) > 1:
            raise ApiError(
                f"{secrets[0]} must be changed alone",
                code="account.not_alone",
                hint=f"Send id, {secrets[0]} and {OLD}, nothing else.",
            )
        password = _password(secrets[0], wanted[secrets[0]], config)
        return Changes((secrets[0], password), None if old is None else str(old), {})
    if old is not None:
        raise ApiError(f"{OLD} goes with a password", code="account.not_alone")
    if all(kind in wanted for kind in ADDRESSES):
        raise ApiError(
            "email and mobile must be changed one at a time", code="account.not_alone"
        )
    return Changes(
        None, None, {name: _value(table, name, wanted[name]) for name in wanted}
    )


def _require_writable(table: Table, config: AccountConfig, name: str) -> None:
    if is_own(config, name) and name in table.columns:
        return
    plain = name.strip().lower()
    closed = MANAGED.union(config.column_disabled_list)
    hidden = name in config.column_secret_list or "password" in plain
    if plain in closed or plain.startswith(MANAGED_PREFIX):
        raise _not_yours(plain)
    if name in table.columns and not hidden:
        raise _not_yours(name)
    raise ApiError(
        f"Table 'users' has no column '{shown(name)}'.",
        code="sql.unknown_column",
        hint=nearest(name[:60], (n for n in table.columns if is_own(config, n))),
    )


def _not_yours(name: str) -> ApiError:
    return ApiError(
        f"column '{shown(name)}' of users is not yours to change",
        code="account.managed_column",
        hint=f"The operator lists what is, in {OWN_KEY}.",
    )


def _password(column: str, value: Any, config: AccountConfig) -> str:
    fits = isinstance(value, str) or (
        column == "password_bigint" and type(value) is int
    )
    if not fits:
        raise ApiError(f"{column} must be text", code="value.unreadable")
    if column == "password_bigint" and not (
        str(value).isascii() and str(value).isdecimal()
    ):
        raise ApiError(f"{column} must be a whole number", code="value.unreadable")
    require_length(str(value), config, column)
    return str(value)


def _value(table: Table, name: str, value: Any) -> Any:
    if name in {"username", *ADDRESSES} and isinstance(value, str):
        value = validate(name, value)
    if name in {"username", "username_bigint"} and value is None:
        raise Unprocessable(f"{name} cannot be taken away")
    return from_json(table.columns[name], value)


def wrong_old() -> Unauthenticated:
    """Return the error of an old password that is not the stored one."""
    return Unauthenticated(f"{OLD} is wrong", code="account.wrong_password")


async def _change_password(
    ports: Ports, row: Mapping[str, Any], changes: Changes
) -> None:
    """Verify the old password, store the new one, end every session."""
    column, password = changes.password or ("", "")
    if column == "password":
        require_fit(password, ports.account, [row["username"], row["email"]])
    other = PASSWORDS[column == "password"]
    # A user who signed up by OTP or Google has no password to verify.
    stored = row[column] or row[other]
    if ports.account.is_password_old_check and stored:
        if changes.password_old is None:
            raise ApiError(f"{OLD} is mandatory", code="account.no_password_old")
        # Not one address for all: they would share its count of failures.
        mine = f"own {row['id']}"
        throttle = LoginThrottle.for_user(ports.counter, mine, mine)
        await check_password(throttle, changes.password_old, stored, wrong_old())
    made = await hash_password(password)
    async with ports.database.transaction() as connection:
        proven = (row["password"], row["password_bigint"])
        await note_caller(connection)
        if not await connection.run(SET_PASSWORD[column], row["id"], made, *proven):
            raise wrong_old()
        await revoke_all(connection, row["id"])
        await record(ports, "password.changed", row["id"])
        subject = CHANGED["password"]
        await notify(ports, row["id"], row["email"], subject, CHANGED_TEXT)
    ports.database.written("users")
    forget(ports, row["id"])


async def _prove(ports: Ports, kind: str, address: str | None, otp: str | None) -> None:
    """Check the OTP of a new address; to remove an address, of the old one."""
    if not ports.account.is_otp_verify or address is None:
        return
    await require_proof(ports, kind, address, otp, "change")


async def _write(
    ports: Ports, table: Table, me: int, columns: Mapping[str, Any]
) -> None:
    scope, database = ports.rules.trusted(me), ports.database
    row_set = scope.changeable(database.catalog, table.name)
    if (hooked := ports.rules.hooks.get(("users", "update"))) is not None:
        rows = [{**columns}]
        await hooked.update(database, scope, row_set, [me], rows, many=False)
        return ports.database.written("users")
    changed = {**columns, "updated_by_id": me}
    if "updated_by_id" not in table.columns:
        del changed["updated_by_id"]
    names = tuple(changed)
    takes, text = row_set.rule.takes_to_write(names), write.update(row_set, names)
    call = scope.bind(takes, text, me, *changed.values())
    if await database.value(*call) is None:
        raise Unauthenticated("user not found", code="account.missing")
    ports.database.written("users")
