"""Inserts and upserts, in chunks. A database is one of PyMongo or of Motor."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from atom.errors import ApiError
from atom.mongodb.document import storable
from atom.mongodb.fault import DUPLICATE, answered, of_one
from atom.mongodb.operation import KeyFunc, Row, Upsert, build

CHUNK_INSERTS = 1_000
CHUNK_UPSERTS = 64  # FerretDB holds a connection for each, of 100
CHUNK_BYTES = 8 * 1024 * 1024
CHUNK_SECONDS = 60  # for one of them; the client's own bound is for a small command
# A count, and what the driver calls it.
COUNTS = {"matched": "nMatched", "modified": "nModified", "upserted": "nUpserted"}


@dataclass(frozen=True, slots=True)
class Insert:
    """A document to insert, and its bytes."""

    row: dict[str, Any]
    size: int


Sized = TypeVar("Sized", Upsert, Insert)


async def bulk_upsert(
    db: Any,
    *,
    collection: str,
    rows: Iterable[Row],
    key_fields: Sequence[str] | str = (),
    key_func: KeyFunc | None = None,
    set_on_insert: Row | None = None,
) -> dict[str, int]:
    """Change the documents that have the key of a row; insert those that are not there.

    All rows are checked before the first is written. A document has what `key_func`
    returns for its key. `_id` of a row is left out, unless it is the key.
    `set_on_insert` is for new documents alone; a field that a row has too is the row's.
    Concurrent calls need a unique index on the key: `config_mongodb_index`.

    Raises:
        ApiError: `Missing key field 'x' in document`, `Null key field 'x' in document`,
            or naming a field that cannot be stored.
        Conflict: `row.exists`, for another unique index.
        Unavailable: `client.silent`. Repeat it: what was written is then only matched.
    """
    upserts = build(
        rows, key_fields=key_fields, key_func=key_func, set_on_insert=set_on_insert
    )
    counts = dict.fromkeys(COUNTS, 0)
    for chunk in chunks(upserts, CHUNK_UPSERTS):
        for lost in await _write(db[collection], chunk, counts):
            await _write_again(db[collection], lost, counts)
    return counts


async def _write(
    collection: Any, upserts: list[Upsert], counts: dict[str, int]
) -> list[Upsert]:
    """Write and count. Return those that lost a race for their key."""
    from pymongo import UpdateOne, timeout
    from pymongo.errors import BulkWriteError

    operations = [UpdateOne(each.filter, each.update, upsert=True) for each in upserts]
    faults: list[Mapping[str, Any]] = []
    with answered(), timeout(CHUNK_SECONDS):
        try:
            result = await collection.bulk_write(operations, ordered=False)
            details = result.bulk_api_result
        except BulkWriteError as error:
            details = error.details
            faults = details.get("writeErrors", [])
            if not faults:
                raise
        except KeyError as error:
            # FerretDB stops at the first one, and counts nothing.
            if error.args != ("nModified",):
                raise
            return upserts
    for name, member in COUNTS.items():
        counts[name] += details.get(member, 0)
    for fault in faults:
        if fault.get("code") != DUPLICATE:
            raise of_one(fault)
    return [upserts[fault["index"]] for fault in faults]


async def _write_again(collection: Any, upsert: Upsert, counts: dict[str, int]) -> None:
    """Write one after another caller inserted its key: now it is there to change.

    Raises:
        Conflict: `row.exists`, when it was not the key that was taken.
    """
    with answered():
        done = await collection.update_one(upsert.filter, upsert.update, upsert=True)
    counts["matched"] += done.matched_count
    counts["modified"] += done.modified_count
    counts["upserted"] += done.upserted_id is not None


async def create(db: Any, collection: str, rows: Iterable[Row]) -> list[Any]:
    """Insert documents, in order. Return their ids.

    Raises:
        ApiError: naming a field that cannot be stored; nothing is inserted then.
        Conflict: `row.exists`; the documents before that one are inserted.
    """
    from pymongo import timeout

    documents = []
    for position, row in enumerate(rows):
        try:
            documents.append(Insert(*storable(row)))
        except ApiError as error:
            error.position = position
            raise
    ids: list[Any] = []
    for chunk in chunks(documents, CHUNK_INSERTS):
        with answered(), timeout(CHUNK_SECONDS):
            result = await db[collection].insert_many([each.row for each in chunk])
        ids += result.inserted_ids
    return ids


def chunks(items: Iterable[Sized], most: int) -> Iterator[list[Sized]]:
    """Cut into lists that one command carries: `most` items, and a bound of bytes."""
    chunk: list[Sized] = []
    size = 0
    for item in items:
        if chunk and (len(chunk) == most or size + item.size > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += item.size
    if chunk:
        yield chunk
