"""Reading rows: a query string in, JSON as PostgreSQL wrote it out."""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import orjson

from atom.errors import ApiError, TimedOut, Unprocessable
from atom.observe.request_context import TABLES_READ, note_read
from atom.postgres.catalog import Catalog, UnknownColumn
from atom.postgres.database import Database
from atom.postgres.errors import UNCOMPARED, UnlocatedValue
from atom.row import form
from atom.row.explain_error import find_filter
from atom.row.scope import (
    RowConfig,
    RowScope,
    ScopedRelatives,
    not_allowed,
    visible,
)
from atom.row.sql import cursor, query_string, read_plan
from atom.row.sql.filter import Filter
from atom.row.sql.group import unknown_zone
from atom.row.sql.read_plan import COUNTED_MAX
from atom.row.sql.relation import references
from atom.row.sql.statement import Statement, column

REMEMBERED_MAX, REMEMBERED_MAX_BYTES = 1024, 1024
TOO_LARGE = "answer.too_large"
_with_large_rows: set[str] = set()  # texts of statements that met a large row
SLOW = "Ask for fewer rows, or filter and order by columns that have an index."


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows as a JSON array, and the fields of the answer next to them."""

    body: bytes
    extra: dict[str, Any]


class Rows(bytes):
    """Rows as a JSON array, with their count and the next cursor if they were asked."""

    count: int | None  # type: ignore[assignment]  # the API's word, not bytes.count
    next_cursor: str | None

    def __new__(cls, answer: Answer) -> Self:
        """Keep the fields of an answer next to its rows."""
        made = super().__new__(cls, answer.body)
        made.count = answer.extra.get("count")
        made.next_cursor = answer.extra.get("next_cursor")
        return made


def read(
    database: Database, scope: RowScope, raw: bytes
) -> Coroutine[Any, Any, Answer]:
    """Read rows; `raw` is the query string, as it came.

    Raises:
        Forbidden: `row.table_not_allowed`.
        NotFound: `sql.unknown_table`.
        ApiError: naming the parameter, column, operator or value that is wrong.
    """
    understand = _remembered if len(raw) <= REMEMBERED_MAX_BYTES else _prepare
    asked = understand(
        database.catalog, scope.rules, scope.tier, raw, None, scope.bigint_text
    )
    return _run(database, scope, asked)


async def read_key(database: Database, scope: RowScope, raw: bytes, key: str) -> Answer:
    """Read the row with a key, as a list of one or none.

    Raises:
        ApiError: as `read`; and when the key cannot be parsed.
    """
    asked = _prepare(
        database.catalog, scope.rules, scope.tier, raw, key, scope.bigint_text
    )
    return await _run(database, scope, asked)


async def _run(database: Database, scope: RowScope, asked: read_plan.Read) -> Answer:
    if (noted := TABLES_READ.get()) is not None:
        noted.update(asked.tables)
    try:
        row = await _fetch(database, scope, asked)
    except ApiError as error:
        raise await _explained(database, scope, asked, error) from error
    extra = await _extra(database, scope, asked, row) if asked.wants_more else {}
    return Answer(row["body"].encode(), extra)


async def _fetch(
    database: Database, scope: RowScope, asked: read_plan.Read
) -> Mapping[str, Any]:
    """Run a read; where a row is large, so that the sum of all rows is what counts.

    Raises:
        Unprocessable: `answer.too_large`.
    """
    text, values = asked.statement.text, asked.statement.bound(scope.value)
    rules = scope.rules
    seconds = rules.regular_seconds if asked.is_regular else rules.read_seconds
    if text not in _with_large_rows:
        try:
            if asked.has_forms:
                row = await form.fetch(database, asked, values, seconds)
            else:
                row = await database.row(text, *values, seconds=seconds)
        except Unprocessable as error:
            if error.code != TOO_LARGE:
                raise
            if len(_with_large_rows) >= REMEMBERED_MAX:
                _with_large_rows.clear()
            _with_large_rows.add(text)
        else:
            assert row is not None  # one aggregate of all rows
            return row
    exact = replace(asked.plan, bound=replace(asked.plan.bound, exact=True))
    row = await database.row(read_plan.select(exact), *values, seconds=seconds)
    assert row is not None
    return row


async def _extra(
    database: Database, scope: RowScope, asked: read_plan.Read, row: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the fields next to the rows: the cursor of the next page, the count."""
    extra: dict[str, Any] = {}
    if asked.query.cursor is not None:
        keys = row["next"]
        extra["next_cursor"] = keys and cursor.encode(asked.belongs, keys)
    if asked.query.is_count:
        extra["count"] = row["count"]
        if asked.estimate is not None and row["count"] > COUNTED_MAX:
            seconds = scope.rules.read_seconds
            extra["count"] = await _estimated(database, asked.estimate, seconds)
    return extra


async def _explained(
    database: Database, scope: RowScope, asked: read_plan.Read, error: ApiError
) -> ApiError:
    """Name the part of a read that PostgreSQL refuses: a filter, the cursor, a sum."""
    if isinstance(error, TimedOut):
        error.hint = SLOW
        return error
    if isinstance(error, UnlocatedValue):
        before = error.message
        view = scope.visible_columns(database.catalog, asked.query.table)
        relatives = ScopedRelatives(scope, database.catalog)
        await find_filter(database, view, asked.query.filters, error, relatives)
        if error.message != before:
            if error.status == Unprocessable.status:
                error.status, error.code = ApiError.status, "value.unreadable"
            return error
        if error.message == UNCOMPARED:
            return error  # no filter is to blame: `heal` looks for what is
    elif not isinstance(error, Unprocessable) or error.code == TOO_LARGE:
        return error
    if asked.query.cursor:
        return ApiError("'cursor' cannot be read.", code="filter.unreadable")
    if error.status != Unprocessable.status:
        return unknown_zone() if asked.query.zone else error
    message = "A sum or an average is too large for its datatype."
    if not isinstance(error, UnlocatedValue):
        message = error.message
    return ApiError(message, code="value.unreadable")


async def _estimated(database: Database, guess: Statement, seconds: float) -> int:
    """Ask the planner how many rows there are of what is too many to count."""
    plan = await database.value(guess.text, *guess.values, seconds=seconds)
    (root,) = orjson.loads(plan) if isinstance(plan, str) else plan
    return max(int(root["Plan"]["Plan Rows"]), COUNTED_MAX + 1)


def _prepare(
    catalog: Catalog,
    rules: RowConfig,
    tier: str,
    raw: bytes,
    key: str | None,
    bigint_text: bool,
) -> read_plan.Read:
    """Prepare a query string, of the row with a `key` or of any.

    Raises:
        ApiError: naming what is wrong, and how it is written.
    """
    try:
        return _planned(catalog, rules, tier, raw, key, bigint_text)
    except ApiError as error:
        _explain(error, catalog, rules, raw)
        raise


def _explain(error: ApiError, catalog: Catalog, rules: RowConfig, raw: bytes) -> None:
    """Word an error about a column of users, or a filter read as a parameter."""
    tables = visible(catalog, rules.secret).tables
    if isinstance(error, UnknownColumn) and error.table == "users":
        if error.column in tables["users"].columns:
            error.message = f"Column '{error.column}' of users is not shown."
            error.args, error.hint = (error.message,), ""
        return
    table, names = query_string.filters_read_as_parameters(raw)
    if table in tables:
        for name in names:
            if name in tables[table].columns:
                error.hint = f"A filter of column '{name}' is written or=({name}==,1)."


def _planned(
    catalog: Catalog,
    rules: RowConfig,
    tier: str,
    raw: bytes,
    key: str | None,
    bigint_text: bool,
) -> read_plan.Read:
    if key is None:
        query = query_string.parse(query_string.decoded(raw), rules.limit_max)
    else:
        query = query_string.parse_one(query_string.decoded(raw))
    # Any caller of the tier will do: its id is bound when the statement runs.
    scope = RowScope(rules, tier, None if tier == "public" else 0, bigint_text)
    row_set = scope.readable(catalog, query.table, query.with_deleted)
    view = scope.visible_columns(catalog, query.table)
    if key is not None:
        query = replace(query, filters=(Filter(row_set.table.key, "=", key),))
    users = scope.creators(catalog) if query.creator_keys else None
    relatives = ScopedRelatives(scope, catalog)
    asked = read_plan.read(
        query, row_set, view, users, relatives, bound=rules.answer_max
    )
    return replace(asked, tables=asked.tables.intersection(catalog.tables))


_remembered = lru_cache(REMEMBERED_MAX)(_prepare)


async def parents(database: Database, scope: RowScope, raw: bytes) -> bytes:
    """Read the parent rows of one's own rows, as JSON.

    Raises:
        Forbidden: `row.table_not_allowed` for a table that is not a parent.
        ApiError: naming the parameter or column that is wrong.
    """
    limit_max, catalog = scope.rules.limit_max, database.catalog
    table, name, query = query_string.parse_parents(
        query_string.decoded(raw), limit_max
    )
    row_set = scope.readable(catalog, table)
    child = scope.visible_columns(catalog, table)
    column(child, name)  # first, so that a misspelt one is 400
    found = scope.parent(catalog, query.table)
    known = references(visible(catalog, scope.rules.secret))[table].get(name)
    parent = catalog.table(query.table)
    referring = read_plan.referring(row_set, child, name, parent, known)
    leads = query.table == "users" or (known is not None and known.table == query.table)
    if found is None or not leads:
        raise not_allowed(
            (),
            f"A column that refers to it is called {query.table[:50]}_id, or is"
            " declared with a foreign key; and its rule lets you read it.",
        )
    asked = read_plan.read(
        query, *found, referring=referring, bound=scope.rules.answer_max
    )
    note_read(*asked.tables.intersection(catalog.tables))
    try:
        row = await _fetch(database, scope, asked)
    except TimedOut as error:
        error.hint = SLOW
        raise
    body: str = row["body"]
    return body.encode()
