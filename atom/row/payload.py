"""The values of a request body, parsed by the columns they are for."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from atom.datatype import exact, limit, value
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn, Table, shown, unknown_column
from atom.row.scope import RowConfig, RowScope
from atom.row.sql.statement import RowSet

Parse = Callable[[Any], Any]
PASSWORDS = frozenset({"password", "password_bigint"})
NAMES = frozenset({"username", "email", "mobile"})  # of users: in a normal form
# Any whole number may be asked for, whatever the size of those that are there.
WHOLE = "bigint"
ROWS_AT_ONCE = 50  # parsed before other requests have a turn: half a millisecond


@lru_cache(1024)
def _parsers(
    rules: RowConfig, tier: str, table: Table, create: bool
) -> dict[str, Parse]:
    """Return where the parsers of a table's columns are kept, once they are needed."""
    return {}


class Reader:
    """Parses rows for one caller and one table; looks each column up once.

    What it finds is kept for all callers of the tier.
    """

    def __init__(self, scope: RowScope, table: Table, *, create: bool) -> None:
        self._scope, self._table, self._create = scope, table, create
        self._columns = _parsers(scope.rules, scope.tier, table, create)

    def column(self, name: str) -> LiveColumn:
        """Return a column this caller may write.

        Raises:
            ApiError: `row.managed_column`, also when generated; `sql.unknown_column`.
        """
        table = self._table
        found = table.columns.get(name)
        if name != table.key:
            self._scope.require_writable(table.name, name, create=self._create)
        elif not (self._create and is_given(table)):
            raise managed(name)
        if found is None:
            hidden = self._scope.rules.secret
            known = (each for each in table.columns if each.casefold() not in hidden)
            raise unknown_column(table.name, name, known)
        if found.generated:
            raise computed(name)
        return found

    def _read(self, name: str) -> Parse:
        """Return the parser of a column's values; remember it."""
        found = self.column(name)
        plain, checked = value.reader(found), limit.limit(found.datatype) is not None
        if self._table.name == "users" and name in NAMES:
            plain = _normalizer(name, plain)

        def read(raw: Any) -> Any:
            kept = plain(raw)
            limit.check(found, kept)
            return kept

        self._columns[name] = read if checked else plain
        return self._columns[name]

    async def read(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Parse the values of one row, by the datatype of each column.

        Raises:
            ApiError: naming the column that may not be written or cannot be read.
            Unprocessable: naming a column with a value too long or too large.
        """
        found = self._values(body)
        return found if PASSWORDS.isdisjoint(found) else await _hashed(found)

    def _values(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Parse all but passwords, which stay as they were written."""
        if not body:
            raise ApiError("The body names no column.")
        known = self._columns
        found: dict[str, Any] = {}
        for name, raw in body.items():
            read = known.get(name) or self._read(name)
            found[name] = raw if raw is None or name in PASSWORDS else read(raw)
        return found

    async def rows(
        self, bodies: Sequence[Mapping[str, Any]], *, many: bool
    ) -> list[dict[str, Any]]:
        """Parse the values of every row; of `many` an error names the row.

        Raises:
            ApiError: as `read`.
        """
        found: list[dict[str, Any]] = []
        try:
            for body in bodies:
                row = self._values(body)
                if not PASSWORDS.isdisjoint(row):
                    row = await _hashed(row)
                found.append(row)
                if not len(found) % ROWS_AT_ONCE:
                    await asyncio.sleep(0)
        except ApiError as error:
            raise (placed(error, len(found)) if many else error) from None
        return found


def _normalizer(name: str, plain: Parse) -> Parse:
    """Return the parser of a username or address, into its normal form."""
    from atom.account.name import validate

    return lambda raw: validate(name, plain(raw))


async def _hashed(row: dict[str, Any]) -> dict[str, Any]:
    """Hash the passwords of a row; none reaches a statement as it was written."""
    for name in PASSWORDS & row.keys():
        if row[name] is not None:
            row[name] = await _hash(name, row[name])
    return row


async def _hash(name: str, raw: Any) -> str:
    from atom.account.password import hash_password

    text = raw
    if name == "password_bigint":
        text = str(value.from_json(LiveColumn(name, "bigint"), raw))
    if not isinstance(text, str) or not text.strip():
        raise ApiError(
            f"Column '{name}' takes a password that is not empty.",
            code="value.unreadable",
        )
    return await hash_password(text)


def managed(name: str) -> ApiError:
    """Return the error for a column that only the server writes."""
    return ApiError(f"Column '{name}' may not be written.", code="row.managed_column")


def computed(name: str) -> ApiError:
    """Return the error for a generated column."""
    return ApiError(
        f"Column '{name}' is computed and may not be written.",
        code="row.managed_column",
    )


def is_given(table: Table) -> bool:
    """Whether callers may send the key of a row they create.

    Not one that PostgreSQL counts: it would come to the same number later.
    """
    found = table.columns[table.key]
    if found.generated or found.identity:
        return False
    return found.default is None or not _is_whole(found)


def _is_whole(column: LiveColumn) -> bool:
    return column.kind.family == "integer"


def _key(table: Table) -> LiveColumn:
    found = table.columns[table.key]
    return LiveColumn(found.name, WHOLE if _is_whole(found) else found.datatype)


def identity(table: Table, raw: Any) -> Any:
    """Parse the key of a row.

    Raises:
        ApiError: naming the parameter.
    """
    if raw is None:
        raise ApiError(f"'{table.key}' is mandatory.")
    return value.from_json(_key(table), raw)


def from_path(table: Table, text: str) -> int | str:
    """Parse the key of a row in a path, into what JSON has for it.

    Raises:
        ApiError: naming the key and what it takes.
    """
    found = value.from_text(_key(table), text)
    return found if isinstance(found, int) else str(found)


def identities(table: Table, raw: Any, most: int) -> list[Any]:
    """Parse keys: a list, or text with commas between them; at most so many.

    Raises:
        ApiError: when one of them cannot be a key, or there is none, or too many.
    """
    column = _key(table)
    kind = column.kind
    example = '"1,2,3" or [1,2,3]' if kind.family == "integer" else '"a,b" or ["a","b"]'
    takes = {"integer": "whole numbers", "uuid": "UUIDs"}.get(kind.family, "texts")
    wrong = ApiError(f"'ids' takes {takes}: {example}.", code="value.unreadable")
    parts = [part.strip() for part in raw.split(",")] if isinstance(raw, str) else raw
    if not isinstance(parts, list) or not parts:
        raise wrong
    if len(parts) > most:
        raise too_many(len(parts), most)
    sent = int if kind.family == "integer" else str
    if isinstance(raw, list) and any(type(part) is not sent for part in parts):
        raise wrong
    try:
        return [value.from_json(column, part) for part in parts]
    except ApiError:
        raise wrong from None


def parse_body(raw: bytes) -> Any:
    """Parse the JSON of a body; a number that a double does not keep is a Decimal.

    Raises:
        ApiError: when it is none.
    """
    try:
        return exact.read(raw)
    except ValueError as error:
        if "surrogate" in str(error):
            raise ApiError(
                "The body holds half of a surrogate pair, which is not a character.",
                hint="Write both halves, such as \\ud83d\\ude00, or the character.",
            ) from None
        raise ApiError(
            "The body is not JSON." if raw else "The body is empty.",
            hint='For example {"title": "x"}.',
        ) from None


def most(scope: RowScope, row_set: RowSet) -> int:
    """Return how many rows one request may write."""
    limit, own = scope.rules.write_max, row_set.rule.most
    return limit if own is None else min(limit, own)


def too_many(count: int, most: int) -> ApiError:
    """Return the error for a request that would write too many rows."""
    return ApiError(
        f"One request writes at most {most} rows; this one means {count} or more.",
        code="row.too_many",
        hint="Do it in parts, or raise config_write_rows_max or `most` of the rule.",
    )


def rows(body: Any, most: int) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the rows of a body, and whether it was a list.

    Raises:
        ApiError: when it is neither an object nor a list of objects, or too long.
    """
    many = isinstance(body, list)
    listed = body if many else [body]
    if not listed:
        raise ApiError("The body is an empty list.")
    if len(listed) > most:
        raise too_many(len(listed), most)
    for number, row in enumerate(listed):
        if type(row) is not dict and not isinstance(row, Mapping):
            where = f" Row {number} is not an object." if many else ""
            raise ApiError(f"The body takes an object or a list of objects.{where}")
    return listed, many


def placed(
    error: ApiError, number: int, what: str = "Row", name: Any = None
) -> ApiError:
    """Put the number of a row, or entry, of a list before the message of its error.

    A row that callers do not know by its number has a name.
    """
    error.position = number
    error.prefix = f"{what} {number if name is None else shown(str(name))}: "
    error.message = error.prefix + error.message
    error.args = (shown(error.message),)
    return error


def unplaced(error: ApiError) -> int | None:
    """Take the number of a row off the message of its error. Return it, if any."""
    number, error.position = error.position, None
    if number is not None:
        error.message = error.message.removeprefix(error.prefix)
        error.args = (shown(error.message),)
    return number
