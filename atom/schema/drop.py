"""Named drops: what of tables, views, indexes and functions is declared to go."""

from atom.postgres.identifier import public, quote
from atom.schema import view
from atom.schema.draft import Draft
from atom.schema.plan import EXCLUSIVE


def steps(draft: Draft) -> None:
    """Drop what is named and there; of columns only those of undeclared tables."""
    live = draft.live
    for name in draft.declared.drop:
        table, _, column = name.partition(".")
        if column:
            there = live.tables.get(table)
            if table not in draft.declared.tables and there and column in there.columns:
                sql = f"alter table {public(table)} drop column {quote(column)}"
                _add(draft, sql, "column", table)
        elif name in live.views:
            view.drop(draft, name)
        elif name in live.tables:
            view.drop(draft, name)
            _add(draft, f"drop table {public(name)}", "table", name)
        elif name in live.indexes and name not in draft.unindexed:
            draft.unindexed.add(name)
            on = live.indexes[name].table
            _add(draft, f"drop index {public(name)}", "index", on)
        for routine in live.routines.get(name, ()) if not column else ():
            if name not in draft.declared.functions:
                sql = f"drop function {public(name)}({routine.types})"
                _add(draft, sql, "function", name)


def _add(draft: Draft, sql: str, kind: str, table: str) -> None:
    lost = {"destructive": kind in {"table", "column"}, "reversible": False}
    draft.add(sql, kind, table, lock=EXCLUSIVE, **lost)
