"""A caller's value, parsed for the datatype of its column.

`from_json` takes a value of a JSON body, `from_text` one of a query string, a form or
a CSV file. Both refuse what the column cannot hold, and never guess.
"""

from collections.abc import Callable
from decimal import InvalidOperation
from functools import lru_cache
from typing import Any

from atom.datatype import exact
from atom.datatype.datatype import Datatype
from atom.datatype.families import BY_NAME, FAMILIES
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn

PARSERS = {each.name: each.parse for each in FAMILIES if each.parse is not None}
DIMENSIONS_MAX = 6  # of PostgreSQL's arrays
UNREADABLE = (ValueError, InvalidOperation, OverflowError, TypeError, RecursionError)


def _one(kind: Datatype, raw: Any, *, text: bool) -> Any:
    is_json = BY_NAME[kind.family].text_is_json if text else None
    if is_json is not None and is_json(raw):
        raw = exact.read(raw.encode())
    return PARSERS[kind.family](kind.name, raw)


def _list(kind: Datatype, raw: Any, *, text: bool) -> list[Any]:
    element = kind.element
    if element is None:
        raise ValueError("not an array")
    if isinstance(raw, str):
        listed = json_list(raw)
        if listed is None:
            raw, text = (raw.split(",") if raw else []), True
        else:
            raw, text = listed, False
    if not isinstance(raw, list):
        raise ValueError("not a list")
    # A list within a list of JSON values is one of them.
    if element.family != "json" and any(isinstance(item, list) for item in raw):
        shape = _shape(raw)
        return [] if 0 in shape else _lists(element, raw)
    return [None if v is None else _one(element, v, text=text) for v in raw]


def _lists(element: Datatype, raw: list[Any]) -> list[Any]:
    return [
        _lists(element, item)
        if isinstance(item, list)
        else (None if item is None else _one(element, item, text=False))
        for item in raw
    ]


def _shape(raw: Any) -> tuple[int, ...]:
    """Return the length of a list and of the lists in it, which must be the same."""
    if not isinstance(raw, list):
        return ()
    shapes = {_shape(item) for item in raw}
    if len(shapes) > 1:
        raise ValueError("lists of different lengths")
    shape = (len(raw), *(shapes.pop() if shapes else ()))
    if len(shape) > DIMENSIONS_MAX:
        raise ValueError("too deep")
    return shape


def json_list(text: str) -> list[Any] | None:
    """Return a JSON list, or None for a text that only begins like one."""
    if not text.lstrip().startswith("["):
        return None
    try:
        items = exact.read(text.encode())
    except ValueError:
        return None
    return items if isinstance(items, list) else None


def expected(kind: Datatype) -> str:
    """Return what a datatype takes, in words.

    >>> from atom.datatype.datatype import datatype
    >>> expected(datatype("smallint"))
    'a whole number from -32768 to 32767'
    """
    if kind.element is not None:
        return f"a list, each item {expected(kind.element)}"
    return BY_NAME[kind.family].takes(kind.name)


def unreadable(column: str, kind: Datatype) -> ApiError:
    """Return the error for a value that does not fit its column."""
    return ApiError(
        f"Column '{column}' takes {expected(kind)}.",
        code="value.unreadable",
        hint=BY_NAME[(kind.element or kind).family].hint,
    )


def _read(column: LiveColumn, raw: Any, *, text: bool) -> Any:
    kind = column.kind
    try:
        if kind.element is not None:
            return _list(kind, raw, text=text)
        return _one(kind, raw, text=text)
    except UNREADABLE:
        raise unreadable(column.name, kind) from None


def from_json(column: LiveColumn, raw: Any) -> Any:
    """Parse a JSON value for a column; null is SQL's NULL.

    Raises:
        ApiError: `value.unreadable`, naming the column and what it takes.
    """
    return None if raw is None else _read(column, raw, text=False)


def reader(column: LiveColumn) -> Callable[[Any], Any]:
    """Return `from_json` for one column, prepared once for many values."""
    kind = column.kind
    if kind.element is not None:
        return lambda raw: from_json(column, raw)
    parse, name = PARSERS[kind.family], kind.name

    def one(raw: Any) -> Any:
        if raw is None:
            return None
        try:
            return parse(name, raw)
        except UNREADABLE:
            raise unreadable(column.name, kind) from None

    return one


def from_text(column: LiveColumn, raw: str) -> Any:
    """Parse text for a column; the empty text is a text, never NULL.

    Raises:
        ApiError: `value.unreadable`, naming the column and what it takes.
    """
    return _read(column, raw, text=True)


@lru_cache(1024)
def element(column: LiveColumn) -> LiveColumn:
    """Return an array column as if it held one item."""
    return LiveColumn(column.name, column.datatype.removesuffix("[]"))


def literal(items: list[Any] | None) -> str | None:
    """Return a list as PostgreSQL's array literal, for lists of lists.

    >>> literal(["a,b", None, 'an "x"'])
    '{"a,b",NULL,"an \\\\"x\\\\""}'
    """
    return None if items is None else "{" + ",".join(map(_word, items)) + "}"


def _word(item: Any) -> str:
    if item is None:
        return "NULL"
    if isinstance(item, list):
        return "{" + ",".join(map(_word, item)) + "}"
    if isinstance(item, bytes):
        item = f"\\x{item.hex()}"
    word = str(item).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{word}"'
