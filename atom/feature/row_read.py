"""Reading rows: a query string in, JSON as PostgreSQL wrote it out."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from atom.errors import ApiError
from atom.feature.reach import Reach, Rules
from atom.sql import cursor, parent, plan, query
from atom.sql.catalog import Catalog
from atom.sql.run import Database
from atom.sql.statement import Statement
from atom.trace import note_read

REMEMBERED_MAX_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows as a JSON array, and what stands beside them."""

    body: bytes
    beside: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query string that was understood: what to run, and what to make of it."""

    statement: Statement
    tables: tuple[str, ...]
    belongs: str  # the order a cursor is made for
    wants_next: bool = False
    wants_count: bool = False
    has_cursor: bool = False


async def read(database: Database, reach: Reach, raw: bytes) -> Answer:
    """Read rows; `raw` is the query string, as it came.

    Raises:
        Forbidden: `row.table_not_allowed`.
        NotFound: `sql.unknown_table`.
        ApiError: naming the parameter, column, operator or value that is wrong.
    """
    understand = _remembered if len(raw) <= REMEMBERED_MAX_BYTES else _prepare
    prepared = understand(database.catalog, reach.rules, reach.tier, raw)
    note_read(*prepared.tables)
    statement = prepared.statement
    values = statement.bound(reach.owner)
    if not (prepared.wants_next or prepared.wants_count):
        return Answer((await database.value(statement.text, *values)).encode(), {})
    try:
        row = await database.row(statement.text, *values)
    except ApiError as error:
        if prepared.has_cursor and error.code == "value.unreadable":
            raise ApiError(
                "'cursor' cannot be read.", code="filter.unreadable"
            ) from error
        raise
    assert row is not None
    beside: dict[str, Any] = {}
    if prepared.wants_next:
        keys = row["next"]
        beside["next_cursor"] = keys and cursor.encode(prepared.belongs, keys)
    if prepared.wants_count:
        beside["count"] = row["count"]
    return Answer(row["body"].encode(), beside)


def _prepare(catalog: Catalog, rules: Rules, tier: str, raw: bytes) -> Prepared:
    """Understand a query string. Whose rows are read is no part of it."""
    asked = query.parse(query.decoded(raw), rules.limit_max)
    # Any caller of the tier will do: its id is bound when the statement runs.
    reach = Reach(rules, tier, None if tier == "public" else 0)
    target = reach.readable(catalog, asked.table)
    view = reach.view(catalog, asked.table)
    users = reach.creators(catalog) if asked.creator_keys else None
    statement, belongs = plan.read(asked, target, view, users)
    return Prepared(
        statement,
        (asked.table, "users") if asked.creator_keys else (asked.table,),
        belongs,
        asked.cursor is not None,
        asked.is_count,
        bool(asked.cursor),
    )


_remembered = lru_cache(1024)(_prepare)


async def parents(database: Database, reach: Reach, raw: bytes) -> bytes:
    """Read the parent rows of one's own rows, as JSON.

    Raises:
        Forbidden: `row.table_not_allowed` for a table that is no parent.
        ApiError: naming the parameter or column that is wrong.
    """
    asked = parent.parse(query.decoded(raw), reach.rules.limit_max)
    catalog = database.catalog
    target = reach.readable(catalog, asked.table)
    child = reach.view(catalog, asked.table)
    found = reach.parents(catalog, target, asked.parent_table, asked.parent_column)
    statement = parent.read(asked, target, child, found)
    note_read(asked.table, asked.parent_table)
    body: str = await database.value(statement.text, *statement.bound(reach.owner))
    return body.encode()
