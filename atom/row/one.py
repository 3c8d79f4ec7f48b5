"""One row by its key: read, changed, deleted; and written rows answered as stored."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from atom import reply
from atom.errors import ApiError, Forbidden, nearest
from atom.postgres.catalog import Catalog
from atom.postgres.database import Database
from atom.row import payload, write
from atom.row.prefer import APPLIED, answer, words
from atom.row.queued import DIRECT
from atom.row.read import read_key
from atom.row.scope import RowScope
from atom.row.sql import stored
from atom.row.sql.statement import require_key

METHODS = {"GET": "read", "PATCH": "update", "DELETE": "delete"}  # of one row
RETURN = "return"  # a parameter of writes, and a preference (RFC 7240)
REPRESENTATION = "return=representation"
RETURNS = {"row": True, "representation": True, "id": False, "minimal": False}


async def read_one(database: Database, scope: RowScope, raw: bytes, key: str) -> bytes:
    """Read one row by its key; `raw` is the query string. Return it as JSON.

    Raises:
        NotFound: `row.missing` when there is none that the caller reaches.
    """
    rows = await read_key(database, scope, raw, key)
    if rows.body == b"[]":
        raise write.missing(scope)
    return rows.body[1:-1]


async def change(
    database: Database, scope: RowScope, table: str, key: str, body: Any
) -> Any:
    """Change columns of one row. Return its key.

    Raises:
        NotFound: `row.missing` when there is none that the caller reaches.
        ApiError: naming the column that may not be written.
    """
    if not isinstance(body, Mapping):
        raise ApiError("The body takes an object of the columns to change.")
    name = require_key(database.catalog.table(table))
    if name in body:
        raise payload.managed(name)
    found = payload.from_path(database.catalog.table(table), key)
    return await write.update(database, scope, table, {name: found, **body})


async def delete(database: Database, scope: RowScope, table: str, key: str) -> int:
    """Delete one row. Return how many there were, which is 1.

    Raises:
        NotFound: `row.missing` when there is none that the caller reaches.
        Conflict: `row.refused` when it is protected.
    """
    row_set = scope.changeable(database.catalog, table, "delete")
    found = payload.from_path(row_set.table, key)
    count = await write.delete_ids(database, scope, table, [found])
    if not count:
        raise write.missing(scope)
    return count


def require_method(catalog: Catalog, scope: RowScope, table: str, method: str) -> None:
    """Refuse a method on one row that config_table does not open.

    Raises:
        Forbidden: `row.table_not_allowed` where no method is open.
        ApiError: `route.method`, naming those that are.
    """
    allowed: list[str] = []
    for name, verb in METHODS.items():
        try:
            scope.rows(catalog, table, verb)
        except Forbidden:
            if name == method and not allowed:
                raise
        else:
            allowed.append(name)
    if method not in allowed:
        raise ApiError(
            "This row does not take that method.",
            code="route.method",
            status=405,
            hint=f"config_table opens {', '.join(allowed)}.",
            headers={"Allow": ", ".join(allowed)},
        )


def wants_row(preferred: str, asked: Mapping[str, str]) -> bool:
    """Whether a write is to answer the row: by `Prefer` or by the parameter.

    Raises:
        ApiError: when the parameter has another value, or the row is written later.
            Of a header, what is not understood is ignored.
    """
    is_later = asked.get("queue", "") not in DIRECT
    if RETURN in asked:
        word = asked[RETURN]
        if word not in RETURNS:
            raise ApiError(
                "'return' takes row or id.", hint=nearest(word[:60], RETURNS)
            )
        if RETURNS[word] and is_later:
            raise ApiError(
                f"'return={word}' and 'queue' do not go together.",
                hint="The row is not there yet: the answer is the id of its message.",
            )
        return RETURNS[word]
    return bool(preferred) and not is_later and REPRESENTATION in words(preferred)


async def answered(
    database: Database, scope: RowScope, table: str, made: Any, *, as_row: bool
) -> Response:
    """Answer a write: by `made`, its key or keys in order, or by rows as stored.

    It is the keys where the caller may not read one of the rows.
    """
    body = await _represented(database, scope, table, made) if as_row else None
    if body is None:
        return reply.success(made)
    response = answer(scope, body)
    found = (REPRESENTATION, response.headers.get(APPLIED))
    response.headers[APPLIED] = ", ".join(filter(None, found))
    return response


async def _represented(
    database: Database, scope: RowScope, table: str, made: Any
) -> bytes | None:
    """Return rows as they are stored, None when the caller may not read one of them."""
    keys = made if isinstance(made, list) else [made]
    try:
        row_set = scope.readable(database.catalog, table)
    except ApiError:  # a table that is written and not read
        return None
    if None in keys:
        return None
    view = scope.visible_columns(database.catalog, table)
    text = stored.returned(row_set, view)
    found = await database.row(*scope.call(row_set, text, keys))
    if found is None or found["count"] != len(keys):
        return None
    body: bytes = found["body"].encode()
    return body if isinstance(made, list) else body[1:-1]
