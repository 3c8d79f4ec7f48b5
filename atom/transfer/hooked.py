"""Rows of a file in a temporary table, applied with the hooks of their table."""

from atom.errors import ApiError, Conflict
from atom.postgres.database import Connection, Database
from atom.row import payload
from atom.row.hooked_upsert import HookedUpsert
from atom.row.scope import RowScope
from atom.row.write import Row
from atom.transfer import stage
from atom.transfer import statement as text
from atom.transfer.fault import on_line

BLOCK = 1000  # rows that hooks see as one list
VERBS = {"upsert": ("create", "update")}


def has_hooks(scope: RowScope, mode: str, table: str) -> bool:
    """Whether an import in this mode calls hooks."""
    return scope.rules.has_hooks(table, *VERBS.get(mode, (mode,)))


async def apply(
    database: Database, connection: Connection, scope: RowScope, rows: stage.Rows
) -> int:
    """Apply every row of the stage, or none, a block at a time. Return how many.

    Raises:
        ApiError: naming the line of a row that is refused.
        Conflict: `transfer.id_twice`, or for a rule of the table.
        NotFound: `row.missing`, naming the line of the first key that is not there.
    """
    await connection.run(text.ANALYZE)
    await stage.require_known(connection, rows)
    table, done = rows.request.table, 0
    for shape, names in rows.shapes.items():
        sent = tuple(table.columns[name].kind.sent_as for name in names)
        block, last = text.block(names, sent), 0
        while found := await connection.rows(block, shape, last, BLOCK):
            ordinals = [row["#"] for row in found]
            last = ordinals[-1]
            values = ([*row.values()][1:] for row in found)
            given = [dict(zip(names, each, strict=True)) for each in values]
            try:
                done += await _written(database, scope, rows, given)
            except ApiError as error:
                raise await _on_line(error, rows, ordinals) from error
    return done


async def _written(
    database: Database, scope: RowScope, rows: stage.Rows, given: list[Row]
) -> int:
    """Write a block of rows. Return how many were written."""
    request = rows.request
    table, hooks = request.table, scope.rules.hooks
    row_set = scope.changeable(database.catalog, table.name)
    if request.mode == "upsert":
        work = HookedUpsert(
            database, scope, row_set, row_set, request.keys, given, many=True
        )
        merge = request.existing == "merge"
        await work.run(_unreached if merge else None)
        return len(given) if merge else work.added
    hooked = hooks[table.name, request.mode]
    if request.mode == "create":
        return len(await hooked.create_all(database, scope, row_set, given, many=True))
    key = table.key
    ids = [row[key] for row in given]
    if request.mode == "delete":
        return await hooked.delete(database, scope, row_set, ids)
    changes = [{name: row[name] for name in row if name != key} for row in given]
    await hooked.update(database, scope, row_set, ids, changes, many=True)
    return len(ids)


def _unreached() -> Conflict:
    return Conflict("A rule of the table keeps this row.", code="row.refused")


async def _on_line(error: ApiError, rows: stage.Rows, ordinals: list[int]) -> ApiError:
    """Put the line of the row that an error names before its message."""
    number = payload.unplaced(error)
    if number is None and len(ordinals) > 1:
        return error
    return on_line(error, f"line {await rows.line(ordinals[number or 0])}")
