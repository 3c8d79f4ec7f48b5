"""What `/docs` and `/openapi.json` say beyond what FastAPI finds out by itself.

`install` adds to every route what its policy does to a request: which token it needs,
and how it may be refused. `documented` describes routes that read the request
themselves: a small Pydantic model names the parameters.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from atom.openapi import rows
from atom.openapi.parameter import (
    FILTER,
    Create,
    IdsDelete,
    IdsUpdate,
    Nothing,
    Parents,
    Read,
    Table,
    Update,
    Upsert,
)
from atom.reply import JSON

if TYPE_CHECKING:
    from fastapi import FastAPI

    from atom.policy import RoutePolicy

__all__ = [
    "Create",
    "IdsDelete",
    "IdsUpdate",
    "Nothing",
    "Parents",
    "Read",
    "Table",
    "Update",
    "Upsert",
    "answers",
    "documented",
    "failures",
    "install",
    "success",
]

ABOUT = """
Every success is `{"status": 1, "message": …}`, every failure `{"status": 0, "message",
"code", "hint", "request_id"}` with its true status. *Authorize* takes the token of
`/auth/signup` or `/auth/login-…` as **user**, and `config_key_root` as **root**. Routes
that write also take `?is_background=1`: they answer `added in background` at once.
"""
SCHEMES = {
    "user": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Access token of /auth/signup or /auth/login-….",
    },
    "root": {
        "type": "http",
        "scheme": "bearer",
        "description": "The value of config_key_root.",
    },
}
# What FastAPI says a validation error looks like; here it looks like any other failure.
REPLACED = ("HTTPValidationError", "ValidationError")
CONVERTOR = re.compile(r":\w+(?=})")
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
        "detail": {"description": "What FastAPI would have said, for its own errors."},
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
    429: "Too many requests; `Retry-After` says when to try again.",
    503: "The database or another service does not answer at the moment.",
    504: "This took too long.",
}

ROW = {"type": "object", "additionalProperties": True, "minProperties": 1}
CHANGED = {
    **ROW,
    "required": ["id"],
    "properties": {"id": {"type": ["integer", "string"]}},
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
ID = {"oneOf": [INTEGER, {"type": "array", "items": INTEGER}]}
IDS_MADE = {"type": "array", "items": INTEGER}
OBJECT = {"type": "object", "additionalProperties": True}
LIST = {"type": "array", "items": OBJECT}
COUNT = {"type": "integer", "minimum": 0}
DONE = {"const": "done"}


def install(app: "FastAPI") -> None:
    """Have `app.openapi()` tell the whole of it; written once for each catalog."""
    write = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            complete(write(), app.state.policies.policies())
            if (database := app.state.ports.database) is not None:
                rows.expand(write(), database.catalog, app.state.ports.rules)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def complete(document: dict[str, Any], policies: Iterable["RoutePolicy"]) -> None:
    """Add to every operation what its policy asks for and how it may refuse."""
    document["info"].setdefault("description", ABOUT.strip())
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in REPLACED:
        schemas.pop(name, None)
    schemas["Failure"] = FAILURE
    components.setdefault("securitySchemes", {}).update(SCHEMES)
    known = {CONVERTOR.sub("", policy.name): policy for policy in policies}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if (policy := known.get(f"{method.upper()} {path}")) is not None:
                _gate(operation, policy)
                _refusals(operation, policy)


def _gate(operation: dict[str, Any], policy: "RoutePolicy") -> None:
    """Say which of the two keys opens this route, if it is locked."""
    if policy.tier == "root":
        operation.setdefault("security", [{"root": []}])
    elif policy.token_required:
        operation.setdefault("security", [{"user": []}])


def _refusals(operation: dict[str, Any], policy: "RoutePolicy") -> None:
    """Add the statuses the steps may answer, and the one shape to all of them."""
    locked = policy.tier == "root" or policy.token_required
    possible = {
        400: True,
        401: locked,
        403: policy.active_required,
        413: "requestBody" in operation,
        429: policy.rate is not None,
        503: True,
        504: True,
    }
    responses = operation.setdefault("responses", {})
    for status, applies in possible.items():
        if applies:
            responses.setdefault(str(status), {"description": REASONS[status]})
    for status, response in responses.items():
        if status >= "400" and not _is_own(response):
            response["content"] = REFUSAL
    operation["responses"] = dict(sorted(responses.items()))


def _is_own(response: Mapping[str, Any]) -> bool:
    """Tell whether a route describes a shape of its own, for an answer it makes."""
    schema = response.get("content", {}).get(JSON, {}).get("schema", {})
    return bool(schema) and not schema.get("$ref", "").endswith(REPLACED)


def answers(message: dict[str, Any], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document what a route answers and how it may fail, for `responses=`."""
    return {200: success(message), **failures(*statuses)}


def success(message: dict[str, Any], **beside: Any) -> dict[str, Any]:
    """Document `{"status": 1, "message": …}` with what stands beside the message."""
    schema = {
        "type": "object",
        "required": ["status", "message", *beside],
        "properties": {"status": {"const": 1}, "message": message, **beside},
    }
    return {"description": "Done.", "content": {JSON: {"schema": schema}}}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document statuses a route may fail with, for `responses=`."""
    return {
        status: {"description": REASONS[status], "content": REFUSAL}
        for status in statuses
    }


def documented(
    query: type[BaseModel],
    *,
    message: dict[str, Any],
    body: dict[str, Any] | None = None,
    filters: bool = False,
    fails: tuple[int, ...] = (403, 404),
) -> dict[str, Any]:
    """Return `openapi_extra` of a route: parameters, body, success and failures."""
    extra: dict[str, Any] = {
        "parameters": [*_parameters(query), *([FILTER] if filters else [])],
        "responses": {
            "200": success(message),
            **{str(status): told for status, told in failures(*fails).items()},
        },
    }
    if body is not None:
        extra["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": body}},
        }
    return extra


def _parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    schema = query.model_json_schema()
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": field.get("description", ""),
            "schema": {
                key: value
                for key, value in field.items()
                if key not in {"title", "description"}
            },
        }
        for name, field in schema["properties"].items()
    ]
