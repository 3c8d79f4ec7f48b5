"""The routes of `config_rpc`, and what they document."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from atom import reply, row
from atom.datatype import limit, value
from atom.errors import ApiError, nearest
from atom.openapi import LIST, PREFER, failures, shape, success
from atom.postgres.catalog import shown
from atom.rpc.declaration import LIMIT, PAGE, Rpc, Value
from atom.rpc.statement import name_value

PAGING = (LIMIT, PAGE)
FAILS = (403, 404, 409, 422)
EVERY = {"type": "integer", "minimum": 1}
PARAMETERS = {
    LIMIT: "At most config_limit_read_max, which is the default.",
    PAGE: "Counts from 1. Default: `1`.",
}


def router(routes: Iterable[Rpc]) -> APIRouter:
    """Return the routes, in the order of config."""
    made = APIRouter(tags=["RPC"])
    for rpc in routes:
        made.add_api_route(
            rpc.path,
            _endpoint(rpc),
            methods=[rpc.method],
            openapi_extra=_documented(rpc),
        )
    return made


def _endpoint(rpc: Rpc) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        ports = request.app.state.ports
        values = _path_values(rpc, request.path_params)
        if rpc.is_read:
            values |= _query_values(rpc, request.scope["query_string"])
        else:
            row.parse_parameters(request.scope["query_string"], ())
            values |= _body_values(rpc, await request.body())
        user, as_text = request.state.user, row.prefers_text(request)
        found = await ports.rpc.run(rpc, user, values, bigint_text=as_text)
        if isinstance(found, int):
            return reply.success(found)
        return row.answer_rows(found, bigint_text=as_text)

    slug = re.sub(r"\W+", "_", rpc.path).strip("_")
    endpoint.__name__ = f"route_{slug}"
    endpoint.__doc__ = rpc.help or f"Run the statement of {rpc.method} {rpc.path}."
    endpoint.place = rpc.place  # type: ignore[attr-defined]
    return endpoint


def _path_values(rpc: Rpc, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _parsed(rpc.values[name], str(given[name]), value.from_text)
        for name in rpc.in_path
    }


def _query_values(rpc: Rpc, raw: bytes) -> dict[str, Any]:
    """Parse the values of a query string, and which rows to answer."""
    paging = [name for name in PAGING if name not in rpc.values]
    names = [name for name in rpc.values if name not in rpc.in_path]
    given = row.parse_parameters(raw, (*names, *paging))
    found = {name: _count(name, given.pop(name, "")) for name in paging}
    return found | _values(rpc, names, given, value.from_text)


def _body_values(rpc: Rpc, raw: bytes) -> dict[str, Any]:
    """Parse the values of a body: a JSON object, or nothing where none is needed."""
    names = [name for name in rpc.values if name not in rpc.in_path]
    given = row.parse_body(raw) if raw else {}
    if not isinstance(given, Mapping):
        raise ApiError("The body takes an object.")
    for name in given:
        if name not in names:
            raise ApiError(
                f"There is no value '{shown(name)}' here.",
                hint=nearest(name[:60], names) or f"It takes {', '.join(names)}.",
            )
    return _values(rpc, names, given, value.from_json)


def _values(
    rpc: Rpc,
    names: Iterable[str],
    given: Mapping[str, Any],
    read: Callable[..., Any],
) -> dict[str, Any]:
    found = {}
    for name in names:
        declared = rpc.values[name]
        if name in given:
            found[name] = _parsed(declared, given[name], read)
        elif declared.mandatory:
            raise ApiError(f"'{name}' is mandatory.")
        else:
            found[name] = _parsed(declared, declared.default, value.from_json)
    return found


def _parsed(declared: Value, raw: Any, read: Callable[..., Any]) -> Any:
    """Parse a value by its datatype; an error names it, and not a column."""
    try:
        found = read(declared.column, raw)
        limit.check(declared.column, found)
    except ApiError as error:
        name_value(error)
        raise
    return found


def _count(name: str, raw: str) -> int | None:
    if not raw:
        return None
    is_whole = raw.isascii() and raw.isdecimal() and len(raw) < 10
    if not is_whole or int(raw) < 1:
        raise ApiError(f"'{name}' takes a whole number of at least 1.")
    return int(raw)


def _documented(rpc: Rpc) -> dict[str, Any]:
    """Return `openapi_extra`: the values, typed; the answer is known once prepared."""
    schemas = {
        name: shape.request_schema(each.column) for name, each in rpc.values.items()
    }
    query: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": schemas[name]}
        for name in rpc.in_path
    ]
    query.append(PREFER)
    others = [name for name in rpc.values if name not in rpc.in_path]
    extra: dict[str, Any] = {
        "parameters": query,
        "responses": {
            "200": success(LIST),
            **{str(status): each for status, each in failures(*FAILS).items()},
        },
    }
    if rpc.is_read:
        query += (
            {
                "name": name,
                "in": "query",
                "required": rpc.values[name].mandatory,
                "schema": schemas[name],
            }
            for name in others
        )
        query += (
            {"name": name, "in": "query", "description": about, "schema": EVERY}
            for name, about in PARAMETERS.items()
            if name not in rpc.values
        )
        return extra
    body = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: schemas[name] for name in others},
    }
    needed = [name for name in others if rpc.values[name].mandatory]
    if needed:
        body["required"] = needed
    content = {reply.JSON: {"schema": body}}
    extra["requestBody"] = {"required": bool(needed), "content": content}
    return extra
