"""Places on the earth, as columns of PostGIS or as PostgreSQL's own points."""

from functools import partial
from typing import Any

from atom.datatype import geography
from atom.datatype.family import Family


def parse(family: str, datatype: str, raw: Any) -> str:
    """Parse a place; it is sent as the text of its datatype."""
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
