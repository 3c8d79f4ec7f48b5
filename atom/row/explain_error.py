"""Which column, filter or row it is that PostgreSQL refuses.

PostgreSQL names the rule of a table and not its columns, and of a value that a datatype
refuses nothing at all. Both are looked up once something was refused, never before.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any

from atom.datatype import value
from atom.errors import ApiError, nearest
from atom.postgres.catalog import LiveColumn, Table
from atom.postgres.database import Database
from atom.postgres.errors import BrokenRule, UnlocatedValue
from atom.postgres.identifier import quote
from atom.row.payload import placed
from atom.row.sql.filter import (
    Condition,
    Filter,
    Group,
    Through,
    check,
    leaves,
    render,
)
from atom.row.sql.relation import Relatives
from atom.row.sql.statement import Marks
from atom.row.wait import BUSY

Row = dict[str, Any]
# Returns the statement and values of one row; it is refused too if it returns no row.
Attempt = Callable[[int, Row], tuple[Any, ...]]
TRIED_MAX = 1000  # rows tried one by one to find the one that is refused
COLUMNS = """
select string_agg(a.attname, ', ' order by a.attnum)
from pg_constraint k
join pg_class c on c.oid = k.conrelid and c.relname = $1
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
join pg_attribute a on a.attrelid = c.oid and a.attnum = any (k.conkey)
where k.conname = $2 and k.contype = 'c'
"""
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
WORDS_MAX = 50  # of an enum, in a message


# A value tried alone: its table and column, as it was written, a query and its values.
Trial = tuple[Table, LiveColumn, Any, str, tuple[Any, ...]]


class naming_columns:
    """A block in which what is refused is named by its columns."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> None:
        """Begin."""

    async def __aexit__(
        self, kind: object, error: BaseException | None, trace: object
    ) -> None:
        """Name the columns of the error, if it is one of those."""
        if isinstance(error, BrokenRule):
            columns = await self._database.value(COLUMNS, error.table, error.rule)
            if columns:
                where, _, _ = error.message.rpartition("A value breaks")
                rule = f"the rule '{error.rule}' of table '{error.table}'."
                error.message = f"{where}Column '{columns}' breaks {rule}"
                error.args = (error.message,)
        elif isinstance(error, UnlocatedValue) and error.about is not None:
            table, row = error.about
            await _find_column(self._database, table, row, error)


@contextmanager
def about(table: Table, row: Mapping[str, Any]) -> Iterator[None]:
    """Make an error raised inside name the row being written."""
    try:
        yield
    except UnlocatedValue as error:
        error.about = (table, row)
        raise


async def _find_column(
    database: Database, table: Table, row: Mapping[str, Any], error: UnlocatedValue
) -> None:
    """Read the values of a row one by one, until one is refused alone."""
    columns = ((table.columns[name], raw) for name, raw in row.items())
    trials = ((table, column, raw, _cast(column), (raw,)) for column, raw in columns)
    await _find(database, trials, error)


async def find_filter(
    database: Database,
    view: Table,
    filters: Iterable[Filter | Group],
    error: UnlocatedValue,
    relatives: Relatives,
) -> None:
    """Try the filters one by one, on no row, until one is refused alone."""
    trials = _filter_trials(view, filters, relatives)
    await _find(database, trials, error)


def _filter_trials(
    view: Table, filters: Iterable[Filter | Group], relatives: Relatives
) -> Iterator[Trial]:
    for each in filters:
        for one in leaves(each):
            shape, values = check(view, one, relatives)
            table = view
            if isinstance(shape, Through):
                table, shape = shape.row_set.table, shape.condition
            yield table, shape.column, one.operand, _condition(shape), values


@lru_cache(256)
def _cast(column: LiveColumn) -> str:
    """Build a query that casts one value to the type of a column."""
    arrived = column.kind.cast("$1")
    return f"select ({arrived}::{column.domain or column.datatype}) is null"


def _condition(tried: Condition) -> str:
    """Build a query that tries one condition on no row at all."""
    column, declared = tried.column, tried.column.domain or tried.column.datatype
    # offset keeps PostgreSQL from seeing that the column is null and no value is read.
    return (
        f"select true from (select null::{declared} as {quote(column.name)}"
        f" offset 0) as t where {render(tried, 't', Marks())}"
    )


async def _find(
    database: Database, trials: Iterable[Trial], error: UnlocatedValue
) -> None:
    """Try each value until one fails, then make the error name its column."""
    for table, column, raw, text, values in trials:
        try:
            await database.value(text, *values)
        except UnlocatedValue as refusal:
            await _name(database, table, column, raw, refusal)
            error.status, error.code = refusal.status, refusal.code
            error.name(refusal.message, refusal.hint)
            return
        except ApiError:
            continue  # about something else: keep the first error


async def _name(
    database: Database,
    table: Table,
    column: LiveColumn,
    raw: Any,
    error: UnlocatedValue,
) -> None:
    """Name the column, and what it takes."""
    name, kind = column.name, column.kind
    if error.named:
        # A name of the database's may hold braces of its own.
        message = error.named.replace("{name}", name).replace("{kind}", kind.name)
        error.name(message)
        return
    words = await database.value(WORDS, table.name, name) or ()
    if not words:
        error.name(f"Column '{name}' takes {value.expected(kind)}.")
        return
    shown = ", ".join(words[:WORDS_MAX]) + ", …" * (len(words) > WORDS_MAX)
    listed = "a list, each item one of" if kind.element is not None else "one of"
    hint = nearest(raw[:60], words) if isinstance(raw, str) else ""
    error.name(f"Column '{name}' takes {listed} {shown}.", hint)


async def find_refused(
    database: Database,
    table: Table,
    rows: Sequence[Row],
    attempt: Attempt,
    error: ApiError,
) -> ApiError:
    """Find the row that is refused, by trying them one by one and keeping none.

    Returns the error to raise: naming the row, or the one that came first.
    """
    if error.status >= 500 or error.code == BUSY:
        return error
    async with database.connection() as connection:
        transaction = connection.raw.transaction()
        await transaction.start()
        try:
            for number, row in enumerate(islice(rows, TRIED_MAX)):
                with about(table, row):
                    if await connection.value(*attempt(number, row)) is None:
                        return placed(error, number)
        except ApiError as refusal:
            return placed(refusal, number)
        finally:
            await transaction.rollback()
    return error
