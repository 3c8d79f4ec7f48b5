"""Checks of a table that a value breaks: which columns they are about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from atom.sql.run import Database
from atom.sql.told import Broken

COLUMNS = """
select string_agg(a.attname, ', ' order by a.attnum)
from pg_constraint k
join pg_class c on c.oid = k.conrelid and c.relname = $1
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
join pg_attribute a on a.attrelid = c.oid and a.attnum = any (k.conkey)
where k.conname = $2 and k.contype = 'c'
"""


@asynccontextmanager
async def telling(database: Database) -> AsyncIterator[None]:
    """Name the columns of a check that is broken; PostgreSQL names only the rule."""
    try:
        yield
    except Broken as error:
        columns = await database.value(COLUMNS, error.table, error.rule)
        if columns:
            where, _, _ = error.message.rpartition("A value breaks")
            rule = f"the rule '{error.rule}' of table '{error.table}'."
            error.message = f"{where}Column '{columns}' breaks {rule}"
            error.args = (error.message,)
        raise
