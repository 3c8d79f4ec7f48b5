"""Declared tables, live tables, and the ordered steps from the live to the declared.

Only `apply` runs anything. Read in this order:

    column       one column as declared
    literal      defaults and choices, as SQL constants
    entry        one entry of `config_postgres_schema`, in either of its spellings
    index        indexes and their names
    declaration  the whole of `config_postgres_schema`
    live         what a database has
    introspect   the questions that find it out
    plan         steps, their locks and costs
    target       the declaration as this server can carry it out
    draft        a plan in the making
    alter        steps that make and alter tables
    build        steps that build on tables
    rule         steps for checks and foreign keys
    rename       columns that have a new name
    migration    declared minus live: all steps, in order
    plan_text    a plan, for people
    step_failure  why a step failed
    apply        a plan, carried out
"""

from atom.schema.plan import described

__all__ = ["described"]
