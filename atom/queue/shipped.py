"""The functions that every consumer has.

A message without `tier` comes from trusted code and reaches every table. One of a route
carries the tier and the user of its request, and the rules of `config_table` hold when
it takes effect: of the user as they are then.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from atom.account.session import person_now, require_usable
from atom.errors import ApiError
from atom.port import Ports
from atom.queue.handler import Handler, handler
from atom.queue.message import Rejected
from atom.row import write
from atom.row.heal import healed
from atom.row.scope import RowScope
from atom.sandbox.runner import run_statement

Tier = Literal["my", "public", "admin", "trusted"]
CREATE, UPDATE = "function_object_create_postgres", "function_object_update_postgres"
QUERY_RUNNER = "function_postgres_query_runner"
create, update = healed(write.create), healed(write.update)


async def scope_now(ports: Ports, tier: str, user_id: int | None) -> RowScope:
    """Return what a caller of this tier reaches, as they are now.

    Raises:
        Rejected: when there is no such user any more, or not an active one.
    """
    if tier == "trusted":
        return ports.rules.trusted(user_id)
    if tier == "public":
        return ports.rules.public()
    if user_id is None:
        raise Rejected(f"tier {tier!r} needs a user_id")
    try:
        person = require_usable(
            await person_now(ports.database, user_id, ports.account)
        )
    except ApiError as error:
        if error.status >= 500:
            raise
        raise Rejected(f"user {user_id}: {error.message}") from error
    caller = {**person.claims, "id": user_id}
    return ports.rules.my(caller) if tier == "my" else ports.rules.admin(caller)


async def create_rows(
    app: Any,
    table: str,
    object_list: list[dict[str, Any]],
    user_id: int | None = None,
    tier: Tier = "trusted",
) -> None:
    """Add rows to a table, all or none."""
    ports = app.state.ports
    scope = await scope_now(ports, tier, user_id)
    await create(ports.database, scope, table, object_list)


async def create_rows_together(app: Any, found: Sequence[Mapping[str, Any]]) -> None:
    """Add the rows of several messages of one table and one caller."""
    rows = [row for each in found for row in each["object_list"]]
    await create_rows(app, **{**found[0], "object_list": rows})


async def update_rows(
    app: Any,
    table: str,
    object_list: list[dict[str, Any]],
    user_id: int | None = None,
    tier: Tier = "trusted",
) -> None:
    """Change rows of a table by the `id` in each, all or none."""
    ports = app.state.ports
    scope = await scope_now(ports, tier, user_id)
    await update(ports.database, scope, table, object_list)


async def run_query(app: Any, query: str) -> None:
    """Run one statement as user 1 may in /admin/db-runner, in its own transaction.

    If the process dies between its commit and that of the message, it runs once more.
    """
    await run_statement(app.state.ports.sandbox, query, writes=True)


def _of_one_caller(arguments: Mapping[str, Any]) -> Any:
    names = ("table", "tier", "user_id")
    return tuple(str(arguments.get(name)) for name in names)


def handlers(*, is_query_runner: bool) -> dict[str, Handler]:
    """Return the shipped handlers by name."""
    found = [
        handler(
            CREATE,
            create_rows,
            CREATE,
            batch=create_rows_together,
            together=_of_one_caller,
        ),
        handler(UPDATE, update_rows, UPDATE),
    ]
    if is_query_runner:
        found.append(handler(QUERY_RUNNER, run_query, QUERY_RUNNER))
    return {each.name: each for each in found}
