"""Places on the earth: read from text or GeoJSON, written as GeoJSON, measured.

A `geography` column is PostGIS's own type where the server has it, else `point` with x
the longitude and y the latitude. Callers see no difference.
"""

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

EARTH_METERS = 6_371_008.8  # mean radius, IUGG
PLACE = re.compile(
    r"(?:SRID=4326;)?\s*POINT\s*\(\s*(\S{1,40})\s+(\S{1,40}?)\s*\)", re.IGNORECASE
)


def place(longitude: Any, latitude: Any) -> tuple[float, float]:
    """Return a place whose longitude and latitude exist, in degrees.

    Raises:
        ValueError: when one is not a number or out of range.
    """
    if isinstance(longitude, bool) or isinstance(latitude, bool):
        raise ValueError("not a place")
    east, north = float(longitude), float(latitude)
    if not (isfinite(east) and isfinite(north)):
        raise ValueError("not a place")
    if not (-180 <= east <= 180 and -90 <= north <= 90):
        raise ValueError("not a place on earth")
    return east, north


def read(raw: Any) -> tuple[float, float]:
    """Read `POINT(lon lat)` or a GeoJSON point.

    Raises:
        ValueError: when it is neither.

    >>> read("POINT(77.2 28.6)")
    (77.2, 28.6)
    >>> read({"type": "Point", "coordinates": [77.2, 28.6]})
    (77.2, 28.6)
    """
    if isinstance(raw, Mapping):
        pair = raw.get("coordinates")
        if raw.get("type") != "Point" or not isinstance(pair, list) or len(pair) != 2:
            raise ValueError("not a GeoJSON point")
        if not all(isinstance(number, int | float) for number in pair):
            raise ValueError("not a GeoJSON point")
        return place(*pair)
    found = PLACE.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise ValueError("not POINT(lon lat)")
    return place(found[1], found[2])


def written(family: str, where: tuple[float, float]) -> str:
    """Write a place as PostgreSQL reads it.

    >>> written("point", (77.2, 28.6))
    '(77.2,28.6)'
    """
    east, north = where
    if family == "point":
        return f"({east!r},{north!r})"
    return f"SRID=4326;POINT({east!r} {north!r})"


def as_geojson(family: str, column: str) -> str:
    """Write the expression that turns a column into GeoJSON."""
    if family == "geography":
        return f"ST_AsGeoJSON({column})::json"
    return (
        f"case when {column} is not null then json_build_object('type', 'Point',"
        f" 'coordinates', json_build_array({column}[0], {column}[1])) end"
    )


def distance(family: str, column: str, longitude: str, latitude: str) -> str:
    """Write the expression for the meters between a column and a place.

    On a sphere, by the haversine formula, where there is no PostGIS.
    """
    if family == "geography":
        return f"ST_Distance({column}, {_spot(longitude, latitude)})"
    return (
        f"2 * {EARTH_METERS} * asin(least(1, sqrt("
        f"sin(radians({latitude} - {column}[1]) / 2) ^ 2"
        f" + cos(radians({latitude})) * cos(radians({column}[1]))"
        f" * sin(radians({longitude} - {column}[0]) / 2) ^ 2)))"
    )


def within(
    family: str, column: str, longitude: str, latitude: str, least: str, most: str
) -> str:
    """Write the condition that a column lies between two distances of a place."""
    meters = distance(family, column, longitude, latitude)
    if family == "geography":
        spot = _spot(longitude, latitude)
        return f"ST_DWithin({column}, {spot}, {most}) and {meters} >= {least}"
    return f"{meters} between {least} and {most}"


def _spot(longitude: str, latitude: str) -> str:
    return f"ST_SetSRID(ST_MakePoint({longitude}, {latitude}), 4326)::geography"
