"""Declared minus live: one ordered plan. Pure; `feature/schema.py` runs it.

Order: extensions, renames, tables, columns, nulls, indexes, defaults, triggers,
constraints, queries.
"""

from atom.postgres.identifier import quote
from atom.schema import alter, build, rename, rule
from atom.schema.declaration import Declaration
from atom.schema.draft import Draft
from atom.schema.live import Live
from atom.schema.plan import Plan, Step
from atom.schema.target import resolve

__all__ = ["Plan", "Step", "plan"]


def plan(declared: Declaration, live: Live, *, destructive: bool = False) -> Plan:
    """Return what has to be done to bring a database to what is declared.

    Without `destructive` no column is dropped and no datatype changed: the difference
    is reported as drift.
    """
    renamed = rename.apply(declared, live)
    live = renamed.live
    target = resolve(declared, live, convert=destructive)
    draft = Draft(declared, live, target, destructive, kept=renamed.kept)
    for extension in target.extensions:
        draft.add(f"create extension if not exists {quote(extension)}", "extension")
    for table, sql, lock in renamed.statements:
        draft.add(sql, "column", table, lock=lock)
    alter.own_tables(draft)
    rule.drop_undeclared(draft)
    for table in declared.tables:
        alter.create_table(draft, table)
    for table in declared.tables:
        alter.columns(draft, table)
    for table in declared.tables:
        alter.nulls(draft, table)
    build.indexes(draft)
    for table in declared.tables:
        build.defaults(draft, table)
    build.functions(draft)
    build.triggers(draft)
    for table in declared.tables:
        rule.flags(draft, table)
    for table in declared.tables:
        rule.add_missing(draft, table)
    build.queries(draft)
    draft.drift.extend(
        f"Table {name} is not declared."
        for name, state in live.tables.items()
        if name not in declared.tables and not state.part
    )
    return Plan(
        tuple(draft.steps),
        tuple([*renamed.drift, *target.drift, *draft.drift]),
        tuple(target.notes),
        tuple([*target.refusals, *draft.refusals]),
    )
