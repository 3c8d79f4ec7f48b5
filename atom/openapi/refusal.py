"""The refusals of every route, in the one shape, described once for all of them."""

from collections.abc import Mapping
from typing import Any

from atom.reply import JSON

FAILURE = {
    "title": "Failure",
    "description": "Every refusal of every route.",
    "type": "object",
    "required": ["status", "message", "code", "hint", "request_id"],
    "properties": {
        "status": {"const": 0},
        "message": {"type": "string"},
        "code": {"type": "string", "examples": ["sql.unknown_column"]},
        "hint": {"type": "string"},
        "request_id": {"type": "string"},
        "detail": {"description": "FastAPI's own detail, for its own errors."},
    },
}
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
    503: "The database or another service does not answer at the moment.",
    504: "This took too long.",
}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document statuses a route may fail with, for `responses=`."""
    return {
        status: {"description": REASONS[status], "content": REFUSAL}
        for status in statuses
    }


def shared() -> dict[str, Any]:
    """Return the refusals every route words alike, for `components.responses`."""
    return {
        f"Failure{status}": {"description": reason, "content": REFUSAL}
        for status, reason in REASONS.items()
    }


def refer(status: str, response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a reference to a refusal that is worded like those of other routes."""
    usual = {"description": REASONS.get(int(status)), "content": REFUSAL}
    if response != usual:
        return response
    return {"$ref": f"#/components/responses/Failure{status}"}
