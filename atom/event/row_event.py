"""The triggers that write row events, one for each statement that changes a table.

They call `atom.row_event` of `atom/own/009_outbox.py`.
"""

from collections.abc import Mapping

from atom.config.secret import secret_columns
from atom.event.declaration import VERBS, Events
from atom.own.part import Trigger
from atom.postgres.database import Database

ENABLED = """
select c.relname || ' ' || t.tgname as name from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
where t.tgname like 'atom\\_event\\_%' and t.tgenabled <> 'D'
"""
TRIGGERS = (  # the operation, the rows it shows, and the verbs that need it
    ("insert", "new table as made", ("created",)),
    ("update", "old table as gone new table as made", ("updated",)),
    ("delete", "old table as gone", ("deleted",)),
)


def triggers(events: Events) -> tuple[Trigger, ...]:
    """Return the triggers that write row events, in the transaction of the write."""
    given, found = events.config, list[Trigger]()
    for table in sorted(events.tables):
        names = {verb: f"row.{table}.{verb}" for verb in VERBS}
        targets = {
            verb: ",".join(events.types[name].targets) if name in events.types else ""
            for verb, name in names.items()
        }
        entry = given.table.get(table, {})
        soft = entry.get("soft_delete", "") if isinstance(entry, Mapping) else ""
        secret = secret_columns(given.postgres_schema, given.column_secret_list, table)
        hidden = ",".join(secret)
        arguments = ", ".join(
            "'" + word.replace("'", "''") + "'"
            for word in ("id", hidden, *targets.values(), str(soft or ""))
        )
        for operation, rows, verbs in TRIGGERS:
            also = ("deleted",) if soft and operation == "update" else ()
            if not any(targets[verb] for verb in (*verbs, *also)):
                continue
            rule = (
                f"after {operation} on {{table}} referencing {rows}"
                f" for each statement execute function atom.row_event({arguments})"
            )
            found.append(Trigger("public", table, f"atom_event_{operation}", rule))
    return tuple(found)


async def without_triggers(database: Database, events: Events) -> list[str]:
    """Return the tables of which row events would not be written."""
    wanted = triggers(events)
    if not wanted:
        return []
    there = {row["name"] for row in await database.rows(ENABLED)}
    missing = (
        each.table for each in wanted if f"{each.table} {each.name}" not in there
    )
    return sorted(set(missing))
