"""The caller's own account: /my/profile, /my/token-refresh, /my/account-delete."""

from typing import Annotated

from extend import *
from fastapi import Query, Response

from atom import account, http, openapi, reply, row

router = APIRouter(tags=["My account"])

PROFILE = openapi.OBJECT | {"examples": [{"id": 7, "username": "ada"}]}


@router.get(
    "/my/profile",
    responses=openapi.answers(PROFILE, 404),
    openapi_extra={"parameters": [openapi.PREFER]},
)
async def route_my_profile(request: Request) -> Response:
    """Return one's own row, and note the visit in `last_active_at`."""
    ports, me = request.app.state.ports, request.state.user["id"]
    as_text = row.prefers_text(request)
    found = await account.read_profile(ports, me, bigint_text=as_text)
    return row.answer_rows(found, bigint_text=as_text)


@router.get(
    "/my/token-refresh",
    responses={200: openapi.success(openapi.TEXT, expires_in=openapi.COUNT)},
)
async def route_my_token_refresh(request: Request):
    """Return a token made from the row as it is now; the session stays the same."""
    ports, state = request.app.state.ports, request.state
    access, seconds = await account.renew(ports, state.user["id"], state.session)
    if not http.is_by_cookie(request):
        return reply.success(access, expires_in=seconds)
    answer = reply.success("done", expires_in=seconds)
    http.keep_access(answer, access, seconds)
    return answer


@router.delete(
    "/my/account-delete",
    responses={
        200: openapi.success(openapi.DONE),
        400: {"description": "mode must be soft or hard"},
        403: {"description": "The user has api_access, or is protected."},
    },
)
async def route_my_account_delete(
    request: Request,
    mode: Annotated[
        str,
        Query(
            description="soft: marked as deleted and logged out. hard: gone.",
            json_schema_extra={"enum": ["soft", "hard"]},
            examples=["soft"],
        ),
    ],
):
    """Delete one's own account."""
    user_id = request.state.user["id"]
    await account.delete_account(request.app.state.ports, user_id, mode)
    return http.clear(reply.success("done"), request)
