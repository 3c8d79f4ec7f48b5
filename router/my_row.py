"""The caller's own rows of any table: /my/object-…, /my/ids-…, /my/parent-read."""

from typing import Annotated, Any

from extend import *
from fastapi import Body, Query, Response

from atom import openapi, reply
from atom.feature import row, row_queue, row_value
from atom.openapi import answers, documented
from atom.sql import query

router = APIRouter(tags=["My rows"])

FAILS = (403, 404, 409, 422)


@router.post(
    "/my/object-create",
    openapi_extra=documented(
        openapi.Create, message=openapi.ID, body=openapi.ROWS, fails=FAILS
    ),
)
async def route_my_object_create(request: Request) -> Response:
    """Add a row of mine, or a list of them. Answers the id, or the ids in order."""
    ports, raw = request.app.state.ports, request.scope["query_string"]
    asked = query.named(query.decoded(raw), ("table", "queue"))
    row_queue.require_direct(asked.get("queue", ""))
    body = row_value.parsed(await request.body())
    reach = ports.rules.my(request.state.user["id"])
    made = await row.create(ports.database, reach, asked.get("table", ""), body)
    return reply.success(made)


@router.get(
    "/my/object-read",
    openapi_extra=documented(openapi.Read, message=openapi.LIST, filters=True),
)
async def route_my_object_read(request: Request) -> Response:
    """Read my rows: filtered, ordered, paged, counted, grouped."""
    ports = request.app.state.ports
    reach = ports.rules.my(request.state.user["id"])
    answer = await row.read(ports.database_read, reach, request.scope["query_string"])
    return reply.rows(answer.body, **answer.beside)


@router.get(
    "/my/parent-read",
    openapi_extra=documented(openapi.Parents, message=openapi.LIST),
)
async def route_my_parent_read(request: Request) -> Response:
    """Read the rows that my rows refer to."""
    ports = request.app.state.ports
    reach = ports.rules.my(request.state.user["id"])
    raw = request.scope["query_string"]
    return reply.rows(await row.parents(ports.database_read, reach, raw))


@router.put("/my/object-update", responses=answers(openapi.INTEGER, *FAILS))
async def route_my_object_update(
    request: Request,
    table: Annotated[str, Query(examples=["test"])],
    body: Annotated[dict[str, Any], Body(examples=[{"id": 1, "title": "x"}])],
    otp: Annotated[str | None, Query(description="For a new e-mail or mobile.")] = None,
):
    """Change one of my rows, or my account (`table=users`). Answers the id."""
    ports, user = request.app.state.ports, request.state.user
    if table == "users":
        from atom.feature import account

        return reply.success(await account.update(ports, user, body, otp))
    reach = ports.rules.my(user["id"])
    return reply.success(await row.update(ports.database, reach, table, body))


@router.put("/my/ids-update", responses=answers(openapi.COUNT, *FAILS))
async def route_my_ids_update(request: Request, body: openapi.IdsUpdate):
    """Write one value into a column of my rows. Answers how many there were."""
    ports = request.app.state.ports
    reach = ports.rules.my(request.state.user["id"])
    count = await row.update_ids(
        ports.database, reach, body.table, body.ids, body.column, body.value
    )
    return reply.success(count)


@router.delete("/my/ids-delete", responses=answers(openapi.COUNT, *FAILS))
async def route_my_ids_delete(request: Request, body: openapi.IdsDelete):
    """Delete my rows by id. Answers how many there were."""
    ports = request.app.state.ports
    reach = ports.rules.my(request.state.user["id"])
    count = await row.delete_ids(ports.database, reach, body.table, body.ids)
    return reply.success(count)


@router.delete(
    "/my/object-delete-any",
    openapi_extra=documented(
        openapi.Table, message=openapi.COUNT, filters=True, fails=FAILS
    ),
)
async def route_my_object_delete_any(request: Request) -> Response:
    """Delete my rows that meet every filter, one filter at least. Answers how many."""
    ports = request.app.state.ports
    reach = ports.rules.my(request.state.user["id"])
    raw = request.scope["query_string"]
    return reply.success(await row.delete_any(ports.database, reach, raw))
