"""Places on the earth: read from text or GeoJSON, written as GeoJSON, measured.

A `geography` column is PostGIS's own type where the server has it, else `point` with x
the longitude and y the latitude. Callers see no difference.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

import re
import struct
from collections.abc import Mapping
from decimal import Decimal
from math import asin, cos, degrees, isfinite, pi, radians, sin
from typing import Any

# The ellipsoid of GPS, WGS 84.
AXIS = 6_378_137.0  # meters from the centre to the equator
FLATTENING = 1 / 298.257223563
# Nowhere is a degree shorter than north and south of the equator.
LEAST_RADIUS = AXIS * (1 - FLATTENING) ** 2
PLACE = re.compile(
    r"(?:SRID=4326;)?\s*POINT\s*\(\s*([-+.0-9E]{1,40})\s+([-+.0-9E]{1,40})\s*\)",
    re.IGNORECASE,
)


def place(longitude: Any, latitude: Any) -> tuple[float, float]:
    """Return a place with a valid longitude and latitude, in degrees.

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
        if not all(isinstance(number, int | float | Decimal) for number in pair):
            raise ValueError("not a GeoJSON point")
        return place(*pair)
    found = PLACE.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        raise ValueError("not POINT(lon lat)")
    return place(found[1], found[2])


def read_binary(cell: str) -> tuple[float, float] | None:
    """Read a point in the hexadecimal form PostGIS writes (EWKB), None if it is none.

    >>> read_binary("0101000020E6100000CDCCCCCCCC4C53409A99999999993C40")
    (77.2, 28.6)
    """
    for start, order in (("0101000020E6100000", "<2d"), ("0020000001000010E6", ">2d")):
        if len(cell) == 50 and cell.upper().startswith(start):
            return place(*struct.unpack(order, bytes.fromhex(cell[18:])))
    return None


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
    if family != "geography":
        return f"case when {column} is not null then {_pair('[0]', '[1]', column)} end"
    # ST_AsGeoJSON rounds, and not every place would come back as it was written.
    shape = f"{column}::geometry"
    pair = _pair(f"ST_X({shape})", f"ST_Y({shape})")
    return (
        f"case when GeometryType({shape}) = 'POINT' and ST_NDims({shape}) = 2"
        f" then {pair} else ST_AsGeoJSON({column}, 20)::json end"
    )


def _pair(east: str, north: str, column: str = "") -> str:
    return (
        "json_build_object('type', 'Point',"
        f" 'coordinates', json_build_array({column}{east}, {column}{north}))"
    )


def spot(longitude: str, latitude: str) -> str:
    """Write two parameters as a place of PostGIS."""
    return f"ST_SetSRID(ST_MakePoint({longitude}, {latitude}), 4326)::geography"


def measured(family: str, column: str, longitude: str, latitude: str) -> str:
    """Write a select of the `meters` between a column and a place.

    It is joined to a row in the from clause, so that they are computed once for each
    row, wherever they are used: `offset 0` keeps the planner from copying a step into
    the next. Without PostGIS by the formula of Andoyer and Lambert, which knows the
    ellipsoid: 50 m off at most, but for places on opposite sides of the earth (0.17 %).

    Source: J. Meeus, Astronomical Algorithms, chapter 11. Its S and C are s and c. Its
    cos² F, which is lost at the poles as 1 - sin² F, is computed as e.
    """
    if family == "geography":
        to = spot(longitude, latitude)
        return f"select ST_Distance({column}, {to}) as meters offset 0"
    angles = ", ".join(
        # A square of less than this is out of range for PostgreSQL.
        f"sin(radians(greatest(abs({angle}), 1e-12) / 2)) ^ 2 as {name}"
        for name, angle in (
            ("e", f"180 - abs({column}[1] + {latitude})"),
            ("f", f"{column}[1] + {latitude}"),
            ("g", f"{column}[1] - {latitude}"),
            ("l", f"{column}[0] - {longitude}"),
        )
    )
    shares = (
        f"select e, f, g, g * (1 - l) + e * l as s, (1 - g) * (1 - l) + f * l as c"
        f" from (select {angles} offset 0) a offset 0"
    )
    arc = (
        "select e, f, g, s, c, 3 * sqrt(s * c) as q, atan2(sqrt(s), sqrt(c)) as w"
        f" from ({shares}) b offset 0"
    )
    return (
        f"select case when s > 1e-27 then {2 * AXIS} * (w + {FLATTENING}"
        " * ((q - w) * f * (1 - g) / (2 * c) - (q + w) * e * g / (2 * s)))"
        f" else 0 end as meters from ({arc}) d offset 0"
    )


def boxes(longitude: float, latitude: float, meters: float) -> tuple[float, ...]:
    """Return west, south, east, north of what holds every place within a distance.

    In degrees; four numbers more where the other side of the date line belongs to it.
    An angle on the earth is never longer than the distance divided by `LEAST_RADIUS`;
    to that comes what the formula of `measured` may err.

    >>> [round(side, 2) for side in boxes(10, 60, 111_000)]
    [7.98, 58.99, 12.02, 61.01]
    >>> [round(side) for side in boxes(180, 0, 111_000)]
    [179, -1, 180, 1, -180, -1, -179, 1]
    """
    angle = min(pi, meters / LEAST_RADIUS * 1.005 + 1e-9)
    south, north = latitude - degrees(angle), latitude + degrees(angle)
    south, north = max(south, -90.0), min(north, 90.0)
    if south == -90 or north == 90:  # a pole is within: it is on every meridian
        return (-180.0, south, 180.0, north)
    half = degrees(asin(min(1.0, sin(angle) / cos(radians(latitude))))) + 1e-7
    west, east = longitude - half, longitude + half
    if west < -180:
        return (west + 360, south, 180.0, north, -180.0, south, east, north)
    if east > 180:
        return (west, south, 180.0, north, -180.0, south, east - 360, north)
    return (west, south, east, north)


def near(family: str, column: str, marks: tuple[str, ...]) -> str:
    """Write the condition that an index on the column answers: it may hold too much.

    `marks` are the parameters of `bounds`.
    """
    if family == "geography":
        longitude, latitude, most = marks
        return f"ST_DWithin({column}, {spot(longitude, latitude)}, {most})"
    sides = (marks[start : start + 4] for start in range(0, len(marks), 4))
    each = [
        f"{column} <@ box(point({west}, {south}), point({east}, {north}))"
        for west, south, east, north in sides
    ]
    return f"({' or '.join(each)})"
