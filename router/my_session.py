"""The caller's open sessions: /my/session-read, /my/session-delete."""

from typing import Annotated

from extend import *
from fastapi import Query, Response

from atom import account, openapi, reply, row

router = APIRouter(tags=["My account"])


@router.get("/my/session-read", responses=openapi.answers(openapi.LIST))
async def route_my_session_read(request: Request) -> Response:
    """Return one's open sessions: id, times, address, user agent, `is_current`."""
    ports, state = request.app.state.ports, request.state
    found = await account.read_sessions(ports, state.user["id"], state.session)
    return row.answer_rows(found, bigint_text=False)


@router.delete(
    "/my/session-delete",
    responses={
        200: openapi.success(openapi.COUNT),
        404: {"description": "session not found"},
    },
)
async def route_my_session_delete(
    request: Request,
    id: Annotated[
        str,
        Query(
            max_length=36,
            description="Of one session; or `others`: all but this one; or `all`.",
            examples=["others"],
        ),
    ],
):
    """End sessions: their tokens stop at once, and what they have open is closed."""
    ports, state = request.app.state.ports, request.state
    count = await account.end_sessions(ports, state.user["id"], state.session, id)
    return reply.success(count)
