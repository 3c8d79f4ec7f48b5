"""Declared tables, live tables, and the ordered steps from the live to the declared.

Only `apply` runs anything. Read in this order:

    literal      defaults and choices, as SQL constants
    entry        one entry of `config_postgres_schema`, in either of its spellings
    declaration  the whole of `config_postgres_schema`
    live         what a database has, and the questions that find it out
    plan         steps, their locks and costs; a plan for people; why a step failed
    draft        a plan in the making
    extension    extensions
    index        indexes and their names
    constraint   flags, checks and foreign keys
    default      defaults
    table        Atom's own tables, and declared ones that are not there
    column       datatypes and nulls
    trigger      trigger functions and triggers
    query        the user's own queries
    rename       columns that have a new name
    migration    declared minus live: all steps, in order
    apply        a plan, carried out
"""

from atom.schema.plan import described

__all__ = ["described"]
