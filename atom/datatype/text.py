"""Text, with and without a length."""

import re
from typing import Any

from atom.datatype.family import ORDERED, Family, Limit

SIZED = re.compile(r"character(?: varying)?\((\d+)\)")


def parse(datatype: str, raw: Any) -> str:
    """Parse a text."""
    if not isinstance(raw, str) or "\0" in raw:
        raise ValueError("not text")
    raw.encode()  # half of a surrogate pair is not a character
    return raw


def limit(datatype: str) -> Limit | None:
    """Return the length a column accepts."""
    if (found := SIZED.fullmatch(datatype)) is None:
        return None
    most = int(found[1])
    # Spaces beyond the end are cut by the standard, not refused.
    return (lambda v: not v[most:].strip(" ")), f"at most {most} characters"


def constant(datatype: str, value: Any) -> str | None:
    """Write a declared value."""
    return value if isinstance(value, str) else None


TEXT = Family(
    "text",
    ("text", "character varying", "character", "citext", "name", '"char"'),
    takes=lambda _: "text",
    parse=parse,
    hint="A text holds no NUL character.",
    traits=ORDERED | {"text", "ranked", "is"},
    limit=limit,
    declared={
        "text": "btree hash gin gist brin",
        "character varying": "btree hash gin gist brin",
        "character": "btree hash brin",
        "citext": "btree hash gin gist",
    },
    lent={"gin": ("pg_trgm", "gin_trgm_ops"), "gist": ("pg_trgm", "gist_trgm_ops")},
    also={
        "varchar": "character varying",
        "char varying": "character varying",
        "char": "character",
        "bpchar": "character",
    },
    sizes=dict.fromkeys(("character varying", "character"), ((1, 10_485_760),)),
    extensions={"citext": "citext"},
    constant=constant,
    shown=lambda name, text: text.rstrip() if name == "character" else text,
    schema={"type": "string"},
    example="x",
    filter_example="ilike,%a%",
)
