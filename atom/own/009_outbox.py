"""Events that wait to be delivered: one row for each target of an event.

`due_at` of a pending row is when it may be claimed: at once, at the end of a lease, or
when it is tried again. The trigger function writes the row events of `config_event` in
the transaction of the write; its arguments are the key of the table, the columns that
are left out, the targets of created, updated and deleted, and the column that marks a
row as deleted. `atom.event` is set by the statement that writes: who asked for it.
"""

# ruff: noqa: S608 - SQL is written here, of constants alone.

from atom.own.part import ABOUT, Function

TABLES = {
    "outbox": {
        "id": "bigint generated always as identity primary key",
        "event_id": "uuid not null",
        "target": "text not null",
        "event_type": "text not null",
        "aggregate_type": "text not null",
        "aggregate_id": "text",
        "occurred_at": "timestamptz not null default statement_timestamp()",
        "version": "integer not null default 1",
        "metadata": "jsonb not null",
        "payload": "jsonb not null",
        "state": "text not null default 'pending'",
        "attempts": "integer not null default 0",
        "due_at": "timestamp with time zone not null default now()",
        "settled_at": "timestamp with time zone",
        "error": "text",
    },
}
INDEXES = {
    # `id + 0`, or PostgreSQL might walk the primary key, past all that is settled.
    "outbox_pending": "outbox (target, (id + 0)) where state = 'pending'",
    "outbox_due": "outbox (target, due_at) where state = 'pending'",
    "outbox_settled": "outbox (state, settled_at) where state <> 'pending'",
}

# Version 7 of a uuid: 48 bits of milliseconds, then chance.
UUID7 = (
    "encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing"
    " substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint)"
    " from 3) from 1 for 6), 52, 1), 53, 1), 'hex')::uuid"
)
INTO = """insert into atom.outbox (event_id, target, event_type, aggregate_type,
      aggregate_id, metadata, payload)"""

ROW_EVENT = Function(
    "row_event",
    f"""declare
  hidden text[] := string_to_array(tg_argv[1], ',');
  about jsonb := {ABOUT};
begin
  if tg_op = 'INSERT' then
    {INTO}
    select e.event_id, target, 'row.' || tg_table_name || '.created', tg_table_name,
      e.written ->> tg_argv[0], about, jsonb_build_object('row', e.written - hidden)
    from (select {UUID7} as event_id, to_jsonb(made.*) as written from made) e,
      unnest(string_to_array(tg_argv[2], ',')) target;
  elsif tg_op = 'DELETE' then
    {INTO}
    select e.event_id, target, 'row.' || tg_table_name || '.deleted', tg_table_name,
      e.written ->> tg_argv[0], about, jsonb_build_object('row', e.written - hidden)
    from (select {UUID7} as event_id, to_jsonb(gone.*) as written from gone) e,
      unnest(string_to_array(tg_argv[4], ',')) target;
  else
    {INTO}
    select e.event_id, target,
      'row.' || tg_table_name || case when e.marked then '.deleted' else '.updated' end,
      tg_table_name, e.written ->> tg_argv[0], about,
      jsonb_build_object('row', e.written - hidden, 'old', (
        select coalesce(jsonb_object_agg(p.key, p.value), '{{}}')
        from jsonb_each(e.before - hidden) p
        where p.value is distinct from e.written -> p.key
      ))
    from (
      select {UUID7} as event_id, n.written, o.written as before,
        coalesce(n.written ->> tg_argv[5], 'false') not in ('false', '0')
        and coalesce(o.written ->> tg_argv[5], 'false') in ('false', '0') as marked
      from (select to_jsonb(made.*) as written from made) n
      left join (select to_jsonb(gone.*) as written from gone) o
        on o.written ->> tg_argv[0] = n.written ->> tg_argv[0]
    ) e, unnest(string_to_array(tg_argv[case when e.marked then 4 else 3 end], ','))
      target
    where e.written - hidden is distinct from e.before - hidden;
  end if;
  return null;
end""",
    definer=True,
)
FUNCTIONS = (ROW_EVENT,)
