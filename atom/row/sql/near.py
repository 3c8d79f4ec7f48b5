"""`location_filter`: the column that is measured, and where from."""

from atom.datatype import geography
from atom.datatype.datatype import PLACES
from atom.errors import ApiError
from atom.postgres.catalog import Table
from atom.row.sql.query_string import Query
from atom.row.sql.statement import DISTANCE


def fit(query: Query, view: Table) -> tuple[str | None, int, tuple[float, ...]]:
    """Return the column that is measured, the number of boxes, and all values."""
    if query.near is None:
        return None, 0, ()
    places = [
        name for name, found in view.columns.items() if found.kind.family in PLACES
    ]
    if not places:
        raise ApiError(f"Table '{view.name}' has no column that holds a place.")
    if DISTANCE in view.columns:
        raise ApiError(f"Table '{view.name}' has its own '{DISTANCE}'.")
    near = query.near
    name = "location" if "location" in places else places[0]
    place = (near.longitude, near.latitude, near.least_meters, near.most_meters)
    if view.columns[name].kind.family == "geography":
        return name, 0, place
    sides = geography.boxes(near.longitude, near.latitude, near.most_meters)
    return name, len(sides) // 4, (*place, *sides)
