"""The parameters of a request, read by their types."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson
from pydantic import ConfigDict, ValidationError, create_model
from starlette.requests import Request

from atom.errors import ApiError, nearest

SOURCES = ("query", "form", "body")


def raw_query(scope: Mapping[str, Any]) -> bytes:
    """Return the query string of a row route, which may have its table in the path."""
    raw: bytes = scope["query_string"]
    table = scope["path_params"].get("table")
    return raw if table is None else f"table={quote(table, safe='')}&".encode() + raw


async def read(
    request: Request, source: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return parameters by name; a field is a type, or a type and a default.

    Raises:
        ApiError: naming the first that is missing, unknown, given twice or of another
            type.
        ValueError: when there is no such source.
    """
    if source not in SOURCES:
        raise ValueError(f"{source!r}: expected one of {', '.join(SOURCES)}")
    given = await _given(request, source)
    if unknown := sorted(set(given) - set(fields)):
        hint = nearest(unknown[0][:60], fields) or f"It takes {', '.join(fields)}."
        raise ApiError(f"There is no parameter '{unknown[0][:60]}' here.", hint=hint)
    whole: Any = {
        name: each if isinstance(each, tuple) else (each, ...)
        for name, each in fields.items()
    }
    config = ConfigDict(arbitrary_types_allowed=True)
    model: Any = create_model("Parameters", __config__=config, **whole)
    try:
        found = model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ApiError(f"'{where}': {first['msg']}.") from error
    return {name: getattr(found, name) for name in fields}


async def _given(request: Request, source: str) -> dict[str, Any]:
    if source == "body":
        try:
            body = orjson.loads(await request.body())
        except orjson.JSONDecodeError as error:
            raise ApiError("The body is not JSON.") from error
        if not isinstance(body, dict):
            raise ApiError("The body takes an object.")
        return body
    pairs = request.query_params if source == "query" else await request.form()
    found: dict[str, Any] = {}
    for name, value in pairs.multi_items():
        if name in found:
            raise ApiError(f"'{name[:60]}' is given twice.")
        found[name] = value
    return found


def caller_address(request: Request) -> str:
    """Return where a request comes from, behind trusted proxies."""
    client = request.client.host if request.client else ""
    return str(getattr(request.state, "client_address", "") or client)
