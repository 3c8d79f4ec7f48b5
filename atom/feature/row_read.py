"""Reading rows: a query string in, JSON as PostgreSQL wrote it out."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from atom.errors import ApiError, TimedOut, Unprocessable
from atom.feature.reach import Reach, Rules
from atom.feature.relative import Around
from atom.feature.row_rule import name_filter
from atom.sql import cursor, parent, plan, query
from atom.sql.catalog import Catalog
from atom.sql.run import Database
from atom.sql.statement import COUNTED_MAX, Statement, Target
from atom.sql.told import Unplaced
from atom.trace import note_read

REMEMBERED_MAX_BYTES = 1024
SLOW = "Ask for fewer rows, or filter and order by columns that have an index."


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows as a JSON array, and what stands beside them."""

    body: bytes
    beside: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query string that was understood: what to run, and what to make of it."""

    read: plan.Read
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
    note_read(*prepared.read.tables)
    statement, seconds = prepared.read.statement, reach.rules.read_seconds
    values = statement.bound(reach.owner)
    try:
        if not (prepared.wants_next or prepared.wants_count):
            body = await database.value(statement.text, *values, seconds=seconds)
            return Answer(body.encode(), {})
        row = await database.row(statement.text, *values, seconds=seconds)
    except TimedOut as error:
        error.hint = SLOW
        raise
    except ApiError as error:
        raise await _placed(database, reach, raw, prepared, error) from error
    assert row is not None
    beside: dict[str, Any] = {}
    if prepared.wants_next:
        keys = row["next"]
        beside["next_cursor"] = keys and cursor.encode(prepared.read.belongs, keys)
    if prepared.wants_count:
        beside["count"] = row["count"]
        guess = prepared.read.estimate
        if guess is not None and row["count"] > COUNTED_MAX:
            beside["count"] = await _estimated(database, guess, seconds)
    return Answer(row["body"].encode(), beside)


async def _placed(
    database: Database, reach: Reach, raw: bytes, prepared: Prepared, error: ApiError
) -> ApiError:
    """Say what of a question PostgreSQL refuses: a filter, the cursor, or a sum."""
    if isinstance(error, Unplaced):
        asked, before = query.parse(raw.decode(), reach.rules.limit_max), error.message
        view = reach.view(database.catalog, asked.table)
        await name_filter(database, view, asked.filters, error)
        if error.message != before:
            if error.status == Unprocessable.status:
                error.status, error.code = ApiError.status, "value.unreadable"
            return error
    elif not isinstance(error, Unprocessable):
        return error
    if prepared.has_cursor:
        return ApiError("'cursor' cannot be read.", code="filter.unreadable")
    if error.status != Unprocessable.status:
        return error
    said = "A sum or an average is too large for its datatype."
    if not isinstance(error, Unplaced):
        said = error.message
    return ApiError(said, code="value.unreadable")


async def _estimated(database: Database, guess: Statement, seconds: float) -> int:
    """Ask the planner how many rows there are of what is too many to count."""
    told = await database.value(guess.text, *guess.bound(None), seconds=seconds)
    (root,) = orjson.loads(told) if isinstance(told, str) else told
    return max(int(root["Plan"]["Plan Rows"]), COUNTED_MAX + 1)


def _prepare(catalog: Catalog, rules: Rules, tier: str, raw: bytes) -> Prepared:
    """Understand a query string. Whose rows are read is no part of it."""
    asked = query.parse(query.decoded(raw), rules.limit_max)
    # Any caller of the tier will do: its id is bound when the statement runs.
    reach = Reach(rules, tier, None if tier == "public" else 0)
    target = reach.readable(catalog, asked.table)
    view = reach.view(catalog, asked.table)
    users = reach.creators(catalog) if asked.creator_keys else None
    around = Around(reach, catalog) if asked.relations else None
    return Prepared(
        plan.read(asked, target, view, users, around),
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
    plan.column(child, asked.parent_column)  # a misspelt one is told as such
    found = reach.parents(catalog, target, asked.parent_table, asked.parent_column)
    owned = found.name != "users" and found.name not in reach.rules.public_read
    statement = parent.read(asked, target, child, Target(found, owned=owned))
    note_read(asked.table, asked.parent_table)
    values = statement.bound(reach.owner)
    try:
        body: str = await database.value(
            statement.text, *values, seconds=reach.rules.read_seconds
        )
    except TimedOut as error:
        error.hint = SLOW
        raise
    return body.encode()
