"""Deleting one's own account: marked as deleted (soft), or gone (hard)."""

from atom.account import session
from atom.account.security_event import record
from atom.account.update import forget
from atom.errors import ApiError, Forbidden, Unauthenticated
from atom.event.envelope import note_caller
from atom.port import Ports
from atom.row.sql.statement import EVERY_ROW, RowSet, Rule

MODES = ("soft", "hard")
MARKED = Rule(soft=("is_deleted", "1"))
HELD = "select api_access, is_protected, is_deleted from users where id = $1 for update"
SOFT = "update users set is_deleted = 1, updated_by_id = $1 where id = $1"
HARD = "delete from users where id = $1"


async def delete_account(ports: Ports, user_id: int, mode: str) -> None:
    """Delete one's own account and end its sessions.

    Raises:
        ApiError: `account.unknown_mode`.
        Forbidden: while the user has api_access, or is protected.
        Unauthenticated: `account.missing`.
    """
    if mode not in MODES:
        raise ApiError(
            f"mode must be {' or '.join(MODES)}", code="account.unknown_mode"
        )
    async with ports.database.transaction() as connection:
        await note_caller(connection)
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
        soft = mode == "soft"
        if (hooked := ports.rules.hooks.get(("users", "delete"))) is not None:
            users = ports.database.catalog.table("users")
            rows = RowSet(users, MARKED if soft else EVERY_ROW)
            scope = ports.rules.trusted(user_id)
            await hooked.delete(ports.database, scope, rows, [user_id])
        else:
            await connection.run(SOFT if soft else HARD, user_id)
        ended = session.revoke_all if soft else session.remove_all
        await ended(connection, user_id)
        await record(ports, "account.deleted", user_id, mode=mode)
    ports.database.written("users")
    forget(ports, user_id)
