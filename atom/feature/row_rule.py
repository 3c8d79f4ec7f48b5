"""Rules that a value breaks: which columns they are about.

PostgreSQL names the rule of a table and not its columns, and of a value that a datatype
refuses nothing at all. Both are looked up once something was refused, never before.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from atom.errors import ApiError, nearest
from atom.sql import filter as filters
from atom.sql import trial, value
from atom.sql.catalog import LiveColumn, Table
from atom.sql.datatype import datatype
from atom.sql.filter import Filter
from atom.sql.group import Group, leaves
from atom.sql.run import Database
from atom.sql.told import Broken, Unplaced

COLUMNS = """
select string_agg(a.attname, ', ' order by a.attnum)
from pg_constraint k
join pg_class c on c.oid = k.conrelid and c.relname = $1
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
join pg_attribute a on a.attrelid = c.oid and a.attnum = any (k.conkey)
where k.conname = $2 and k.contype = 'c'
"""
WORDS_MAX = 50  # of an enum, in a message


@asynccontextmanager
async def telling(database: Database) -> AsyncIterator[None]:
    """Name the columns of what is refused inside."""
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
    except Unplaced as error:
        if error.about is not None:
            table, row = error.about
            await _name_column(database, table, row, error)
        raise


@contextmanager
def about(table: Table, row: Mapping[str, Any]) -> Iterator[None]:
    """Say which row is written inside."""
    try:
        yield
    except Unplaced as error:
        error.about = (table, row)
        raise


@asynccontextmanager
async def filtering(
    database: Database, view: Table, asked: Iterable[Filter | Group]
) -> AsyncIterator[None]:
    """Name the column of the filter that is refused inside."""
    try:
        yield
    except Unplaced as error:
        await name_filter(database, view, asked, error)
        raise


async def _name_column(
    database: Database, table: Table, row: Mapping[str, Any], error: Unplaced
) -> None:
    """Read the values of a row one by one, until one is refused alone."""
    for name, given in row.items():
        column = table.columns[name]
        found = await _refused(database, trial.cast(column), given)
        if found is not None:
            await _say(database, table, column, given, found)
            error.status, error.code = found.status, found.code
            error.name(found.message, found.hint)
            return


async def name_filter(
    database: Database, view: Table, asked: Iterable[Filter | Group], error: Unplaced
) -> None:
    """Try the filters one by one, on no row, until one is refused alone."""
    for each in asked:
        for one in leaves(each):
            shape, values = filters.check(view, one)
            found = await _refused(database, trial.condition(shape), *values)
            if found is not None:
                await _say(database, view, shape.column, one.operand, found)
                error.status, error.code = found.status, found.code
                error.name(found.message, found.hint)
                return


async def _refused(database: Database, text: str, *values: Any) -> Unplaced | None:
    """Return what PostgreSQL has against a trial, if it is about the value."""
    try:
        await database.value(text, *values)
    except Unplaced as error:
        return error
    except ApiError:
        return None  # of something else, and what was refused first is told
    return None


async def _say(
    database: Database, table: Table, column: LiveColumn, given: Any, error: Unplaced
) -> None:
    """Name the column, and what it takes."""
    name, kind = column.name, datatype(column.datatype)
    if error.named:
        # A name of the database's may hold braces of its own.
        said = error.named.replace("{name}", name).replace("{kind}", kind.name)
        error.name(said)
        return
    words = await database.value(trial.WORDS, table.name, name) or ()
    if not words:
        error.name(f"Column '{name}' takes {value.expected(kind)}.")
        return
    shown = ", ".join(words[:WORDS_MAX]) + ", …" * (len(words) > WORDS_MAX)
    listed = "a list, each item one of" if kind.element is not None else "one of"
    hint = nearest(given[:60], words) if isinstance(given, str) else ""
    error.name(f"Column '{name}' takes {listed} {shown}.", hint)
