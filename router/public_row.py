"""Rows of the tables that are open to anybody: /public/object-…"""

from extend import *
from fastapi import Response

from atom import file, openapi, realtime, reply, row
from atom.http import also_at, raw_query
from atom.openapi import documented

router = APIRouter(tags=["Public rows"])

ONE = "/public/rows/{table}/{id}"


@router.post(
    "/public/object-create",
    openapi_extra=documented(
        ("table", row.RETURN),
        message=openapi.WRITTEN,
        body=openapi.ROWS,
        fails=(403, 404, 409, 422),
    ),
)
async def route_public_object_create(request: Request) -> Response:
    """Add a row without an owner, or a list of them. Answers the id, or ids."""
    ports = request.app.state.ports
    asked = row.parse_parameters(raw_query(request.scope), ("table", row.RETURN))
    as_row = row.wants_row(row.preferred(request), asked)
    table = asked.get("table", "")
    body = row.parse_body(await request.body())
    scope = row.preferring(ports.rules.public(), request)
    made = await row.create(ports.database, scope, table, body)
    return await row.answered(ports.database, scope, table, made, as_row=as_row)


@router.get(
    "/public/object-read",
    openapi_extra=documented(row.READ_PARAMETERS, message=openapi.LIST, filters=True),
)
async def route_public_object_read(request: Request) -> Response:
    """Read rows of a listed table: filtered, ordered, paged, counted, grouped."""
    ports = request.app.state.ports
    raw = raw_query(request.scope)
    scope = row.preferring(ports.rules.public(), request)
    answer = await row.read(ports.database_read, scope, raw)
    return row.answer(scope, answer.body, **answer.extra)


async def read_public_row(request: Request) -> Response:
    """Read one row of a listed table."""
    ports = request.app.state.ports
    scope = row.preferring(ports.rules.public(), request)
    raw, key = raw_query(request.scope), request.path_params["id"]
    found = await row.read_one(ports.database_read, scope, raw, key)
    return row.answer(scope, found)


async def change_public_row(request: Request) -> Response:
    """Change columns of one row, where config_table lets anybody."""
    ports = request.app.state.ports
    scope, database = ports.rules.public(), ports.database
    table, key = request.path_params["table"], request.path_params["id"]
    row.require_method(database.catalog, scope, table, "PATCH")
    asked = row.parse_parameters(request.scope["query_string"], (row.RETURN,))
    as_row = row.wants_row(row.preferred(request), asked)
    body = row.parse_body(await request.body())
    made = await row.change(database, scope, table, key, body)
    return await row.answered(database, scope, table, made, as_row=as_row)


async def delete_public_row(request: Request) -> Response:
    """Delete one row, where config_table lets anybody. Answers 1."""
    ports = request.app.state.ports
    table, key = request.path_params["table"], request.path_params["id"]
    scope = ports.rules.public()
    row.require_method(ports.database.catalog, scope, table, "DELETE")
    row.parse_parameters(request.scope["query_string"], ())
    return reply.success(await row.delete(ports.database, scope, table, key))


@realtime.endless
async def follow_public_rows(request: Request) -> Response:
    """Send changes of rows that anybody may read, as events."""
    scope = row.preferring(request.app.state.ports.rules.public(), request)
    return await realtime.stream(request, scope)


async def link_public_file(request: Request) -> Response:
    """Return a link of the file that a column of one row holds."""
    ports = request.app.state.ports
    scope = ports.rules.public()
    return await file.answer_link(request, ports.files, ports.database, scope)


def is_open(verb):
    """Whether config_table opens a verb to anybody, on any table."""
    entries = (config.get("config_table") or {}).values()
    tiers = [each.get("public") for each in entries if isinstance(each, dict)]
    return any(each.get(verb) if isinstance(each, dict) else each for each in tiers)


for method, verb, endpoint in (
    ("PATCH", "update", change_public_row),
    ("DELETE", "delete", delete_public_row),
):
    if is_open(verb):
        router.add_api_route(ONE, endpoint, methods=[method], include_in_schema=False)

also_at(
    router,
    "GET",
    "/public/rows/{table}/{id}/file/{column}",
    link_public_file,
    of="/public/object-read",
)

also_at(
    router,
    "GET",
    "/public/rows/{table}/stream",  # before a row of that name
    follow_public_rows,
    of="/public/object-read",
)
also_at(router, "GET", ONE, read_public_row, of="/public/object-read")

for method, action, endpoint in (
    ("GET", "object-read", route_public_object_read),
    ("POST", "object-create", route_public_object_create),
):
    also_at(router, method, "/public/rows/{table}", endpoint, of=f"/public/{action}")
