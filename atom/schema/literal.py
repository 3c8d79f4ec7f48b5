"""Values of a declaration as SQL, and whether PostgreSQL shows the same value.

Only what can be compared with the catalog is written: a default that PostgreSQL spells
in a way that is not understood here would be set again by every plan.
"""

import re
from decimal import InvalidOperation
from typing import Any

from atom.datatype.datatype import Datatype
from atom.datatype.datatype import datatype as known
from atom.datatype.declared import element
from atom.datatype.families import BY_NAME, FUNCTIONS

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
    """Write a default: a constant, a function of its family, or null for none at all.

    Raises:
        ValueError: when the datatype does not hold it.
    """
    if value is None:
        return NULL
    called = " ".join(value.lower().split()) if isinstance(value, str) else ""
    if called in BY_NAME[known(datatype).family].functions:
        return called
    return literal(value, datatype)


def _element(value: Any, kind: Datatype, datatype: str) -> str:
    if value is None:
        return "NULL"
    text = _text(value, kind, element(datatype))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(value: Any, kind: Datatype, datatype: str) -> str:
    family = BY_NAME[kind.family]
    if family.constant is None:
        raise ValueError(f"a value of {datatype} is not declared here: use a query")
    try:
        text = family.constant(kind.name, value)
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        text = None
    if text is None or "\0" in text or not _unicode(text):
        able = ", ".join(family.functions)
        hint = f"; or use {able}" if able else ""
        raise ValueError(f"{value!r} is not a value of {datatype}{hint}")
    return text


def _unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


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
            return _shown(text, kind)
        inside = text.strip()[1:-1]
        return [
            _shown(re.sub(r"\\(.)", r"\1", within), kind.element)
            if within or not bare
            else None
            if bare == "NULL"
            else _shown(bare, kind.element)
            for within, bare in ELEMENT.findall(inside)
        ]
    except (ValueError, InvalidOperation, OverflowError):
        return None


def _shown(text: str, kind: Datatype) -> Any:
    return BY_NAME[kind.family].shown(kind.name, text)
