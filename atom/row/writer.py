"""`queue=` of /my/object-create: who writes the rows, and when."""

from collections.abc import Mapping
from typing import Any

from atom.errors import ApiError, Unavailable, nearest
from atom.port import Ports
from atom.row import payload, upsert, write
from atom.row.explain_error import naming_columns
from atom.row.scope import RowScope

CHOICES = ("batch", "redis", "rabbitmq", "kafka", "celery", "mongodb_<database>")
PARAMETERS = ("table", "queue", *upsert.PARAMETERS)


async def submit(
    ports: Ports, scope: RowScope, parameters: Mapping[str, str], body: Any
) -> Any:
    """Add a row or a list of rows, in the way the parameters ask for.

    A list is one statement already, so `queue=batch` writes it directly.

    Raises:
        ApiError: naming the choices when there is no such queue.
        Unavailable: `client.missing` when there is one and it is not served here.
    """
    queue, table = parameters.get("queue", ""), parameters.get("table", "")
    require_known(queue)
    on_conflict = upsert.parse(parameters)
    if on_conflict is not None:
        if queue:
            raise ApiError("'queue' and 'on_conflict' do not go together.")
        return await upsert.create(ports.database, scope, table, body, on_conflict)
    if queue != "batch" or isinstance(body, list):
        return await write.create(ports.database, scope, table, body)
    return await batch(ports, scope, table, body)


async def batch(ports: Ports, scope: RowScope, table: str, body: Any) -> int:
    """Add one row together with those of other callers. Return its id.

    Raises:
        ApiError: naming the column; and what `Batches.create` raises.
    """
    into = scope.creatable(ports.database.catalog, table).table
    (raw,), _ = payload.rows(body, 1)
    row = await payload.Reader(scope, into, create=True).read(raw)
    row |= scope.stamps(into, create=True)
    async with naming_columns(ports.database):
        made: int = await ports.batches.create(into, row)
    return made


def require_known(queue: str) -> None:
    """Refuse a way of writing that does not exist, or not here.

    Raises:
        ApiError: naming the choices when there is no such queue.
        Unavailable: `client.missing` when there is one and it is not served here.
    """
    if queue in {"", "batch"}:
        return
    if queue in CHOICES[:-1] or queue.startswith("mongodb_"):
        raise Unavailable(
            f"Queue '{queue[:60]}' is not configured.",
            hint="Leave 'queue' out, or write queue=batch.",
        )
    raise ApiError(
        "'queue' takes " + ", ".join(CHOICES) + ".",
        hint=nearest(queue[:60], CHOICES),
    )
