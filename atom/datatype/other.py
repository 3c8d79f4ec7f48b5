"""Every other datatype: text that PostgreSQL parses, such as networks, ranges, bits."""

import re
from decimal import Decimal
from typing import Any

from atom.datatype import exact, text
from atom.datatype.family import ORDERED, Family, Limit

SIZED = re.compile(r"bit( varying)?\((\d+)\)")
RANGES = ("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange")
MULTIRANGES = tuple(name.replace("range", "multirange") for name in RANGES)
TAKES = {
    "inet": "an address such as 192.0.2.1",
    "cidr": "a network such as 192.0.2.0/24",
    "macaddr": "an address such as 08:00:2b:01:02:03",
    "interval": "a span of time such as 2 days or P2D",
    **dict.fromkeys(("bit", "bit varying"), "zeros and ones such as 1010"),
    "money": "an amount such as 12.50",
    **dict.fromkeys(("int4range", "int8range", "numrange"), "a range such as [1,5)"),
    **dict.fromkeys(
        ("daterange", "tsrange", "tstzrange"), "a range such as [2026-01-31,2026-02-28)"
    ),
}


SHAPES = ("box", "circle", "line", "lseg", "path", "polygon")
OPAQUE = frozenset({"xml", "jsonpath", "xid", "cid", *SHAPES})
INDEXES = {
    **dict.fromkeys(RANGES, "btree hash gist brin"),
    **dict.fromkeys(MULTIRANGES, "btree hash gist"),
    **dict.fromkeys(("inet", "cidr", "macaddr", "macaddr8"), "btree hash brin"),
    "interval": "btree hash brin",
    **dict.fromkeys(("bit", "bit varying"), "btree brin"),
    "money": "btree",
    "tsvector": "btree gin gist",
    "tsquery": "btree gist",
    **dict.fromkeys(("line", "lseg", "path", "xml"), ""),
    **dict.fromkeys(("polygon", "circle"), "gist"),
    "box": "gist brin",
    **dict.fromkeys(("ltree", "cube"), "btree gist"),
    **dict.fromkeys(("vector", "halfvec"), "btree"),
    "geometry": "btree hash gist",
}


def parse(datatype: str, raw: Any) -> str:
    """Return a value as the text that PostgreSQL parses."""
    if datatype == "geometry" and isinstance(raw, dict):
        return exact.write(raw)  # GeoJSON, as PostGIS answers it
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if not isinstance(raw, int | float | str | Decimal):
        raise ValueError("not text")
    return text.parse(datatype, str(raw))


def describe(datatype: str) -> str:
    """Return what a datatype takes, in words."""
    return TAKES.get(datatype, f"text that reads as {datatype}")


def limit(datatype: str) -> Limit | None:
    """Return the number of bits a column accepts."""
    if (found := SIZED.fullmatch(datatype)) is None:
        return None
    size = int(found[2])
    if found[1]:
        return (lambda v: len(v) <= size), f"at most {size} bits"
    return (lambda v: len(v) == size), f"exactly {size} bits"


OTHER = Family(
    "other",
    (),
    opaque=OPAQUE,
    takes=describe,
    parse=parse,
    traits=ORDERED | {"is", "unparsed"},
    sends_text=True,
    limit=limit,
    declared=INDEXES,
    also={"varbit": "bit varying"},
    sizes={
        **dict.fromkeys(("bit", "bit varying"), ((1, 83_886_080),)),
        **dict.fromkeys(("vector", "halfvec"), ((1, 16_000),)),
        "interval": ((0, 6),),
    },
    extensions={
        **{name: name for name in ("ltree", "cube", "vector")},
        "halfvec": "vector",
        "geometry": "postgis",
    },
)
