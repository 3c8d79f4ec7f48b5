"""Declared tables, live tables, and the ordered steps from the live to the declared.

Only `apply` runs anything. Read in this order:

    literal      defaults and choices, as SQL constants
    reading      keys of one dict of `config_postgres_schema`, each read in one way
    entry_index  an index of a table's list, or what excludes rows that overlap
    entry_file   a column that holds a file
    entry        one entry of a table's list, in either of its spellings
    form         views, functions, triggers and data migrations
    declaration  the whole of `config_postgres_schema`
    live_view    views as they are, and what makes one again as it was
    probe        declared expressions as PostgreSQL shows them
    live         what a database has, and the questions that find it out
    plan         steps, their locks and costs; a plan for people; why a step failed
    draft        a plan in the making
    extension    extensions
    index        indexes and their names
    view         views, and their way around a change of their columns
    constraint   flags, checks and foreign keys
    default      defaults
    dependent    what depends on a column, out of its way while it changes
    computed     generated columns
    table        Atom's own tables, and declared ones that are not there
    column       datatypes and nulls
    trigger      trigger functions and triggers
    routine      functions and triggers of the project
    drop         what is named to go
    migrate      data migrations
    query        the user's own queries
    rename       columns that have a new name
    remark       what is declared and awkward to use
    migration    declared minus live: all steps, in order
    apply        a plan, carried out
"""

from atom.schema.plan import described

__all__ = ["described"]
