"""Places on the earth, as columns of PostGIS or as PostgreSQL's own points."""

import re
from functools import partial
from typing import Any

from atom.datatype import geography
from atom.datatype.family import Family

PAIR = re.compile(r"\(([^,()]{1,40}),([^,()]{1,40})\)")


def parse(family: str, datatype: str, raw: Any) -> str:
    """Parse a place; it is sent as the text of its datatype.

    In lists and files it is the text that PostgreSQL writes.
    """
    if isinstance(raw, str):
        if pair := PAIR.fullmatch(raw):
            raw = f"POINT({pair[1]} {pair[2]})"
        elif binary := geography.read_binary(raw):
            return geography.written(family, binary)
    return geography.written(family, geography.read(raw))


def is_geojson(text: str) -> bool:
    """Whether a text is meant as JSON."""
    return text.lstrip().startswith("{")


def _place(name: str, **extensions: str) -> Family:
    return Family(
        name,
        (name,),
        opaque=frozenset({"point"}),
        takes=lambda _: "POINT(longitude latitude) or a GeoJSON point",
        parse=partial(parse, name),
        traits=frozenset({"is", "place"}),
        sends_text=True,
        text_is_json=is_geojson,
        declared={name: "gist"},
        extensions=extensions,
        example={"type": "Point", "coordinates": [77.2, 28.6]},
    )


POINT, GEOGRAPHY = _place("point"), _place("geography", geography="postgis")
