"""Who changed which row: written by a trigger, in the transaction of the change.

One row for each row that changed, also by plain SQL; of an update, the columns that
are not what they were. Secret columns are named where they changed, and not kept. Who
asked and the request come from `atom.event`, which the row routes set until the
transaction ends; without it they are null, and the login of the database is what is
known.
"""

# ruff: noqa: S608 - SQL is written here, of constants alone.

from atom.own.part import ABOUT, Function

TABLES = {
    "row_audit": {
        "id": "bigint generated always as identity primary key",
        "created_at": "timestamp with time zone not null default now()",
        "created_by_id": "bigint",
        "request_id": "text",
        "database_user": "text not null default session_user",
        "table_name": "text not null",
        "row_key": "text",
        "action": "text not null",
        "before": "jsonb",
        "after": "jsonb",
        "secret_changed": "text[]",
    },
}
INDEXES = {
    "row_audit_row": "row_audit (table_name, row_key, id)",
    "row_audit_created_by_id": "row_audit (created_by_id, id)",
    "row_audit_created_at": "row_audit using brin (created_at)",
}

INTO = """insert into atom.row_audit (created_by_id, request_id, table_name, row_key,
      action, before, after, secret_changed)
    select (about ->> 'user_id')::bigint, about ->> 'request_id', called,"""

AUDIT_ROW = Function(
    "audit_row",
    f"""declare
  hidden constant text[] := string_to_array(tg_argv[0], ',');
  passed constant text[] := string_to_array(tg_argv[1], ',');
  about constant jsonb := {ABOUT};
  called constant text :=
    case tg_table_schema when 'atom' then 'atom.' else '' end || tg_table_name;
  key constant text := coalesce((
    select a.attname from pg_index i
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = tg_relid and i.indisprimary and i.indnkeyatts = 1), 'id');
begin
  if tg_op = 'INSERT' then
    {INTO}
      r ->> key, 'create', null, r - hidden, null
    from (select to_jsonb(made.*) as r from made) m;
  elsif tg_op = 'DELETE' then
    {INTO}
      r ->> key, 'delete', r - hidden, null, null
    from (select to_jsonb(gone.*) as r from gone) g;
  elsif tg_op = 'TRUNCATE' then
    {INTO} null, 'truncate', null, null, null;
  else
    {INTO}
      coalesce(was ->> key, now_is ->> key),
      case when was is null then 'create' when now_is is null then 'delete'
        else 'update' end,
      case when was is not null then old_values - hidden end,
      case when now_is is not null then new_values - hidden end,
      (select array_agg(n order by n) from unnest(names) n where n = any (hidden))
    from (select to_jsonb(gone.*) as was from gone) g
    full join (select to_jsonb(made.*) as now_is from made) m
      on was ->> key = now_is ->> key
    cross join lateral (
      select array_agg(n) as names, jsonb_object_agg(n, was -> n) as old_values,
        jsonb_object_agg(n, now_is -> n) as new_values
      from jsonb_object_keys(coalesce(now_is, was)) n
      where was -> n is distinct from now_is -> n) d
    where not names <@ passed;
  end if;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (AUDIT_ROW,)
