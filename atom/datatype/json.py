"""JSON values."""

import json
import re
from typing import Any

from atom.datatype import exact
from atom.datatype.family import EQUAL, Family

# An escaped NUL, and not the text of a backslash before u0000.
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def parse(datatype: str, raw: Any) -> str:
    """Return a JSON value as text."""
    written = exact.write(raw)
    if "\\u0000" in written and NUL.search(written):
        raise ValueError("PostgreSQL keeps no NUL")
    return written


def constant(datatype: str, value: Any) -> str | None:
    """Write a declared value; a text is JSON already."""
    text = value
    if isinstance(value, str):
        json.loads(value)
    else:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text if "\\u0000" not in text else None


def shown(datatype: str, text: str) -> str:
    """Return a value as text in which equal ones are the same."""
    return json.dumps(json.loads(text, parse_float=_tidy), sort_keys=True)


def _tidy(text: str) -> int | float:
    """Read 1.0 and 1e2 as PostgreSQL's jsonb shows them: as whole numbers."""
    number = float(text)
    return int(number) if number.is_integer() else number


JSON = Family(
    "json",
    ("jsonb", "json"),
    opaque=frozenset({"json"}),
    takes=lambda _: "a JSON value",
    parse=parse,
    hint="It holds no NUL character, no number of more than 400 digits, and is at most"
    " 254 levels deep.",
    traits=EQUAL | {"json", "is"},
    sends_text=True,
    text_is_json=lambda _: True,
    declared={"jsonb": "btree hash gin", "json": ""},
    constant=constant,
    shown=shown,
    example={"a": 1},
)
