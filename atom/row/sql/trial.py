"""Statements that try one value alone, to find which of many is refused."""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from functools import lru_cache

from atom.datatype.datatype import datatype
from atom.postgres.catalog import LiveColumn
from atom.postgres.identifier import quote
from atom.row.sql.filter import Condition, render
from atom.row.sql.statement import marks

# The words of an enum, also of a list of them or of a domain over one.
WORDS = """
with recursive inside (oid) as (
  select a.atttypid from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
  where c.relname = $1 and a.attname = $2
  union
  select case when t.typtype = 'd' then t.typbasetype else t.typelem end
  from inside i join pg_type t on t.oid = i.oid
  where t.typtype = 'd' or (t.typcategory = 'A' and t.typelem <> 0)
)
select array_agg(e.enumlabel::text order by e.enumsortorder)
from inside i join pg_enum e on e.enumtypid = i.oid
"""


@lru_cache(256)
def cast(column: LiveColumn) -> str:
    """Build a query that casts one value to the type of a column."""
    arrived = datatype(column.datatype).cast("$1")
    return f"select ({arrived}::{column.datatype}) is null"


def condition(tried: Condition) -> str:
    """Build a query that tries one condition on no row at all."""
    column = tried.column
    # offset keeps PostgreSQL from seeing that the column is null and no value is read.
    return (
        f"select true from (select null::{column.datatype} as {quote(column.name)}"
        f" offset 0) as t where {render(tried, 't', marks())}"
    )
