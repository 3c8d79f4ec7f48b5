"""Messages of the caller: /my/message-…"""

from typing import Annotated

from extend import *
from fastapi import Query, Response

from atom import openapi, reply
from atom.feature import inbox

router = APIRouter(tags=["My messages"])

Order = Annotated[
    str | None, Query(description="Columns to sort by.", examples=["id desc"])
]
Limit = Annotated[
    int | None, Query(ge=1, description="Rows of a page, 100 unless said otherwise.")
]
Page = Annotated[int | None, Query(ge=1, description="Which page, from 1.")]
Unread = Annotated[
    int | None,
    Query(ge=0, le=1, description="1: only unread messages. 0: only read ones."),
]
Id = Annotated[int, Query(ge=1, le=2**63 - 1)]
ROWS = openapi.answers(openapi.LIST)
NUMBER = openapi.answers(openapi.COUNT)
MODES = ["all", "created", "received"]


@router.get("/my/message-received", responses=ROWS)
async def route_my_message_received(
    request: Request,
    order: Order = None,
    limit: Limit = None,
    page: Page = None,
    is_unread: Unread = None,
) -> Response:
    """Return what others wrote to me, and mark it read."""
    ports, me = request.app.state.ports, request.state.user["id"]
    shape = {"order": order, "limit": limit, "page": page}
    return reply.rows(await inbox.received(ports, me, shape, is_unread=is_unread))


@router.get("/my/message-inbox", responses=ROWS)
async def route_my_message_inbox(
    request: Request,
    order: Order = None,
    limit: Limit = None,
    page: Page = None,
    is_unread: Unread = None,
) -> Response:
    """Return the last message of each talk, one for each other person."""
    ports, me = request.app.state.ports, request.state.user["id"]
    shape = {"order": order, "limit": limit, "page": page}
    return reply.rows(await inbox.inbox(ports, me, shape, is_unread=is_unread))


@router.get("/my/message-thread", responses=ROWS)
async def route_my_message_thread(
    request: Request,
    user_id: Id,
    order: Order = None,
    limit: Limit = None,
    page: Page = None,
    is_unread: Unread = None,
) -> Response:
    """Return the talk with another person, both directions, and mark theirs read."""
    ports, me = request.app.state.ports, request.state.user["id"]
    shape = {"order": order, "limit": limit, "page": page}
    return reply.rows(
        await inbox.thread(ports, me, user_id, shape, is_unread=is_unread)
    )


@router.delete("/my/message-delete-bulk", responses=NUMBER)
async def route_my_message_delete_bulk(
    request: Request,
    mode: Annotated[
        str,
        Query(
            description="Whose: those I created, received, or all of them.",
            json_schema_extra={"enum": MODES},
        ),
    ],
):
    """Delete messages I created or received. The answer is their number."""
    ports, me = request.app.state.ports, request.state.user["id"]
    return reply.success(await inbox.delete(ports, me, mode))


@router.delete("/my/message-delete-single", responses=NUMBER)
async def route_my_message_delete_single(request: Request, id: Id):
    """Delete one message I created or received. 0 when there is none such."""
    ports, me = request.app.state.ports, request.state.user["id"]
    return reply.success(await inbox.delete_one(ports, me, id))
