"""JSON values."""

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


JSON = Family(
    "json",
    ("jsonb", "json"),
    takes=lambda _: "a JSON value",
    parse=parse,
    hint="It holds no NUL character, no number of more than 400 digits, and is at most"
    " 254 levels deep.",
    traits=EQUAL | {"json", "is"},
    sends_text=True,
    text_is_json=lambda _: True,
    declared={"jsonb": "btree hash gin", "json": ""},
    example={"a": 1},
)
