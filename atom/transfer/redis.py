"""A file into Redis: each row as JSON under its table and id."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from atom.client import SILENT
from atom.datatype import exact
from atom.errors import ApiError, Unavailable
from atom.transfer import document
from atom.transfer.request import lacking

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


async def import_file(
    client: Any,
    table: str,
    file: BinaryIO,
    *,
    file_format: str = "csv",
    expiry_sec: int | None = None,
) -> int:
    """Set `{table}_{id}` for each row of a file. Return the number of rows.

    The file is read twice in blocks, never whole in memory: a line that cannot be read
    stops it before the first row is written.

    Raises:
        ApiError: naming the line.
        Unavailable: `client.silent`; repeat the import.
    """
    _require_name(table)
    await asyncio.to_thread(_check, table, file, file_format)
    count = 0
    blocks = document.blocks(file, file_format)
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        count += await create(client, table, block.rows, expiry_sec=expiry_sec)
    return count


async def create(
    client: Any,
    table: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    expiry_sec: int | None = None,
) -> int:
    """Set `{table}_{id}` to each row as JSON. Return the number of rows.

    Raises:
        ApiError: naming the row without an id.
        Unavailable: `client.silent`.
    """
    from redis.exceptions import RedisError

    _require_name(table)
    pairs = [_pair(table, row) for row in rows]
    if not pairs:
        return 0
    pipeline = client.pipeline(transaction=False)
    for key, value in pairs:
        pipeline.set(key, value, ex=expiry_sec)
    try:
        await pipeline.execute()
    except (RedisError, OSError) as error:
        raise Unavailable(
            "client_redis does not answer.",
            code=SILENT,
            hint="Check config_redis_url and that the service runs.",
            seconds=5,
        ) from error
    return len(pairs)


def _require_name(table: str) -> None:
    if not NAME.fullmatch(table):
        raise ApiError("'table' takes letters, digits and '_'.")


def _pair(table: str, row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the key and the value of a row."""
    found = row.get("id")
    if found is None or found == "" or isinstance(found, bool | list | dict | float):
        raise lacking("The row has no 'id'.")
    try:
        return f"{table}_{found}", exact.write(row)
    except TypeError as error:
        raise ApiError("The row cannot be written as JSON.") from error


def _check(table: str, file: BinaryIO, file_format: str) -> None:
    """Read the whole file once."""
    for block in document.blocks(file, file_format):
        for row, line in zip(block.rows, block.lines, strict=True):
            try:
                _pair(table, row)
            except ApiError as error:
                raise error.at(f"line {line}") from None
