"""Declared minus live: one ordered plan. Pure; `apply` runs it."""

from atom.schema import (
    column,
    computed,
    constraint,
    default,
    drop,
    extension,
    index,
    migrate,
    query,
    remark,
    rename,
    routine,
    table,
    trigger,
    view,
)
from atom.schema.declaration import Declaration
from atom.schema.draft import Draft
from atom.schema.live import Live
from atom.schema.plan import Plan

# A new kind of object is a file, and a line here where its steps belong.
OBJECTS = (
    rename.steps,
    column.choose,
    index.choose,
    constraint.choose,
    extension.steps,
    table.own,
    migrate.choose,
    migrate.before_column,
    constraint.drop_undeclared,
    routine.early,
    view.changed,
    table.steps,
    column.steps,
    computed.steps,
    migrate.before_drop,
    drop.steps,
    column.drops,
    migrate.before_null,
    view.again,
    column.nulls,
    index.steps,
    default.steps,
    trigger.functions,
    trigger.steps,
    constraint.flags,
    migrate.before_constraint,
    constraint.steps,
    routine.late,
    view.new,
    routine.last,
    routine.triggers,
    migrate.last,
    query.steps,
    table.undeclared,
    remark.steps,
)


def plan(declared: Declaration, live: Live, *, destructive: bool = False) -> Plan:
    """Return what has to be done to bring a database to what is declared.

    Without `destructive` no column is dropped and no datatype changed: the difference
    is reported as drift.
    """
    draft = Draft(declared, live, destructive)
    for steps in OBJECTS:
        steps(draft)
    return Plan(
        tuple(draft.steps),
        tuple(draft.drift),
        tuple(draft.notes),
        tuple(draft.refusals),
    )
