"""Any row of any table, for callers with a listed api id: /admin/…"""

from typing import Any

from extend import *
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from atom import account, file, openapi, realtime, reply, row
from atom.http import also_at, raw_query, require_key_too
from atom.openapi import answers, documented

router = APIRouter(tags=["Admin rows"])

CREATE = ("table", *row.UPSERT_PARAMETERS, row.RETURN)
UPDATE = ("table", row.RETURN)
FAILS = (403, 404, 409, 422)


def all_rows(request):
    """Return the ports, and the scope of an admin: every row of every table."""
    ports = request.app.state.ports
    return ports, row.preferring(ports.rules.admin(request.state.user), request)


async def require_too(request, method, path):
    """Refuse a caller without the id of another route."""
    other = request.app.state.policies.match("http", method, path)
    ports, user = request.app.state.ports, request.state.user
    require_key_too(request, method, other.route)
    await account.require_too(ports, user, other.policy.id)


async def wants_row(request, asked):
    """Whether a write is to answer the row, which needs the id of reading too."""
    wanted = row.wants_row(row.preferred(request), asked)
    if wanted:
        await require_too(request, "GET", "/admin/object-read")
    return wanted


@router.post(
    "/admin/object-create",
    openapi_extra=documented(
        CREATE,
        message=openapi.WRITTEN,
        body=openapi.ROWS,
        fails=FAILS,
    ),
)
async def route_admin_object_create(request: Request) -> Response:
    """Add a row to any table, or a list of them. Answers the id, or the ids."""
    ports, scope = all_rows(request)
    asked = row.parse_parameters(raw_query(request.scope), CREATE)
    if asked.get("mode") == "merge":  # it changes rows, which has an id of its own
        await require_too(request, "PUT", "/admin/object-update")
    as_row = await wants_row(request, asked)
    body = row.parse_body(await request.body())
    made = await row.submit(ports, scope, asked, body)
    table = asked["table"]
    return await row.answered(ports.database, scope, table, made, as_row=as_row)


@router.put(
    "/admin/object-update",
    openapi_extra=documented(
        UPDATE, message=openapi.WRITTEN, body=openapi.CHANGES, fails=FAILS
    ),
)
async def route_admin_object_update(request: Request) -> Response:
    """Change a row of any table, or a list of them. Answers the id, or the ids."""
    ports, scope = all_rows(request)
    asked = row.parse_parameters(raw_query(request.scope), UPDATE)
    as_row = await wants_row(request, asked)
    body = row.parse_body(await request.body())
    table = asked.get("table", "")
    made = await row.update(ports.database, scope, table, body)
    return await row.answered(ports.database, scope, table, made, as_row=as_row)


@router.put("/admin/ids-update", responses=answers(openapi.COUNT, *FAILS))
async def route_admin_ids_update(request: Request, body: openapi.IdsUpdate):
    """Write one value into a column of several rows. Answers how many there were."""
    ports, scope = all_rows(request)
    # FastAPI read the value with the digits of a double.
    value = row.parse_body(await request.body())["value"]
    count = await row.update_ids(
        ports.database, scope, body.table, body.ids, body.column, value
    )
    return reply.success(count)


@router.delete("/admin/ids-delete", responses=answers(openapi.COUNT, *FAILS))
async def route_admin_ids_delete(request: Request, body: openapi.IdsDelete):
    """Delete rows of any table by id. Answers how many there were."""
    ports, scope = all_rows(request)
    count = await row.delete_ids(ports.database, scope, body.table, body.ids)
    return reply.success(count)


@router.get(
    "/admin/object-read",
    openapi_extra=documented(
        row.ADMIN_READ_PARAMETERS, message=openapi.LIST, filters=True
    ),
)
async def route_admin_object_read(request: Request) -> Response:
    """Read rows of any table; secret columns stay out of sight here too."""
    ports, scope = all_rows(request)
    answer = await row.read(ports.database, scope, raw_query(request.scope))
    return row.answer(scope, answer.body, **answer.extra)


class Rights(BaseModel):
    """The changes of another user's rights and status; what is left out stays."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"id": 7, "api_access": "1,5"}]},
    )

    id: int
    is_active: int | None = Field(None, description="0: refused everywhere.")
    is_verified: int | None = None
    is_deleted: int | None = None
    is_protected: int | None = None
    api_access: str | list[int] | None = Field(None, description="Api ids.")
    role: Any = Field(None, description="Where `users` has this column.")
    type: int | None = None
    status: Any = Field(None, description="Where `users` has this column.")


@router.put("/admin/user-rights-update", responses=answers(openapi.KEY, 400, 403, 404))
async def route_admin_user_rights_update(request: Request, body: Rights) -> Response:
    """Change rights or status of another user, at once. Answers the id.

    No one grants what they do not hold, or changes their own rights or those of user 1.
    """
    changes = body.model_dump(exclude_unset=True, exclude={"id"})
    ports, me = request.app.state.ports, request.state.user
    return reply.success(await account.update_rights(ports, me, body.id, changes))


async def read_any_row(request: Request) -> Response:
    """Read one row of any table."""
    ports, scope = all_rows(request)
    key = request.path_params["id"]
    raw = raw_query(request.scope)
    return row.answer(scope, await row.read_one(ports.database, scope, raw, key))


async def change_any_row(request: Request) -> Response:
    """Change columns of one row. Answers the id, or the row."""
    ports, scope = all_rows(request)
    table, key = request.path_params["table"], request.path_params["id"]
    asked = row.parse_parameters(request.scope["query_string"], (row.RETURN,))
    as_row = await wants_row(request, asked)
    body = row.parse_body(await request.body())
    made = await row.change(ports.database, scope, table, key, body)
    return await row.answered(ports.database, scope, table, made, as_row=as_row)


async def delete_any_row(request: Request) -> Response:
    """Delete one row. Answers 1."""
    ports, scope = all_rows(request)
    table, key = request.path_params["table"], request.path_params["id"]
    row.parse_parameters(request.scope["query_string"], ())
    return reply.success(await row.delete(ports.database, scope, table, key))


@realtime.endless
async def follow_admin_rows(request: Request) -> Response:
    """Send changes of any rows, as events."""
    _, scope = all_rows(request)
    return await realtime.stream(request, scope)


async def link_any_file(request: Request) -> Response:
    """Return a link of the file that a column of one row holds."""
    ports, scope = all_rows(request)
    return await file.answer_link(request, ports.files, ports.database, scope)


also_at(
    router,
    "GET",
    "/admin/rows/{table}/{id}/file/{column}",
    link_any_file,
    of="/admin/object-read",
)

also_at(
    router,
    "GET",
    "/admin/rows/{table}/stream",  # before a row of that name
    follow_admin_rows,
    of="/admin/object-read",
)

for method, action, endpoint in (
    ("GET", "object-read", read_any_row),
    ("PATCH", "object-update", change_any_row),
    ("DELETE", "ids-delete", delete_any_row),
):
    also_at(router, method, "/admin/rows/{table}/{id}", endpoint, of=f"/admin/{action}")

for method, action, endpoint in (
    ("GET", "object-read", route_admin_object_read),
    ("POST", "object-create", route_admin_object_create),
    ("PUT", "object-update", route_admin_object_update),
):
    also_at(router, method, "/admin/rows/{table}", endpoint, of=f"/admin/{action}")
