"""Changes of the tables that may be followed, kept for a while.

One row for each statement: the keys of the rows it changed, and these rows as they
were before, without the secret columns that the trigger names. `floor` is the oldest
transaction that was under way: notifications arrive in the order of commits, so
whatever is notified later belongs to it or to a later one.
"""

# ruff: noqa: S608 - SQL is written here, of constants alone.

from atom.own.part import Function

ROWS_MAX = 1_000  # of one statement; beyond that, readers are asked to read again
BYTES_MAX = 4 * 1024 * 1024

TABLES = {
    "change": {
        "id": "bigint generated always as identity primary key",
        "xid": "xid8 not null default pg_current_xact_id()",
        "floor": "xid8 not null default pg_snapshot_xmin(pg_current_snapshot())",
        "changed_at": "timestamp with time zone not null default clock_timestamp()",
        "table_name": "text not null",
        "keys": "text[]",
        "old": "jsonb",
    },
    "change_horizon": {
        "id": "boolean primary key default true check (id)",
        "xid": "xid8 not null",
    },
}
INDEXES = {
    "change_xid": "change (xid)",
    "change_changed_at": "change (changed_at)",
}

ROW_CHANGE = Function(
    "row_change",
    f"""declare
  made_keys text[];
  gone_keys text[];
  before jsonb;
  number bigint;
  hidden text[] := string_to_array(coalesce(tg_argv[0], ''), ',');
  key name := coalesce((
    select a.attname from pg_index i
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = tg_relid and i.indisprimary and i.indnkeyatts = 1), 'id');
begin
  if tg_op in ('INSERT', 'UPDATE') then
    execute format(
      'select array_agg(k) from (select %I::text as k from made'
      ' limit {ROWS_MAX + 1}) t', key) into made_keys;
  end if;
  if tg_op in ('UPDATE', 'DELETE') then
    execute format(
      'select array_agg(k), jsonb_agg(r) from (select %I::text as k,'
      ' to_jsonb(gone.*) - $1 as r from gone limit {ROWS_MAX + 1}) t', key)
      into gone_keys, before using hidden;
  end if;
  if tg_op <> 'TRUNCATE' and made_keys is null and gone_keys is null then
    return null;
  end if;
  if coalesce(cardinality(made_keys), 0) > {ROWS_MAX}
      or coalesce(cardinality(gone_keys), 0) > {ROWS_MAX}
      or pg_column_size(before) > {BYTES_MAX} then
    made_keys := null;
    gone_keys := null;
    before := null;
  end if;
  insert into atom.change (table_name, keys, old)
  values (tg_table_name, made_keys || gone_keys, before)
  returning id into number;
  perform pg_notify('atom', json_build_object(
    'topic', 'change', 'value', tg_table_name || ':' || number)::text);
  return null;
end""",
    definer=True,
)
FUNCTIONS = (ROW_CHANGE,)
