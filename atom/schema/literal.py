"""Values of a declaration as SQL, and whether PostgreSQL shows the same value.

Only what can be compared with the catalog is written: a default that PostgreSQL spells
in a way that is not understood here would be set again by every plan.
"""

import json
import math
import re
import struct
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from atom.datatype.datatype import Datatype
from atom.datatype.datatype import datatype as known
from atom.datatype.declared import element
from atom.datatype.number import INTEGERS

# Functions that may be a default, and the families they fill.
FUNCTIONS = {
    "now()": ("moment", "date"),
    "clock_timestamp()": ("moment",),
    "current_date": ("date", "moment"),
    "gen_random_uuid()": ("uuid",),
    "uuidv7()": ("uuid",),  # PostgreSQL 18
}
# A column added with one of these is written for every row that exists.
VOLATILE = frozenset({"clock_timestamp()", "gen_random_uuid()", "uuidv7()"})
NULL = "null"

CAST = r"\)*(?:::[\w\s\".]+(?:\([\d, ]*\))?[\w\s]*(?:\[\])?\)*)*"
QUOTED = re.compile(r"\(*'(?P<text>(?:[^']|'')*)'" + CAST)
NUMBER = re.compile(r"\(*(?P<text>-?[\d.]+(?:[eE][+-]?\d+)?)" + CAST)
WORD = re.compile(r"\(*(?P<text>true|false|\w+\(\)|current_date)" + CAST, re.IGNORECASE)
ELEMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,{}"]+)')


def quoted(text: str) -> str:
    """Quote a text; `standard_conforming_strings` is on wherever this runs.

    >>> quoted("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def literal(value: Any, datatype: str) -> str:
    """Write a value as a constant of a canonical datatype.

    Raises:
        ValueError: when the datatype does not hold it.

    >>> print(literal(7, "smallint"), literal(["a", None], "text[]"))
    '7'::smallint '{"a",NULL}'::text[]
    """
    kind = known(datatype)
    if kind.element is not None:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{value!r} is not a list")
        inside = ",".join(_element(one, kind.element, datatype) for one in value)
        return f"{quoted('{' + inside + '}')}::{datatype}"
    return f"{quoted(_text(value, kind, datatype))}::{datatype}"


def default(value: Any, datatype: str) -> str:
    """Write a default: a constant, one of FUNCTIONS, or null for none at all.

    Raises:
        ValueError: when the datatype does not hold it.
    """
    if value is None:
        return NULL
    family = known(datatype).family
    called = " ".join(value.lower().split()) if isinstance(value, str) else ""
    if family in FUNCTIONS.get(called, ()):
        return called
    return literal(value, datatype)


def _element(value: Any, kind: Datatype, datatype: str) -> str:
    if value is None:
        return "NULL"
    text = _text(value, kind, element(datatype))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(value: Any, kind: Datatype, datatype: str) -> str:
    write = WRITE.get(kind.family)
    if write is None:
        raise ValueError(f"a value of {datatype} is not declared here: use a query")
    try:
        text = write(value, kind)
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        text = None
    if text is None or "\0" in text or not _unicode(text):
        able = [name for name, fills in FUNCTIONS.items() if kind.family in fills]
        hint = f"; or use {', '.join(able)}" if able else ""
        raise ValueError(f"{value!r} is not a value of {datatype}{hint}")
    return text


def _unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _integer(value: Any, kind: Datatype) -> str | None:
    edge = INTEGERS[kind.name]
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole and -edge <= value < edge else None


def _float(value: Any, kind: Datatype) -> str | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return repr(float(value)) if plain and math.isfinite(value) else None


def _number(value: Any, kind: Datatype) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    number = Decimal(str(value))
    return f"{number:f}" if number.is_finite() else None


def _boolean(value: Any, kind: Datatype) -> str | None:
    return str(bool(value)).lower() if value in (0, 1) else None


def _date(value: Any, kind: Datatype) -> str:
    return (value if isinstance(value, date) else date.fromisoformat(value)).isoformat()


def _moment(value: Any, kind: Datatype) -> str | None:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    placed = moment.tzinfo is not None
    return moment.isoformat(" ") if placed == ("with time" in kind.name) else None


def _json(value: Any, kind: Datatype) -> str | None:
    """Write JSON; a text is JSON already."""
    if isinstance(value, str):
        json.loads(value)
        return value if "\\u0000" not in value else None
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text if "\\u0000" not in text else None


WRITE: dict[str, Callable[[Any, Datatype], str | None]] = {
    "integer": _integer,
    "float": _float,
    "number": _number,
    "text": lambda value, kind: value if isinstance(value, str) else None,
    "boolean": _boolean,
    "date": _date,
    "moment": _moment,
    "uuid": lambda value, kind: str(UUID(str(value))),
    "json": _json,
}


def same(wanted: str, found: str | None, datatype: str) -> bool:
    """Whether what the catalog shows is the default that is wanted.

    >>> same("'1.50'::numeric", "1.5", "numeric"), same("now()", "now()", "date")
    (True, True)
    """
    if found is None or wanted == NULL:
        return found is None and wanted == NULL
    if wanted in FUNCTIONS:
        shown = WORD.fullmatch(found)
        return shown is not None and shown["text"].lower() == wanted
    mine, its = _read(wanted, datatype), _read(found, datatype)
    return mine is not None and mine == its


def _read(shown: str, datatype: str) -> Any:
    """Return the value of a constant as something that can be compared, or None."""
    found = QUOTED.fullmatch(shown)
    text = found["text"].replace("''", "'") if found is not None else None
    for form in (NUMBER, WORD) if text is None else ():
        if (plain := form.fullmatch(shown)) is not None:
            text = plain["text"].lower()
    if text is None:
        return None
    kind = known(datatype)
    try:
        if kind.element is None:
            return _value(text, kind)
        inside = text.strip()[1:-1]
        return [
            _value(re.sub(r"\\(.)", r"\1", within), kind.element)
            if within or not bare
            else None
            if bare == "NULL"
            else _value(bare, kind.element)
            for within, bare in ELEMENT.findall(inside)
        ]
    except (ValueError, InvalidOperation, OverflowError):
        return None


def _value(text: str, kind: Datatype) -> Any:
    if kind.family == "float":
        number = float(text)
        return struct.pack("f", number) if kind.name == "real" else number
    if kind.family in {"integer", "number"}:
        return Decimal(text)
    if kind.family == "boolean":
        return text in {"t", "true"}
    if kind.family == "date":
        return date.fromisoformat(text)
    if kind.family == "moment":
        return datetime.fromisoformat(text)
    if kind.family == "uuid":
        return UUID(text)
    if kind.family == "json":
        return json.dumps(json.loads(text, parse_float=_tidy), sort_keys=True)
    return text.rstrip() if kind.name == "character" else text


def _tidy(text: str) -> int | float:
    """Read 1.0 and 1e2 as PostgreSQL's jsonb shows them: as whole numbers."""
    number = float(text)
    return int(number) if number.is_integer() else number
