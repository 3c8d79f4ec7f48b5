"""Declared minus live: one ordered plan. Pure; `feature/schema.py` runs it.

Order: extensions, tables, columns, nulls, indexes, defaults, triggers, constraints,
queries.
"""

from atom.sql import alter, build
from atom.sql.change import Plan, Step
from atom.sql.declaration import Declaration
from atom.sql.draft import Draft
from atom.sql.identifier import quote
from atom.sql.live import Live
from atom.sql.target import resolve

__all__ = ["Plan", "Step", "plan"]


def plan(declared: Declaration, live: Live, *, destructive: bool = False) -> Plan:
    """Return what has to be done to bring a database to what is declared.

    Without `destructive` no column is dropped and no datatype changed: the difference
    is reported as drift.
    """
    target = resolve(declared, live, convert=destructive)
    draft = Draft(declared, live, target, destructive)
    for extension in target.extensions:
        draft.add(f"create extension if not exists {quote(extension)}", "extension")
    alter.house(draft)
    for table in declared.tables:
        alter.create(draft, table)
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
        build.checks(draft, table)
    build.queries(draft)
    draft.drift.extend(
        f"Table {name} is not declared."
        for name in live.tables
        if name not in declared.tables
    )
    return Plan(
        tuple(draft.steps),
        tuple([*target.drift, *draft.drift]),
        tuple(target.notes),
        tuple([*target.refusals, *draft.refusals]),
    )
