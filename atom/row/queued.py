"""`queue=redis` and such: rows that a consumer adds, by a message of a broker.

The rules of the table and the values are checked here and once more when the message
takes effect. What the caller is answered is the id of the message. `queue=mongodb_shop`
stores the rows in a collection of that name instead, and answers their ids there.
"""

from collections.abc import Mapping
from typing import Any

from atom import mongodb
from atom.client.mongodb import LIST
from atom.errors import ApiError
from atom.port import Ports
from atom.row import payload
from atom.row.scope import RowScope

DIRECT = frozenset({"", "batch"})  # answered once the row is there
MONGODB = "mongodb_"  # then the name of a database
CREATE = "function_object_create_postgres"


async def check(
    ports: Ports, scope: RowScope, table: str, body: Any
) -> list[Mapping[str, Any]]:
    """Return the rows of a body that this caller may add, as they were sent.

    Raises:
        Forbidden: `row.table_not_allowed`.
        ApiError: naming the row (of a list) and the column; for a password, which no
            message may carry.
    """
    into = scope.creatable(ports.database.catalog, table)
    rows, many = payload.rows(body, payload.most(scope, into))
    if any(name in row for row in rows for name in payload.PASSWORDS):
        raise ApiError("A password is not sent through a queue.")
    await payload.Reader(scope, into.table, create=True).rows(rows, many=many)
    return rows


async def send(ports: Ports, scope: RowScope, queue: str, table: str, body: Any) -> str:
    """Send rows to a broker. Return the id of the message, which the broker keeps.

    Raises:
        ApiError: as `check`.
        Unavailable: when the broker is not configured, or did not confirm.
    """
    rows = await check(ports, scope, table, body)
    return await ports.brokers.ask(
        queue,
        CREATE,
        {
            "table": table,
            "object_list": rows,
            "user_id": scope.user_id,
            "tier": scope.tier,
        },
    )


async def store(
    ports: Ports, scope: RowScope, queue: str, table: str, body: Any
) -> str | list[str]:
    """Add rows to MongoDB. Return the id, or the ids in order.

    Raises:
        ApiError: as `check`; `mongodb.unknown_database`; or for a table with conditions
            or hooks, which need PostgreSQL.
        Conflict: `row.exists`, for a unique index.
        Unavailable: when MongoDB is not configured, or does not answer.
    """
    database = mongodb.listed(ports.config[LIST], queue.removeprefix(MONGODB))
    rows = await check(ports, scope, table, body)
    into = scope.creatable(ports.database.catalog, table)
    rule, has_hooks = into.rule, scope.rules.has_hooks(table, "create")
    if rule.check is not None or rule.preset or rule.default or has_hooks:
        raise ApiError(
            f"Rows of table '{table}' are not stored in MongoDB.",
            hint="Its rule in config_table, or its hooks, need PostgreSQL.",
        )
    stamps = scope.stamps(into.table, create=True)
    async with mongodb.opened(ports.clients, database) as db:
        found = await mongodb.create(db, table, [{**row, **stamps} for row in rows])
    ids = [str(each) for each in found]
    return ids if isinstance(body, list) else ids[0]
