"""A caller's text or JSON, parsed into a Python value by the datatype of its column.

`from_json` takes a value of a JSON body, `from_text` one of a query string, a form or
a CSV file. Both refuse what the column cannot hold, and never guess.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from math import isfinite
from typing import Any
from uuid import UUID

from atom.datatype import exact, geography
from atom.datatype.datatype import FLOATS, INTEGERS, LEAST, Datatype, datatype
from atom.datatype.takes import HINTS, TAKES, WRITTEN
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn

WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
# As PostgreSQL reads them; Python takes 1_000 and the digits of every script.
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
UUIDS = re.compile(r"(?:urn:uuid:)?\{?[-0-9a-fA-F]+\}?")
# An escaped NUL, and not the text of a backslash before u0000.
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
# In a query string the + of an offset arrives as a space.
LOST_PLUS = re.compile(r"(.*[T ]\d\d:\d\d.*) (\d\d(?::?\d\d)?)")


def _integer(kind: Datatype, raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise ValueError("not a whole number")
    if isinstance(raw, str) and not WHOLE.fullmatch(raw):
        raise ValueError("not a whole number")
    number, bound = int(raw), INTEGERS[kind.name]
    if not -bound <= number < bound:
        raise ValueError("out of range")
    return number


def _number(kind: Datatype, raw: Any) -> Decimal:
    if isinstance(raw, str):
        if len(raw) > exact.DIGITS_MAX or not NUMBER.fullmatch(raw):
            raise ValueError("not a number")
        number = Decimal(raw)
        if abs(number.adjusted()) > exact.DIGITS_MAX:
            raise ValueError("out of range")
        return number
    if isinstance(raw, bool) or not isinstance(raw, (int, float, Decimal)):
        raise ValueError("not a number")
    number = raw if isinstance(raw, Decimal) else Decimal(str(raw))
    if type(raw) is float and isfinite(raw):
        return number
    if not exact.fits(number):
        raise ValueError("out of range")
    return number


def _float(kind: Datatype, raw: Any) -> float:
    given = raw if type(raw) is float else _number(kind, raw)
    number = float(given)
    if not isfinite(number) or abs(number) > FLOATS[kind.name]:
        raise ValueError("out of range")
    if abs(number) < LEAST[kind.name] and given:
        raise ValueError("nothing would be left of it")
    return number


def _text(kind: Datatype, raw: Any) -> str:
    if not isinstance(raw, str) or "\0" in raw:
        raise ValueError("not text")
    raw.encode()  # half of a surrogate pair is not a character
    return raw


def _boolean(kind: Datatype, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if not isinstance(raw, str) or raw not in {"true", "false"}:
        raise ValueError("not true or false")
    return raw == "true"


def _moment(kind: Datatype, raw: Any) -> str:
    """Read a moment. It travels as text: the driver writes the last one as infinity."""
    if not isinstance(raw, str):
        raise ValueError("not a time")
    lost = LOST_PLUS.fullmatch(raw)
    moment = datetime.fromisoformat(f"{lost[1]}+{lost[2]}" if lost else raw)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elif moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    if kind.name == "timestamp with time zone":
        return moment.isoformat()
    return moment.replace(tzinfo=None).isoformat()


def _date(kind: Datatype, raw: Any) -> str:
    """Read a day. It travels as text: the driver writes 9999-12-31 as infinity."""
    if not isinstance(raw, str):
        raise ValueError("not a date")
    return date.fromisoformat(raw).isoformat()


def _time(kind: Datatype, raw: Any) -> time:
    if not isinstance(raw, str):
        raise ValueError("not a time")
    read = time.fromisoformat(raw)
    if kind.name == "time without time zone":
        return read.replace(tzinfo=None)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _uuid(kind: Datatype, raw: Any) -> UUID:
    if not isinstance(raw, str) or not UUIDS.fullmatch(raw):
        raise ValueError("not a UUID")
    return UUID(raw)


def _json(kind: Datatype, raw: Any) -> str:
    written = exact.write(raw)
    if "\\u0000" in written and NUL.search(written):
        raise ValueError("PostgreSQL keeps no NUL")
    return written


def _place(kind: Datatype, raw: Any) -> str:
    return geography.written(kind.family, geography.read(raw))


def _other(kind: Datatype, raw: Any) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if not isinstance(raw, int | float | str | Decimal):
        raise ValueError("not text")
    return _text(kind, str(raw))


READERS: dict[str, Callable[[Datatype, Any], Any]] = {
    "integer": _integer,
    "number": _number,
    "float": _float,
    "text": _text,
    "boolean": _boolean,
    "moment": _moment,
    "date": _date,
    "time": _time,
    "uuid": _uuid,
    "json": _json,
    "point": _place,
    "geography": _place,
    "other": _other,
}
UNREADABLE = (ValueError, InvalidOperation, OverflowError, TypeError, RecursionError)


def _parse(kind: Datatype, text: str) -> Any:
    """Take the text of a json column, or of a GeoJSON point, for the JSON it is."""
    if kind.family == "json" or (
        kind.family in {"point", "geography"} and text.lstrip().startswith("{")
    ):
        return exact.read(text.encode())
    return text


def _one(kind: Datatype, raw: Any, *, text: bool) -> Any:
    return READERS[kind.family](kind, _parse(kind, raw) if text else raw)


def _list(kind: Datatype, raw: Any, *, text: bool) -> list[Any]:
    element = kind.element
    if element is None:
        raise ValueError("not an array")
    if isinstance(raw, str):
        raw, text = (raw.split(",") if raw else []), True
    if not isinstance(raw, list) or element.family == "bytes":
        raise ValueError("not a list")
    return [None if v is None else _one(element, v, text=text) for v in raw]


def expected(kind: Datatype) -> str:
    """Return what a datatype takes, in words.

    >>> expected(datatype("smallint"))
    'a whole number from -32768 to 32767'
    """
    if kind.element is not None:
        return f"a list, each item {expected(kind.element)}"
    if kind.family == "integer":
        bound = INTEGERS[kind.name]
        return f"a whole number from {-bound} to {bound - 1}"
    if kind.family == "other":
        return WRITTEN.get(kind.name, f"text that reads as {kind.name}")
    return TAKES[kind.family]


def unreadable(column: str, kind: Datatype) -> ApiError:
    """Return the error for a value that does not fit its column."""
    return ApiError(
        f"Column '{column}' takes {expected(kind)}.",
        code="value.unreadable",
        hint=HINTS.get((kind.element or kind).family, ""),
    )


def _read(column: LiveColumn, raw: Any, *, text: bool) -> Any:
    kind = datatype(column.datatype)
    if kind.family == "bytes":
        raise ApiError(
            f"Column '{column.name}' holds bytes, which cannot be sent this way.",
            code="value.unreadable",
        )
    try:
        if kind.element is not None:
            return _list(kind, raw, text=text)
        return _one(kind, raw, text=text)
    except UNREADABLE:
        raise unreadable(column.name, kind) from None


def from_json(column: LiveColumn, raw: Any) -> Any:
    """Read a JSON value for a column; null is SQL's NULL.

    Raises:
        ApiError: `value.unreadable`, naming the column and what it takes.
    """
    return None if raw is None else _read(column, raw, text=False)


def reader(column: LiveColumn) -> Callable[[Any], Any]:
    """Return what `from_json` does for one column, found out once for many values."""
    kind = datatype(column.datatype)
    if kind.element is not None or kind.family == "bytes":
        return lambda raw: from_json(column, raw)
    read = READERS[kind.family]

    def one(raw: Any) -> Any:
        if raw is None:
            return None
        try:
            return read(kind, raw)
        except UNREADABLE:
            raise unreadable(column.name, kind) from None

    return one


def from_text(column: LiveColumn, raw: str) -> Any:
    """Read text for a column; the empty text is a text, never NULL.

    Raises:
        ApiError: `value.unreadable`, naming the column and what it takes.
    """
    return _read(column, raw, text=True)


@lru_cache(1024)
def element(column: LiveColumn) -> LiveColumn:
    """Return an array column as if it held one item."""
    return LiveColumn(column.name, column.datatype.removesuffix("[]"))


def literal(items: list[Any] | None) -> str | None:
    """Write a list as PostgreSQL's array literal, for lists of lists.

    >>> literal(["a,b", None, 'an "x"'])
    '{"a,b",NULL,"an \\\\"x\\\\""}'
    """
    if items is None:
        return None
    words = []
    for item in items:
        if item is None:
            words.append("NULL")
            continue
        word = str(item).replace("\\", "\\\\").replace('"', '\\"')
        words.append(f'"{word}"')
    return "{" + ",".join(words) + "}"
