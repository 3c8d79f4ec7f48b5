"""What `/docs` says of routes that read the request themselves.

A small Pydantic model names the parameters; nothing validates with it, the row grammar
in `atom/sql` does. Given to a route as `openapi_extra=documented(Read)`.
"""

from typing import Any

from pydantic import BaseModel, Field, StrictInt

FILTER = {
    "name": "filter",
    "in": "query",
    "required": False,
    "style": "form",
    "explode": True,
    "description": (
        "Any column: `<column>=<operator>,<value>`, repeatable, AND-ed. Operators: `=`"
        " `!=` `<>` `>` `<` `>=` `<=` `like` `ilike` `~` `~*` `in` and `not in` (joined"
        " by `|`) `between` (`a|b`) `is` (null, not null, true, false)"
        " `is distinct from` `contains` `overlap` `any` (arrays) `contains` `exists`"
        " (jsonb) `fts`. Alternatives: `or=(title=ilike,%a%;id=>,5)`."
    ),
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    "example": {"id": ">,0"},
}
FAILURE = {
    "type": "object",
    "required": ["status", "message", "code", "hint", "request_id"],
    "properties": {
        "status": {"const": 0},
        "message": {"type": "string"},
        "code": {"type": "string", "examples": ["sql.unknown_column"]},
        "hint": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
REASONS = {
    400: "A parameter, column, operator or value that does not fit.",
    401: "The token is missing, invalid or expired.",
    403: "The caller may not do this.",
    404: "There is no such table or row.",
    409: "The row contradicts one that is stored, or is protected.",
    413: "The body is too large.",
    422: "A value breaks a rule of the table.",
    503: "The database does not answer at the moment.",
}


class Page(BaseModel):
    """Which rows of all that are meant."""

    order: str = Field("id desc", description="Columns: `type desc nulls last,id`.")
    limit: int = Field(100, ge=1, description="At most config_limit_read_max.")
    page: int = Field(1, ge=1, description="Counts from 1.")


class Table(BaseModel):
    """The one parameter every row route has."""

    table: str = Field(description="Name of a table, exactly.", examples=["test"])


class Read(Page, Table):
    """Parameters of every object-read."""

    column: str = Field("", description="Columns to answer: `id,title`. Default: all.")
    cursor: str = Field(
        "",
        description="Pages at constant cost: empty for the first page, then"
        " `next_cursor` of the answer before. Not together with `page`.",
    )
    is_count: int = Field(0, ge=0, le=1, description="1: `count` beside `message`.")
    creator_key: str = Field(
        "", description="`username,name` adds creator_username and creator_name."
    )
    location_filter: str = Field(
        "",
        description="`long,lat,min_meter,max_meter`; adds `distance_meter`.",
    )
    group_by: str = Field("", description="Columns: `type,title`.")
    aggregate: str = Field("", description="`count,sum(x),avg(x),min(x),max(x)`.")


class Parents(Page, Table):
    """Parameters of parent-read."""

    parent_table: str = Field(description="Table of the parents.", examples=["users"])
    parent_column: str = Field(
        description="Column of `table` with their ids.", examples=["created_by_id"]
    )


class Create(Table):
    """Parameters of /my/object-create."""

    queue: str = Field(
        "", description="batch, redis, rabbitmq, kafka, celery, mongodb_<database>."
    )


IDS = Field(description='"1,2,3" or [1,2,3].', examples=["1,2,3"])


class IdsDelete(Table):
    """Body of ids-delete: several rows."""

    ids: str | list[StrictInt] = IDS


class IdsUpdate(IdsDelete):
    """Body of ids-update: one value for a column of several rows."""

    column: str = Field(examples=["title"])
    value: Any = Field(examples=["x"])


ROW = {"type": "object", "additionalProperties": True, "minProperties": 1}
ROWS = {
    "oneOf": [ROW, {"type": "array", "items": ROW, "minItems": 1}],
    "examples": [{"title": "x"}],
}
ID = {"oneOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}
LIST = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
COUNT = {"type": "integer", "minimum": 0}


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document statuses a route may fail with, for `responses=`."""
    return {
        status: {
            "description": REASONS[status],
            "content": {"application/json": {"schema": FAILURE}},
        }
        for status in statuses
    }


def documented(
    query: type[BaseModel],
    *,
    message: dict[str, Any],
    body: dict[str, Any] | None = None,
    filters: bool = False,
    fails: tuple[int, ...] = (400, 403, 404, 503),
) -> dict[str, Any]:
    """Return `openapi_extra` of a route: parameters, body, success and failures."""
    success = {
        "type": "object",
        "required": ["status", "message"],
        "properties": {"status": {"const": 1}, "message": message},
    }
    extra: dict[str, Any] = {
        "parameters": [*_parameters(query), *([FILTER] if filters else [])],
        "responses": {
            "200": {
                "description": "Done.",
                "content": {"application/json": {"schema": success}},
            },
            **{str(status): told for status, told in failures(*fails).items()},
        },
    }
    if body is not None:
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
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
