"""What a route documents that reads the request itself: parameters, body, answer."""

from typing import Any

from atom.openapi.parameter import FILTER, PARAMETERS
from atom.reply import JSON

REFUSAL = {JSON: {"schema": {"$ref": "#/components/schemas/Failure"}}}
REASONS = {
    400: "A parameter, column, operator or value that does not fit.",
    401: "The token is missing, invalid or expired.",
    403: "The caller may not do this.",
    404: "There is no such table or row.",
    409: "The row contradicts one that is stored, or is protected.",
    413: "The body is too large.",
    422: "Something is missing, of the wrong type, or against a rule of the table.",
    429: "Too many requests; `Retry-After` holds the seconds to wait.",
    502: "Another service refuses what it was asked; the message has its reason.",
    503: "The database or another service does not answer at the moment.",
    504: "This took too long.",
}
# The fields next to the rows of a read.
EXTRA = {
    "count": {"type": "integer", "minimum": 0, "description": "With `is_count`."},
    "next_cursor": {
        "type": ["string", "null"],
        "description": "With `cursor`; null at the end.",
    },
}
ROW = {"type": "object", "additionalProperties": True, "minProperties": 1}
CHANGED = {
    **ROW,
    "examples": [{"id": 1, "title": "x"}],
}
ROWS = {
    "oneOf": [ROW, {"type": "array", "items": ROW, "minItems": 1}],
    "examples": [{"title": "x"}],
}
CHANGES = {
    "oneOf": [CHANGED, {"type": "array", "items": CHANGED, "minItems": 1}],
    "examples": [{"id": 1, "title": "x"}],
}
ENTRIES = {
    "type": "array",
    "minItems": 1,
    "maxItems": 100,
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["table", "object"],
        "properties": {
            "table": {"type": "string"},
            "object": {"type": "object", "additionalProperties": True},
            "as": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,59}$"},
        },
    },
    "examples": [
        [
            {"table": "test", "object": {"title": "x"}, "as": "first"},
            {"table": "test", "object": {"title": "y"}},
        ]
    ],
}
INTEGER = {"type": "integer"}
TEXT = {"type": "string"}
OBJECT = {"type": "object", "additionalProperties": True}
KEY = {"type": ["integer", "string"]}
# Of a write: keys, or with `return=row` what is stored.
WRITTEN = {"anyOf": [KEY, OBJECT, {"type": "array", "items": {"anyOf": [KEY, OBJECT]}}]}
IDS_MADE = {"type": "array", "items": KEY}
LIST = {"type": "array", "items": OBJECT}
COUNT = {"type": "integer", "minimum": 0}
DONE = {"const": "done"}


PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`bigint=text` answers whole numbers of 64 bits as text: beyond 2^53"
    " a double does not hold them.",
    "schema": {"type": "string", "examples": ["bigint=text"]},
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document statuses a route may fail with, for `responses=`."""
    return {
        status: {"description": REASONS[status], "content": REFUSAL}
        for status in statuses
    }


def answers(
    message: dict[str, Any], *statuses: int, optional: dict[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Document what a route answers and how it may fail, for `responses=`."""
    return {200: success(message, optional), **failures(*statuses)}


def success(
    message: dict[str, Any], optional: dict[str, Any] | None = None, **extra: Any
) -> dict[str, Any]:
    """Document `{"status": 1, "message": …}` with its other fields."""
    schema = {
        "type": "object",
        "required": ["status", "message", *extra],
        "properties": {
            "status": {"const": 1},
            "message": message,
            **extra,
            **(optional or {}),
        },
    }
    return {"description": "Done.", "content": {JSON: {"schema": schema}}}


def documented(
    parameters: tuple[str, ...],
    *,
    message: dict[str, Any],
    body: dict[str, Any] | None = None,
    filters: bool = False,
    fails: tuple[int, ...] = (403, 404),
) -> dict[str, Any]:
    """Return `openapi_extra` of a route: parameters, body, success and failures."""
    query: list[Any] = [{"name": each, **PARAMETERS[each]} for each in parameters]
    if filters:
        query.append({**FILTER, "required": "limit" not in parameters})
    if "limit" in parameters:
        query.append(PREFER)
    extra: dict[str, Any] = {
        "parameters": query,
        "responses": {
            "200": success(message, EXTRA if "is_count" in parameters else None),
            **{str(status): response for status, response in failures(*fails).items()},
        },
    }
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return extra
