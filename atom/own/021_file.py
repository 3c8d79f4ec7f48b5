"""The files that users uploaded: where each is kept, and which row has it.

A file that nothing holds has `orphaned_at`; after a time it is marked `deleting_at`,
removed from its store, and its row goes last. A file that is held once is never held by
another row.
"""

from collections.abc import Iterator, Mapping

from atom.own.part import Function, Trigger

TABLES = {
    "file": {
        "id": "uuid primary key default gen_random_uuid()",
        "created_at": "timestamp with time zone not null default now()",
        "user_id": "bigint not null",
        "store": "text not null",
        "bucket": "text not null",
        "key": "text not null",
        "name": "text not null",
        "media_type": "text not null",
        "size": "bigint not null",
        "stored_at": "timestamp with time zone",  # null: on its way
        "orphaned_at": "timestamp with time zone default now()",
        "deleting_at": "timestamp with time zone",
        "table_name": "text",
        "column_name": "text",
        "row_key": "text",
    },
}
INDEXES = {
    "file_place": "unique file (store, bucket, key)",
    "file_user_id": "file (user_id)",
    "file_orphaned_at": "file (orphaned_at) where orphaned_at is not null",
}

DROP_FILES = Function(
    "drop_files",
    """begin
  update atom.file set orphaned_at = now()
    where user_id = old.id and table_name is null and orphaned_at is null;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (DROP_FILES,)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the trigger of `users`, where it is declared."""
    if "users" in tables:
        yield Trigger(
            "public",
            "users",
            "atom_drop_files",
            "after delete on {table} for each row execute function atom.drop_files()",
        )
