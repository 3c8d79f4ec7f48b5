"""A file into a table: create, update, upsert or delete rows, all of them or none.

The file is read in blocks by a thread and handed to COPY while the next block is read.
New rows go straight into their table, so that PostgreSQL itself names the line of a row
it refuses; all else goes by a temporary table.
"""

import asyncio
from typing import BinaryIO

from atom.event.envelope import metadata_text
from atom.postgres.database import Connection, Database
from atom.postgres.identifier import public
from atom.row.scope import RowScope
from atom.transfer import csv_file, hooked, jsonl_file, stage
from atom.transfer import statement as write
from atom.transfer.jsonl_source import JsonSource
from atom.transfer.request import MODES, ImportRequest, Progress, parse_request
from atom.transfer.source import CsvSource

__all__ = ["MODES", "import_file"]

COUNTED = frozenset({"bigint", "integer", "smallint"})  # keys of a sequence


async def import_file(
    database: Database,
    mode: str,
    table: str,
    file: BinaryIO,
    *,
    file_format: str = "csv",
    on_conflict: str = "",
    existing: str = "",
    seconds: float = 600.0,
    progress: Progress | None = None,
    hooked_by: RowScope | None = None,
) -> int:
    """Apply a file to a table in one transaction. Return the number of rows.

    `file_format` is csv or jsonl. Mode upsert needs `on_conflict`, columns of a unique
    rule; rows that are there are changed, or with `existing` ignore left alone and not
    counted. With `hooked_by`, a scope of trusted code, the hooks of the table run.

    Raises:
        ApiError: `transfer.unknown_mode`, `transfer.unreadable_file`,
            `transfer.unreadable_value`, `sql.unknown_column`, `row.no_unique`.
        NotFound: `sql.unknown_table`; `row.missing` for an id that is not there.
        Conflict: for a row that comes twice or breaks a rule of the table.
    """
    request = await parse_request(
        database, mode, table, on_conflict=on_conflict, existing=existing
    )
    progress = progress or Progress()
    source: CsvSource | JsonSource
    if file_format == "jsonl":
        source = JsonSource(jsonl_file.Reader(file), request, progress)
    else:
        reader = await asyncio.to_thread(csv_file.Reader, file)
        source = CsvSource(reader, request, progress)
    async with database.transaction(timeout_ms=int(seconds * 1000)) as connection:
        await connection.value(write.PREPARE, metadata_text())
        has_hooks = hooked_by is not None and hooked.has_hooks(hooked_by, mode, table)
        if mode == "create" and not has_hooks:
            number = await source.copy(connection, ("public", table), seconds)
        else:
            rows = await _staged(connection, request, source, file, seconds, progress)
            if rows is None:
                number = 0
            elif hooked_by is not None and has_hooks:
                number = await hooked.apply(database, connection, hooked_by, rows)
            else:
                number = await stage.apply(connection, rows, seconds)
        key = request.table.key
        names = {name for each in source.shapes.values() for name in each}
        is_counted = key in names and request.table.columns[key].datatype in COUNTED
        if number and is_counted and mode in {"create", "upsert"}:
            await connection.value(write.advance(table, key), public(table), key)
        if number:
            await connection.value(write.PUBLISH, table)
        progress.is_closing = True
    if number:
        database.written(table)
    return number


async def _staged(
    connection: Connection,
    request: ImportRequest,
    source: CsvSource | JsonSource,
    file: BinaryIO,
    seconds: float,
    progress: Progress,
) -> stage.Rows | None:
    """Put the file into a temporary table. Return its rows, None without any."""
    columns = request.table.columns.values()
    names = [
        column.name for column in columns if column.identity or not column.generated
    ]
    await connection.run(write.stage(request.table.name, names))
    number = await source.copy(connection, ("pg_temp", stage.NAME), seconds)
    progress.is_read = True
    if not number:
        return None
    # Only rows of a CSV file do not carry their line.
    counted = file if isinstance(source, CsvSource) else None
    return stage.Rows(request, number, source.shapes, counted)
