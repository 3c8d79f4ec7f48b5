"""What a column looks like in JSON, read and written, and what may be asked of it."""

from typing import Any

from atom.datatype.datatype import PLACES, Datatype, datatype
from atom.postgres.catalog import LiveColumn
from atom.row.sql.filter import suiting

POINT = {
    "title": "Point",
    "description": "A place, as GeoJSON: longitude, then latitude.",
    "type": "object",
    "required": ["type", "coordinates"],
    "properties": {
        "type": {"const": "Point"},
        "coordinates": {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 2,
            "maxItems": 2,
        },
    },
}
PLACE = {"$ref": "#/components/schemas/Point"}
FORMATS = {"smallint": "int32", "integer": "int32", "bigint": "int64"}
# family: its JSON type and format, an example of a value, an example of a filter.
FAMILIES: dict[str, tuple[dict[str, Any], Any, str]] = {
    "integer": ({"type": "integer"}, 1, ">,0"),
    "number": ({"type": "number"}, 1.5, ">,0"),
    "float": ({"type": "number"}, 1.5, ">,0"),
    "text": ({"type": "string"}, "x", "ilike,%a%"),
    "boolean": ({"type": "boolean"}, True, "is,true"),
    "moment": ({"type": "string"}, "2026-01-31T10:00:00+00:00", ">,2020-01-01"),
    "date": ({"type": "string", "format": "date"}, "2026-01-31", ">,2020-01-01"),
    "time": ({"type": "string"}, "10:00:00", ">,08:00"),
    "uuid": (
        {"type": "string", "format": "uuid"},
        "6f1c1d3e-0000-4000-8000-000000000001",
        "is,not null",
    ),
    "json": ({}, {"a": 1}, "is,not null"),
}
ANYTHING: tuple[dict[str, Any], Any, str] = ({}, None, "is,not null")


def shown(column: LiveColumn) -> dict[str, Any]:
    """Describe a column as it is read."""
    return _nullable(_plain(datatype(column.datatype)), column)


def written(column: LiveColumn) -> dict[str, Any]:
    """Describe a column as it is written; places and arrays also as text."""
    kind = datatype(column.datatype)
    if kind.element is not None:
        null = () if column.not_null else ("null",)
        return {**_plain(kind), "type": ["array", "string", *null]}
    if kind.family in PLACES:
        return {"anyOf": [PLACE, {"type": "string"}, {"type": "null"}]}
    return _nullable(_plain(kind), column)


def _plain(kind: Datatype) -> dict[str, Any]:
    if kind.element is not None:
        item = _plain(kind.element)
        if "type" in item:  # no array of PostgreSQL can forbid null
            item = {**item, "type": [item["type"], "null"]}
        return {"type": "array", "items": item}
    if kind.family in PLACES:
        return PLACE
    plain = dict(FAMILIES.get(kind.family, ANYTHING)[0])
    if kind.name in FORMATS:
        plain["format"] = FORMATS[kind.name]
    if kind.name == "timestamp with time zone":
        plain["format"] = "date-time"
    return plain


def _nullable(plain: dict[str, Any], column: LiveColumn) -> dict[str, Any]:
    if column.not_null or not plain:
        return plain
    if "$ref" in plain:
        return {"anyOf": [plain, {"type": "null"}]}
    return {**plain, "type": [plain["type"], "null"]}


def example(column: LiveColumn) -> Any:
    """Return a value that may be written, None when none is known."""
    kind = datatype(column.datatype)
    if kind.element is not None:
        return [FAMILIES.get(kind.element.family, ANYTHING)[1]]
    if kind.family in PLACES:
        return {"type": "Point", "coordinates": [77.2, 28.6]}
    if column.datatype == "text":  # without a length that it could exceed
        if column.name.endswith("_url"):
            return "https://example.com/a"
        return f"a {column.name.replace('_', ' ')}"
    return FAMILIES.get(kind.family, ANYTHING)[1]


def filtered(column: LiveColumn) -> dict[str, Any]:
    """Describe the parameter that filters by a column: its operators, an example."""
    kind = datatype(column.datatype)
    fits = suiting(kind)
    asked = FAMILIES.get(kind.family, ANYTHING)[2]
    return {
        "name": column.name,
        "in": "query",
        "required": False,
        "description": f"{kind.name}: `<operator>,<value>`, such as `{asked}`;"
        " repeatable, AND-ed."
        f" Operators: {' '.join(f'`{name}`' for name in fits)}.",
        "schema": {
            "type": "array",
            "items": {
                "type": "string",
                "pattern": f"^({'|'.join(map(_literal, fits))}),",
                # Not the parameter's `example`: /docs would send those of all columns.
                "examples": [asked],
            },
        },
    }


def _literal(operator: str) -> str:
    """Write an operator as a regular expression that every dialect reads."""
    return operator.replace("*", "[*]")
