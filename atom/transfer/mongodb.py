"""A file into a collection: every row is checked before the first is written."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from atom.errors import ApiError
from atom.mongodb.document import storable
from atom.mongodb.operation import build
from atom.mongodb.write import COUNTS, bulk_upsert, create
from atom.transfer import document


async def import_file(
    db: Any,
    collection: str,
    file: BinaryIO,
    *,
    file_format: str = "csv",
    key_fields: Sequence[str] = (),
) -> dict[str, int]:
    """Insert the rows of a file, or upsert them by `key_fields`. Return the counts.

    The file is read twice in blocks, never whole in memory.

    Raises:
        ApiError: naming the line that cannot be read or stored; nothing is written.
        Conflict, Unavailable: what came before is written.
    """
    await asyncio.to_thread(_check, file, file_format, key_fields)
    counts = {"inserted": 0, **dict.fromkeys(COUNTS, 0)}
    blocks = document.blocks(file, file_format)
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        try:
            if key_fields:
                done = await bulk_upsert(
                    db, collection=collection, rows=block.rows, key_fields=key_fields
                )
            else:
                done = {"inserted": len(await create(db, collection, block.rows))}
        except ApiError as error:
            written = ", ".join(f"{counts[name]:,} {name}" for name in counts)
            error.hint = f"{error.hint} Before: {written}.".strip()
            raise error.at(f"lines {block.lines[0]} to {block.lines[-1]}") from None
        for name, count in done.items():
            counts[name] += count
    return counts


def _check(file: BinaryIO, file_format: str, key_fields: Sequence[str]) -> None:
    """Read the whole file once."""
    blocks: Iterator[document.Documents] = document.blocks(file, file_format)
    for block in blocks:
        for row, line in zip(block.rows, block.lines, strict=True):
            try:
                if key_fields:
                    build([row], key_fields=key_fields)
                else:
                    storable(row)
            except ApiError as error:
                raise error.at(f"line {line}") from None
