"""Random places on earth, the true distances between them, and a look at statements."""

import json

from geographiclib.geodesic import Geodesic
from hypothesis import strategies as st

EDGE = 0.003  # what the promise allows, as a share of the distance
FAR = 30_000_000  # no place is that far from another

LONGITUDES = st.sampled_from([-180.0, -179.999, 0.0, 1e-300, 179.999, 180.0]) | (
    st.floats(-180, 180)
)
LATITUDES = st.sampled_from(
    [-90.0, -89.9999995, -0.01, 0.0, 1e-300, 0.01, 89.999, 90.0]
) | st.floats(-90, 90)
PLACES = st.tuples(LONGITUDES, LATITUDES)
STEPS = st.floats(-1, 1)
METERS = st.floats(0, 7.31).map(lambda power: 10**power)


def true_meters(one, other):
    """Return the length of the geodesic of WGS 84, by Karney's algorithm."""
    return Geodesic.WGS84.Inverse(one[1], one[0], other[1], other[0])["s12"]


def moved(place, way, meters):
    """Return where one comes to along a geodesic; the way is 0 to the north."""
    end = Geodesic.WGS84.Direct(place[1], place[0], way, meters)
    return end["lon2"], end["lat2"]


def turned(longitude):
    """Return the same meridian between -180 and 180."""
    return (longitude + 180) % 360 - 180 if abs(longitude) > 180 else longitude


@st.composite
def around(draw, place, meters):
    """Draw places anywhere, about as far as meters, beside a place and opposite it."""
    found = draw(st.lists(PLACES, max_size=8))
    for way in (0, 90, 180, 270, *draw(st.lists(st.floats(0, 360), max_size=4))):
        share = draw(st.sampled_from([0.99, 0.999, 0.9999, 1.001]))
        found.append(moved(place, way, meters * share))
    for size in (1e-6, 1e-3):
        for east, north in draw(st.lists(st.tuples(STEPS, STEPS), max_size=6)):
            latitude = max(-90.0, min(90.0, place[1] + north * size))
            longitude = place[0] + east * size
            found.append((turned(longitude), latitude))
            found.append((turned(longitude + 180), -latitude))
    return [place, *found]


@st.composite
def questions(draw):
    """Draw a place, two distances, and places to look for."""
    place, most = draw(PLACES), draw(METERS)
    least = draw(st.sampled_from([0.0, 0.0, most / 2, most]))
    return place, least, most, draw(around(place, most))


def listening(database):
    """Return a list that gets each statement the database is asked, with its values."""
    heard = []

    def noting(ask):
        async def noted(text, *values, **options):
            heard.append((text, values))
            return await ask(text, *values, **options)

        return noted

    database.value, database.row = noting(database.value), noting(database.row)
    return heard


async def planned(raw, text, values):
    """Return the nodes of the plan PostgreSQL makes for a statement."""
    told = await raw.fetchval(f"explain (format json) {text}", *values)
    found, ahead = [], [json.loads(told)[0]["Plan"]]
    while ahead:
        node = ahead.pop()
        found.append(node)
        ahead += node.get("Plans", [])
    return found


def indexes(nodes):
    """Return the names of the indexes a plan reads."""
    return {node["Index Name"] for node in nodes if "Index Name" in node}
