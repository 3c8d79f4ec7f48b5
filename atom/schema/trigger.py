"""Trigger functions of schema `atom`, and Atom's triggers on tables."""

from atom.own.part import parts
from atom.postgres.identifier import public, quote
from atom.schema.draft import Draft
from atom.schema.plan import EXCLUSIVE, ROW_EXCLUSIVE


def functions(draft: Draft) -> None:
    """Make trigger functions that are missing or of another version."""
    for function in (each for part in parts() for each in part.functions):
        found = draft.live.functions.get(function.name)
        if found is None or (found.comment, found.source) != (
            function.mark,
            function.source,
        ):
            draft.add(function.sql, "function", name=function.name)


def steps(draft: Draft) -> None:
    """Make triggers that are missing or of another version, drop stale ones."""
    live = draft.live
    tables = {
        table: draft.datatypes(table)
        for table in draft.declared.tables
        if table not in live.others
    }
    wanted = {
        (trigger.schema, trigger.table, trigger.name): trigger
        for part in parts()
        for trigger in part.triggers(tables)
    }
    wanted |= {
        (trigger.schema, trigger.table, trigger.name): trigger
        for trigger in draft.declared.row_triggers
        if trigger.table in tables
    }
    for place, state in live.triggers.items():
        schema, table, name = place
        if place in wanted or not name.startswith("atom_") or schema != "public":
            continue
        if table in tables and table not in draft.untriggered and state.comment:
            sql = f"drop trigger {quote(name)} on {public(table)}"
            draft.add(sql, "trigger", table, name=name, lock=EXCLUSIVE)
    for place, trigger in wanted.items():
        found = live.triggers.get(place)
        fresh = found is None or trigger.table in draft.untriggered
        if found is not None and not fresh and not found.enabled:
            draft.drift.append(f"Trigger {trigger.name} on {trigger.table} is off.")
        if found is None or fresh or found.comment != trigger.mark:
            cost = {"name": trigger.name, "lock": ROW_EXCLUSIVE}
            draft.add(trigger.sql, "trigger", trigger.table, **cost)
