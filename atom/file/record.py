"""The rows of `atom.file`: what is stored where, how much, and what nothing holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from atom.errors import Conflict, TooLarge
from atom.postgres.database import Database

# One user's uploads are counted one after the other.
TURN = "select pg_advisory_xact_lock(hashtextextended('atom.file', $1))"
# A small file costs a place on the disk and a row here.
LEAST_BYTES = 4096
USED = """
select coalesce(sum(greatest(size, $2)), 0)::bigint from atom.file where user_id = $1
"""
RESERVE = """
insert into atom.file (id, user_id, store, bucket, key, name, media_type, size)
select n.id, $1, $2, $3, n.key, n.name, n.media_type, n.size
from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[])
  as n (id, key, name, media_type, size)
on conflict (store, bucket, key) do nothing
"""
STORED = """
update atom.file
set stored_at = now(), orphaned_at = case when $2 then null else now() end
where id = any($1) and deleting_at is null
"""
FORGET = "delete from atom.file where id = any($1)"
MARK = """
update atom.file set deleting_at = now() where id = any(array(
  select id from atom.file
  where orphaned_at < now() - make_interval(secs => $1)
    and (deleting_at is null or deleting_at < now() - interval '5 minutes')
  order by orphaned_at limit $2 for update skip locked))
returning id, store, bucket, key
"""
MARK_ONE = """
update atom.file set deleting_at = now(), orphaned_at = now()
where store = $1 and bucket = $2 and key = $3 and table_name is null
returning id, store, bucket, key
"""
HELD = """
select store, bucket, key, name, media_type, size from atom.file
where id = $1 and table_name = $2 and column_name = $3 and row_key = $4
  and orphaned_at is null
"""
IS_THERE = "select to_regclass('atom.file') is not null"


@dataclass(frozen=True, slots=True)
class New:
    """A file that is about to be stored."""

    id: UUID
    key: str
    name: str
    media_type: str
    size: int


async def reserve(
    database: Database,
    user_id: int,
    place: tuple[str, str],  # store and bucket
    files: Sequence[New],
    most_mb: int,
) -> None:
    """Record files before they are stored, within the quota of their user.

    Raises:
        TooLarge: `file.quota_exceeded`.
        Conflict: `file.exists`, when one has its key already.
    """
    rows = ((f.id, f.key, f.name, f.media_type, f.size) for f in files)
    columns = zip(*rows, strict=True)
    async with database.transaction() as connection:
        if most_mb:
            await connection.value(TURN, user_id)
            used: int = await connection.value(USED, user_id, LEAST_BYTES)
            used += sum(max(each.size, LEAST_BYTES) for each in files)
            if used > most_mb * 1024 * 1024:
                raise TooLarge(
                    f"Your files would be more than {most_mb} MiB together.",
                    code="file.quota_exceeded",
                    hint="Delete some; config_file_quota_mb is the limit.",
                )
        made = await connection.run(RESERVE, user_id, *place, *map(list, columns))
        if made != len(files):
            raise taken()


def taken() -> Conflict:
    """Return the error for a key that a file has."""
    return Conflict("There is a file with this key.", code="file.exists")


async def stored(database: Database, ids: Sequence[UUID], *, is_kept: bool) -> bool:
    """Note that files are stored. Return False if one has been given up since."""
    return await database.run(STORED, list(ids), is_kept) == len(ids)


async def forget(database: Database, ids: Sequence[UUID]) -> None:
    """Delete the records of files that are not in their store any more."""
    await database.run(FORGET, list(ids))


async def held(
    database: Database, file_id: UUID, table: str, column: str, key: str
) -> Any:
    """Return a file where exactly this row holds it by this column, else None."""
    return await database.row(HELD, file_id, table, column, key)


async def mark_orphans(database: Database, seconds: int, most: int) -> list[Any]:
    """Mark files that nothing has held for so long; only one process gets each.

    From then on no row can hold them. One marked five minutes ago, by a process that
    may have died, is marked again.
    """
    return await database.rows(MARK, seconds, most)


async def mark_one(database: Database, store: str, bucket: str, key: str) -> list[Any]:
    """Mark one file that no row holds."""
    return await database.rows(MARK_ONE, store, bucket, key)
