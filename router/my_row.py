"""The caller's own rows of any table: /my/object-…, /my/ids-…, /my/parent-read."""

from extend import *
from fastapi import Response

from atom import account, file, openapi, realtime, reply, row
from atom.http import also_at, raw_query, require_person
from atom.openapi import answers, documented

router = APIRouter(tags=["My rows"])

CREATE = (*row.CREATE_PARAMETERS, row.RETURN)
UPDATE = ("table", "otp", row.RETURN)
FAILS = (403, 404, 409, 422)


def mine(request):
    """Return the ports, and the scope of the caller: rows of their own."""
    ports = request.app.state.ports
    return ports, row.preferring(ports.rules.my(request.state.user), request)


@router.post(
    "/my/object-create",
    openapi_extra=documented(
        CREATE, message=openapi.WRITTEN, body=openapi.ROWS, fails=FAILS
    ),
)
async def route_my_object_create(request: Request) -> Response:
    """Add a row of mine, or a list of them. Answers the id, or the ids in order."""
    ports, scope = mine(request)
    asked = row.parse_parameters(raw_query(request.scope), CREATE)
    as_row = row.wants_row(row.preferred(request), asked)
    body = row.parse_body(await request.body())
    made = await row.submit(ports, scope, asked, body)
    table = asked["table"]
    return await row.answered(ports.database, scope, table, made, as_row=as_row)


@router.post(
    "/my/object-create-many",
    openapi_extra=documented(
        (), message=openapi.IDS_MADE, body=openapi.ENTRIES, fails=FAILS
    ),
)
async def route_my_object_create_many(request: Request) -> Response:
    """Add rows of mine to several tables, all or none. Answers the ids in order."""
    ports, scope = mine(request)
    row.parse_parameters(raw_query(request.scope), ())
    body = row.parse_body(await request.body())
    return reply.success(await row.create_many(ports.database, scope, body))


@router.get(
    "/my/object-read",
    openapi_extra=documented(row.READ_PARAMETERS, message=openapi.LIST, filters=True),
)
async def route_my_object_read(request: Request) -> Response:
    """Read my rows: filtered, ordered, paged, counted, grouped."""
    ports, scope = mine(request)
    answer = await row.read(ports.database_read, scope, raw_query(request.scope))
    return row.answer(scope, answer.body, **answer.extra)


@router.get(
    "/my/parent-read",
    openapi_extra=documented(row.PARENT_PARAMETERS, message=openapi.LIST),
)
async def route_my_parent_read(request: Request) -> Response:
    """Read the rows that my rows refer to."""
    ports, scope = mine(request)
    raw = raw_query(request.scope)
    return row.answer(scope, await row.parents(ports.database_read, scope, raw))


@router.put(
    "/my/object-update",
    openapi_extra=documented(
        UPDATE, message=openapi.WRITTEN, body=openapi.CHANGES, fails=FAILS
    ),
)
async def route_my_object_update(request: Request) -> Response:
    """Change my row or a list of them, or my account (`table=users`). Answers ids."""
    ports, scope = mine(request)
    asked = row.parse_parameters(raw_query(request.scope), UPDATE)
    body = row.parse_body(await request.body())
    if asked.get("table") == "users":
        require_person(request)
        user, otp = request.state.user, asked.get("otp")
        return reply.success(await account.update_account(ports, user, body, otp))
    as_row = row.wants_row(row.preferred(request), asked)
    table = asked.get("table", "")
    made = await row.update(ports.database, scope, table, body)
    return await row.answered(ports.database, scope, table, made, as_row=as_row)


@router.put("/my/ids-update", responses=answers(openapi.COUNT, *FAILS))
async def route_my_ids_update(request: Request, body: openapi.IdsUpdate):
    """Write one value into a column of my rows. Answers how many there were."""
    ports, scope = mine(request)
    # FastAPI read the value with the digits of a double.
    value = row.parse_body(await request.body())["value"]
    count = await row.update_ids(
        ports.database, scope, body.table, body.ids, body.column, value
    )
    return reply.success(count)


@router.delete("/my/ids-delete", responses=answers(openapi.COUNT, *FAILS))
async def route_my_ids_delete(request: Request, body: openapi.IdsDelete):
    """Delete my rows by id. Answers how many there were."""
    ports, scope = mine(request)
    count = await row.delete_ids(ports.database, scope, body.table, body.ids)
    return reply.success(count)


@router.delete(
    "/my/object-delete-any",
    openapi_extra=documented(
        ("table",), message=openapi.COUNT, filters=True, fails=FAILS
    ),
)
async def route_my_object_delete_any(request: Request) -> Response:
    """Delete my rows that meet every filter, one filter at least. Answers how many."""
    ports, scope = mine(request)
    raw = raw_query(request.scope)
    return reply.success(await row.delete_any(ports.database, scope, raw))


async def read_my_row(request: Request) -> Response:
    """Read one of my rows."""
    ports, scope = mine(request)
    key = request.path_params["id"]
    raw = raw_query(request.scope)
    found = await row.read_one(ports.database_read, scope, raw, key)
    return row.answer(scope, found)


async def change_my_row(request: Request) -> Response:
    """Change columns of one of my rows. Answers the id, or the row."""
    ports, scope = mine(request)
    table, key = request.path_params["table"], request.path_params["id"]
    asked = row.parse_parameters(request.scope["query_string"], (row.RETURN,))
    as_row = row.wants_row(row.preferred(request), asked)
    body = row.parse_body(await request.body())
    made = await row.change(ports.database, scope, table, key, body)
    return await row.answered(ports.database, scope, table, made, as_row=as_row)


async def delete_my_row(request: Request) -> Response:
    """Delete one of my rows. Answers 1."""
    ports, scope = mine(request)
    table, key = request.path_params["table"], request.path_params["id"]
    row.parse_parameters(request.scope["query_string"], ())
    return reply.success(await row.delete(ports.database, scope, table, key))


@realtime.endless
async def follow_my_rows(request: Request) -> Response:
    """Send changes of rows I may read, as events."""
    _, scope = mine(request)
    return await realtime.stream(request, scope)


async def link_my_file(request: Request) -> Response:
    """Return a link of the file that a column of one row holds."""
    ports, scope = mine(request)
    return await file.answer_link(request, ports.files, ports.database, scope)


also_at(
    router,
    "GET",
    "/my/rows/{table}/{id}/file/{column}",
    link_my_file,
    of="/my/object-read",
)

also_at(
    router,
    "GET",
    "/my/rows/{table}/stream",  # before a row of that name
    follow_my_rows,
    of="/my/object-read",
)

for method, action, endpoint in (
    ("GET", "object-read", read_my_row),
    ("PATCH", "object-update", change_my_row),
    ("DELETE", "ids-delete", delete_my_row),
):
    also_at(router, method, "/my/rows/{table}/{id}", endpoint, of=f"/my/{action}")

for method, action, endpoint in (
    ("GET", "object-read", route_my_object_read),
    ("POST", "object-create", route_my_object_create),
    ("PUT", "object-update", route_my_object_update),
    ("DELETE", "object-delete-any", route_my_object_delete_any),
):
    also_at(router, method, "/my/rows/{table}", endpoint, of=f"/my/{action}")
