"""A column as JSON Schema, read and written, and the parameter that filters by it."""

from typing import Any

from atom.datatype.datatype import PLACES, Datatype
from atom.datatype.families import BY_NAME
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
# Text where a caller prefers it, and taken as text from everyone: of 18 digits each
# number is one, of 19 some.
BIGINT = {
    "type": ["integer", "string"],
    "format": "int64",
    "pattern": "^-?[0-9]{1,19}$",
}
BIGINT_SENT = BIGINT | {"pattern": "^-?[0-9]{1,18}$"}
PLACE = {"$ref": "#/components/schemas/Point"}
ADDRESSES = {"email": "ada@example.com", "mobile": "+919876543210"}


def response_schema(column: LiveColumn) -> dict[str, Any]:
    """Describe a column as it is read."""
    return _nullable(_plain(column.kind), column)


def request_schema(column: LiveColumn) -> dict[str, Any]:
    """Describe a column as it is written; places and arrays also as text."""
    kind = column.kind
    if kind.element is not None:
        null = () if column.not_null else ("null",)
        return {**_plain(kind), "type": ["array", "string", *null]}
    if kind.family in PLACES:
        return {"anyOf": [PLACE, {"type": "string"}, {"type": "null"}]}
    plain = BIGINT_SENT if kind.name == "bigint" else _plain(kind)
    return _nullable(plain, column)


def _plain(kind: Datatype) -> dict[str, Any]:
    if kind.element is not None:
        item = _plain(kind.element)
        if "type" in item:  # no array of PostgreSQL can forbid null
            item = _or_null(item)
        return {"type": "array", "items": item}
    if kind.family in PLACES:
        return PLACE
    if kind.name == "bigint":
        return BIGINT
    family = BY_NAME[kind.family]
    plain = dict(family.schema)
    if kind.name in family.formats:
        plain["format"] = family.formats[kind.name]
    return plain


def _nullable(plain: dict[str, Any], column: LiveColumn) -> dict[str, Any]:
    if column.not_null or not plain:
        return plain
    if "$ref" in plain:
        return {"anyOf": [plain, {"type": "null"}]}
    return _or_null(plain)


def _or_null(plain: dict[str, Any]) -> dict[str, Any]:
    kinds = plain["type"] if isinstance(plain["type"], list) else [plain["type"]]
    return {**plain, "type": [*kinds, "null"]}


def example(column: LiveColumn) -> Any:
    """Return a value that may be written, None when none is known."""
    kind = column.kind
    if kind.element is not None:
        return [BY_NAME[kind.element.family].example]
    if column.datatype == "text":  # without a length that it could exceed
        if column.name.endswith("_url"):
            return "https://example.com/a"
        plain = f"a {column.name.replace('_', ' ')}"
        return ADDRESSES.get(column.name, plain)
    return BY_NAME[kind.family].example


def filtered(column: LiveColumn) -> dict[str, Any]:
    """Describe the parameter that filters by a column: its operators, an example."""
    kind = column.kind
    fits = suiting(kind)
    asked = BY_NAME[kind.family].filter_example
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
