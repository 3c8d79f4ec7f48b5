"""What stands in a body, read for the columns it is meant for."""

from collections.abc import Mapping
from typing import Any

import orjson

from atom.errors import ApiError
from atom.feature.reach import Reach
from atom.sql import value
from atom.sql.catalog import LiveColumn, Table, shown, unknown_column

PASSWORDS = frozenset({"password", "password_bigint"})
IDS_MAX = 10_000
ID = LiveColumn("id", "bigint")


def column(reach: Reach, table: Table, name: str, *, create: bool) -> LiveColumn:
    """Return a column this caller may write.

    Raises:
        ApiError: `row.managed_column`, `sql.unknown_column`, or a generated column.
    """
    reach.require_writable(table.name, name, create=create)
    found = table.columns.get(name)
    if found is None:
        hidden = reach.rules.secret
        known = (n for n in table.columns if n.casefold() not in hidden)
        raise unknown_column(table.name, name, known)
    if found.generated:
        raise ApiError(
            f"Column '{name}' is computed and may not be written.",
            code="row.managed_column",
        )
    return found


async def read(
    reach: Reach, table: Table, body: Mapping[str, Any], *, create: bool
) -> dict[str, Any]:
    """Read the values of one row, by the datatype of each column.

    Raises:
        ApiError: naming the column that may not be written or cannot be read.
    """
    columns = {name: column(reach, table, name, create=create) for name in body}
    if not columns:
        raise ApiError("The body names no column.")
    read = {}
    for name, raw in body.items():
        if name in PASSWORDS and raw is not None:
            read[name] = await _hashed(name, raw)
        else:
            read[name] = value.from_json(columns[name], raw)
    return read


async def _hashed(name: str, raw: Any) -> str:
    """Hash a password; it never reaches a statement as it was written."""
    from atom.feature.password import hash_password

    text = raw
    if name == "password_bigint":
        text = str(value.from_json(LiveColumn(name, "bigint"), raw))
    if not isinstance(text, str) or not text.strip():
        raise ApiError(
            f"Column '{name}' takes a password that is not empty.",
            code="value.unreadable",
        )
    return await hash_password(text)


def identity(raw: Any, name: str = "id") -> int:
    """Read an id.

    Raises:
        ApiError: naming the parameter.
    """
    if raw is None:
        raise ApiError(f"'{name}' is mandatory.")
    found: int = value.from_json(LiveColumn(name, ID.datatype), raw)
    return found


def identities(raw: Any) -> list[int]:
    """Read ids: `1,2,3` or a list of whole numbers.

    Raises:
        ApiError: when one of them is anything else, or there is none, or too many.
    """
    wrong = ApiError(
        "'ids' takes whole numbers: \"1,2,3\" or [1,2,3].", code="value.unreadable"
    )
    parts = [part.strip() for part in raw.split(",")] if isinstance(raw, str) else raw
    if not isinstance(parts, list) or not parts:
        raise wrong
    if len(parts) > IDS_MAX:
        raise ApiError(f"'ids' takes at most {IDS_MAX} ids.")
    if isinstance(raw, list) and any(type(part) is not int for part in parts):
        raise wrong
    try:
        return [value.from_json(ID, part) for part in parts]
    except ApiError:
        raise wrong from None


def parsed(raw: bytes) -> Any:
    """Read the JSON of a body.

    Raises:
        ApiError: when it is none.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ApiError(
            "The body is not JSON." if raw else "The body is empty.",
            hint='For example {"title": "x"}.',
        ) from None


def rows(body: Any) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the rows of a body, and whether it was a list.

    Raises:
        ApiError: when it is neither an object nor a list of objects.
    """
    many = isinstance(body, list)
    listed = body if many else [body]
    if not listed:
        raise ApiError("The body is an empty list.")
    for number, row in enumerate(listed):
        if not isinstance(row, Mapping):
            where = f" Row {number} is not an object." if many else ""
            raise ApiError(f"The body takes an object or a list of objects.{where}")
    return listed, many


def placed(error: ApiError, number: int) -> ApiError:
    """Say which row of a list an error is about."""
    error.message = f"Row {number}: {error.message}"
    error.args = (shown(error.message),)
    return error
