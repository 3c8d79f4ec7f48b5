"""The files that users uploaded: where each is kept, and which row has it.

A file that nothing holds has `orphaned_at`; after a time it is marked `deleting_at`,
removed from its store, and its row goes last. A file that is held once is never held by
another row: who may read that row could have kept its id.

`hold_file` is the trigger of a column of datatype file, whoever writes it: its file is
whole, fits the declaration, has never been held, and belongs to who asks. Who asks is
in `atom.event`; for plain SQL it is the owner of the row, and where there is none the
id alone, which only the uploader has seen.
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
# A table that is emptied or dropped releases its files as the deletion of rows does.
RELEASE_FILES = Function(
    "release_files",
    """begin
  update atom.file set orphaned_at = now()
    where table_name = tg_table_name and orphaned_at is null;
  return null;
end""",
    definer=True,
)
# Its arguments: the column, the most bytes, and the media types as an array of LIKE.
HOLD_FILE = Function(
    "hold_file",
    """declare
  given_as constant text := tg_argv[0];
  key_name constant text := coalesce((
    select a.attname from pg_index i
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = tg_relid and i.indisprimary and i.indnkeyatts = 1), 'id');
  was jsonb; made jsonb; old_file uuid; new_file uuid; found atom.file; who bigint;
begin
  if tg_op <> 'INSERT' then was := to_jsonb(old); end if;
  if tg_op <> 'DELETE' then made := to_jsonb(new); end if;
  old_file := was ->> given_as;
  new_file := made ->> given_as;
  if old_file is not distinct from new_file then
    if old_file is not null and was -> key_name is distinct from made -> key_name then
      update atom.file set row_key = made ->> key_name
        where id = old_file and table_name = tg_table_name and column_name = given_as
          and row_key = was ->> key_name;
    end if;
    return null;
  end if;
  if old_file is not null then
    update atom.file set orphaned_at = now()
      where id = old_file and table_name = tg_table_name and column_name = given_as
        and row_key = was ->> key_name;
  end if;
  if new_file is null then return null; end if;
  who := coalesce(
    (nullif(current_setting('atom.event', true), '')::jsonb ->> 'user_id')::bigint,
    (case when jsonb_typeof(made -> 'created_by_id') = 'number'
      then made ->> 'created_by_id' end)::bigint);
  select * into found from atom.file where id = new_file for update;
  if found.table_name = tg_table_name and found.column_name = given_as
    and found.row_key = made ->> key_name and found.orphaned_at is null
  then return null; end if;  -- a row that is restored
  if found.id is null or found.stored_at is null or found.deleting_at is not null
    or found.table_name is not null or found.orphaned_at is null
    or found.user_id is distinct from coalesce(who, found.user_id)
  then
    raise exception 'Column ''%'' takes the id of a file of yours that no row has had.',
      given_as using errcode = 'ATF01';
  end if;
  if found.size > tg_argv[1]::bigint then
    raise exception 'Column ''%'' takes files of at most % KiB.', given_as,
      tg_argv[1]::bigint / 1024 using errcode = 'ATF02';
  end if;
  if not split_part(found.media_type, ';', 1) like any (tg_argv[2]::text[]) then
    raise exception 'Column ''%'' takes files of these types: %.', given_as,
      replace(array_to_string(tg_argv[2]::text[], ', '), '%', '*')
      using errcode = 'ATF03';
  end if;
  update atom.file set orphaned_at = null, table_name = tg_table_name,
    column_name = given_as, row_key = made ->> key_name where id = new_file;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (DROP_FILES, RELEASE_FILES, HOLD_FILE)


def triggers(tables: Mapping[str, Mapping[str, str]]) -> Iterator[Trigger]:
    """Yield the trigger of `users`, where it is declared."""
    if "users" in tables:
        yield Trigger(
            "public",
            "users",
            "atom_drop_files",
            "after delete on {table} for each row execute function atom.drop_files()",
        )
