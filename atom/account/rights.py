"""Rights and status of users, written by /admin/user-rights-update and nothing else.

No one grants what they do not hold, or changes a user who holds more than they do;
no one changes their own rights, or those of user 1. User 1 holds everything.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from atom.account.access import listed
from atom.account.config import AccountConfig
from atom.account.pending import settle
from atom.account.security_event import record
from atom.account.update import forget
from atom.datatype.value import from_json
from atom.errors import ApiError, Forbidden, NotFound, nearest
from atom.event.envelope import note_caller
from atom.port import Ports
from atom.postgres.catalog import Table, shown, unknown_column
from atom.postgres.database import Connection
from atom.postgres.identifier import quote
from atom.row.managed import RIGHTS

FIRST = 1  # the user who holds everything
FLAGS = ("is_active", "is_verified", "is_deleted", "is_protected")

# In the order of ids: two admins who change each other do not wait for each other.
HELD = """
select id, to_jsonb(u)::text as row from users u where id in ($1, $2)
order by id for update
"""
# The claims of a token that was made before are not true any more.
END_TOKENS = """
insert into atom.token_version as v (user_id, version) values ($1, 1)
on conflict (user_id) do update set version = v.version + 1
"""
NOTIFY = """
select pg_notify('atom', json_build_object('topic', 'user', 'value', $1::text)::text)
"""
UPDATE = "user-rights-update"  # an action of the audit
AUDIT = """
insert into atom.audit (created_by_id, action, user_id, before, after)
values ($1, $5, $2, $3::text::jsonb, $4::text::jsonb)
"""


async def update_rights(
    ports: Ports, user: Mapping[str, Any], user_id: int, changes: Mapping[str, Any]
) -> int:
    """Change rights or status of another user, at once on every worker. Return the id.

    Raises:
        ApiError: `account.nothing`; naming a column or value that cannot be read.
        Forbidden: `rights.own`; `rights.exceeded`, naming what the caller lacks.
        NotFound: `row.missing`.
    """
    me = int(user["id"])
    table = ports.database.catalog.table("users")
    if not changes:
        raise ApiError(
            "there is nothing to change",
            code="account.nothing",
            hint=f"Send id and any of {', '.join(writable(table))}.",
        )
    if user_id == me:
        raise Forbidden("No one changes their own rights.", code="rights.own")
    if user_id == FIRST:
        raise Forbidden("No one changes the rights of user 1.", code="rights.own")
    wanted = parse(table, changes)
    async with ports.database.transaction() as connection:
        await note_caller(connection)
        mine, was = await held_by(connection, me, user_id)
        if me != FIRST:
            require_held(mine, was, changes)
        stamps = {"updated_by_id": me} if "updated_by_id" in table.columns else {}
        written = {**wanted, **stamps}
        text = _update(tuple(written), tuple(wanted))
        after = orjson.loads(await connection.value(text, user_id, *written.values()))
        before = {name: was[name] for name in after}
        if before != after:
            shown_values = (orjson.dumps(each).decode() for each in (before, after))
            await connection.run(AUDIT, me, user_id, *shown_values, UPDATE)
            await record(ports, "rights.changed", user_id, before=before, after=after)
        changed = {name for name in after if before[name] != after[name]}
        if changed & claimed(ports.account):
            await connection.run(END_TOKENS, user_id)
        if "is_active" in changes:
            await settle(ports, connection, user_id, changes["is_active"])
        await connection.run(NOTIFY, str(user_id))
    ports.database.written("users")
    forget(ports, user_id)
    return user_id


def writable(table: Table) -> tuple[str, ...]:
    """Return the columns of rights and status that `users` has."""
    return tuple(name for name in RIGHTS if name in table.columns)


def claimed(config: AccountConfig) -> set[str]:
    """Return the columns that are read from the token, as it was signed."""
    kept = set(config.token_key_list)
    if config.mode_check_api_access != "token":
        kept.discard("api_access")
    if config.mode_check_is_active != "token":
        kept.discard("is_active")
    return kept


def parse(table: Table, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Parse rights and status, by column.

    Raises:
        ApiError: naming a column or value that cannot be read.
    """
    return {name: _value(table, name, changes[name]) for name in changes}


def _value(table: Table, name: str, raw: Any) -> Any:
    """Parse a value; api ids in one spelling."""
    if name not in RIGHTS:
        raise ApiError(
            f"Column '{shown(name)}' is not a right.",
            code="account.managed_column",
            hint=nearest(name[:60], RIGHTS)
            or f"It takes {', '.join(writable(table))}.",
        )
    if name not in table.columns:
        raise unknown_column(table.name, name, writable(table))
    if name in FLAGS and not (raw is None or (type(raw) is int and raw in {0, 1})):
        raise ApiError(f"{name} takes 0, 1 or null", code="value.unreadable")
    if name == "api_access":
        return _access(raw)
    return from_json(table.columns[name], raw)


def _access(raw: Any) -> str | None:
    parts = raw if isinstance(raw, list) else str(raw or "").split(",")
    words = [str(part).strip() for part in parts]
    words = [word for word in words if word]
    is_text = raw is None or isinstance(raw, str | list)
    if not is_text or not all(w.isascii() and w.isdecimal() for w in words):
        raise ApiError(
            'api_access takes api ids: "1,2,3" or [1,2,3]', code="value.unreadable"
        )
    return ",".join(map(str, sorted({int(word) for word in words}))) or None


def _words(raw: Any) -> frozenset[str]:
    """Return the roles of a column: comma-separated text, or a list."""
    parts = raw if isinstance(raw, list) else str(raw or "").split(",")
    return frozenset(str(part).strip() for part in parts) - {""}


async def held_by(connection: Connection, me: int, user_id: int) -> tuple[Any, Any]:
    """Return the row of an admin, {} if it is gone, and that of a user, both locked.

    Raises:
        NotFound: `row.missing`.
    """
    found = await connection.rows(HELD, me, user_id)
    rows = {row["id"]: orjson.loads(row["row"]) for row in found}
    if user_id not in rows:
        raise NotFound("There is no such user.", code="row.missing")
    return rows.get(me, {}), rows[user_id]


def require_held(
    mine: Mapping[str, Any], was: Mapping[str, Any], changes: Mapping[str, Any]
) -> None:
    """Refuse to grant, take away or stand above what the caller does not hold.

    Raises:
        Forbidden: `rights.exceeded`.
    """
    ids = listed(was.get("api_access"))
    if "api_access" in changes:
        ids |= listed(_access(changes["api_access"]))
    _refuse("api ids", sorted(ids - listed(mine.get("api_access"))))
    roles = _words(was.get("role")) | _words(changes.get("role"))
    _refuse("roles", sorted(roles - _words(mine.get("role"))))


def _refuse(what: str, lacking: Iterable[Any]) -> None:
    if names := ", ".join(map(shown, map(str, lacking))):
        raise Forbidden(
            f"You do not hold these {what}: {names}.",
            code="rights.exceeded",
            hint="No one grants or takes away what they do not hold.",
        )


def _update(columns: tuple[str, ...], returned: tuple[str, ...]) -> str:
    """Build the update of some columns of user $1; it returns some of them as JSON."""
    assigned = ", ".join(
        f"{quote(name)} = ${place}" for place, name in enumerate(columns, 2)
    )
    pairs = ", ".join(f"'{name}', {quote(name)}" for name in returned)
    return (
        f"update users set {assigned} where id = $1"  # noqa: S608 - names are quoted
        f" returning jsonb_build_object({pairs})::text"
    )
