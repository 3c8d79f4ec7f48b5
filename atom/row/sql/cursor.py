"""Paging: the cursor that marks the end of a page, and the rows that come after it."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from hashlib import blake2b

import orjson

from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn, Table
from atom.postgres.identifier import quote
from atom.row.sql.statement import Order

CHECK_BYTES = 6
MAX_CHARACTERS = 8192


def encode(order: str, keys: str) -> str:
    """Build a cursor: the order it belongs to, and the last row's keys as JSON.

    The keys are the caller's own reading, so the check guards against accidents and
    not against anybody: a cursor made up by hand finds nothing new.
    """
    body = orjson.dumps(order) + b"," + keys.encode()
    check = blake2b(body, digest_size=CHECK_BYTES).digest()
    return urlsafe_b64encode(check + body).rstrip(b"=").decode()


def decode(cursor: str, order: str) -> tuple[str | None, ...]:
    """Parse a cursor made for the same order.

    Raises:
        ApiError: `filter.unreadable` when it was changed, or made for another order.

    >>> decode(encode("test:id desc", '["7"]'), "test:id desc")
    ('7',)
    """
    try:
        if len(cursor) > MAX_CHARACTERS:
            raise ValueError("too long")
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        whole = urlsafe_b64decode(padded)
        check, body = whole[:CHECK_BYTES], whole[CHECK_BYTES:]
        if blake2b(body, digest_size=CHECK_BYTES).digest() != check:
            raise ValueError("changed")
        # Spare bits of the last character must not make a second spelling.
        if urlsafe_b64encode(whole).rstrip(b"=") != cursor.encode("ascii"):
            raise ValueError("changed")
        made_for, keys = orjson.loads(b"[" + body + b"]")
        if not all(key is None or isinstance(key, str) for key in keys):
            raise ValueError("not keys")
    except (ValueError, TypeError, binascii.Error):
        raise ApiError(
            "'cursor' cannot be read.",
            code="filter.unreadable",
            hint="Send next_cursor as it was answered, or nothing for the first page.",
        ) from None
    if made_for != order:
        raise ApiError(
            "'cursor' was made by a read with another table or order.",
            code="filter.unreadable",
            hint="Keep 'table' and 'order' the same while paging.",
        )
    return tuple(keys)


def suits(keys: tuple[str | None, ...], order: tuple[Order, ...], view: Table) -> bool:
    """Whether a row of the table could have these keys."""
    return len(keys) == len(order) and not any(
        key is None and view.columns[by.column].not_null
        for key, by in zip(keys, order, strict=True)
    )


def after(
    view: Table, order: tuple[Order, ...], nulls: tuple[bool, ...], taken: Iterator[str]
) -> str:
    """Build the condition that a row comes after the last row of the page before."""
    columns = [view.columns[by.column] for by in order]
    keys = [
        "null" if null else _key(column, next(taken))
        for column, null in zip(columns, nulls, strict=True)
    ]
    ways = {by.descending for by in order}
    if len(ways) == 1 and all(column.not_null for column in columns):
        left = ", ".join(f"t.{quote(column.name)}" for column in columns)
        return f"({left}) {'<' if ways == {True} else '>'} ({', '.join(keys)})"
    written = ""
    for by, column, key, null in reversed(
        list(zip(order, columns, keys, nulls, strict=True))
    ):
        strictly = _beyond(by, column, key, null=null)
        equal = _is_null(column) if null else f"t.{quote(column.name)} = {key}"
        written = f"({strictly} or ({equal} and {written}))" if written else strictly
    return f"({written})"


def _key(column: LiveColumn, mark: str) -> str:
    kind = column.kind
    if kind.family == "text" and kind.name != "citext":
        return f"{mark}::text"
    return f"{mark}::text::{kind.bare}"


def _beyond(by: Order, column: LiveColumn, key: str, *, null: bool) -> str:
    """Build the condition that a column sorts after a key, nulls in their place."""
    name = f"t.{quote(column.name)}"
    nulls_first = by.descending if by.nulls_first is None else by.nulls_first
    if null:
        return f"not {_is_null(column)}" if nulls_first else "false"
    strictly = f"{name} {'<' if by.descending else '>'} {key}"
    if nulls_first or column.not_null:
        return strictly
    return f"({strictly} or {_is_null(column)})"


def _is_null(column: LiveColumn) -> str:
    """Build the condition that a column is null; a row of nulls is not."""
    name = f"t.{quote(column.name)}"
    return f"({name} {'is not distinct from' if column.composite else 'is'} null)"
