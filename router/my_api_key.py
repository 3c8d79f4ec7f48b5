"""The API keys of the caller's programs: /my/api-key-create, -read, -delete."""

from typing import Annotated

from extend import *
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from atom import account, http, openapi, reply, row

router = APIRouter(tags=["My account"])

ROUTE = {"type": "array", "items": openapi.TEXT}
MOMENT = {"type": "string", "format": "date-time"}


class NewKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100, examples=["nightly report"])
    route: list[Annotated[str, Field(max_length=300)]] = Field(
        min_length=1,
        max_length=300,
        description="Paths as /docs has them, each after a verb, or alone: every verb.",
        examples=[["GET /my/object-read"]],
    )
    expire_sec: int | None = Field(
        None,
        ge=60,
        description="At most, and if left out: config_api_key_expire_sec.",
        examples=[86400],
    )


@router.post(
    "/my/api-key-create",
    responses={
        200: openapi.success(
            openapi.TEXT, id=openapi.COUNT, route=ROUTE, expires_at=MOMENT
        ),
        400: {"description": "A route is unknown, or takes no API keys."},
        409: {"description": "There are as many keys as config_api_key_limit."},
    },
)
async def route_my_api_key_create(request: Request, body: NewKey) -> Response:
    """Make a key for a program. It is in this answer, and is never shown again."""
    state = request.app.state
    routes = http.read_key_routes(state.policies, body.route)
    made = await account.create_key(
        state.ports, request.state.user["id"], body.name, routes, body.expire_sec
    )
    return reply.success(made.pop("message"), **made)


@router.get("/my/api-key-read", responses=openapi.answers(openapi.LIST))
async def route_my_api_key_read(request: Request) -> Response:
    """Return one's keys without what opens: name, routes, times, `is_alive`."""
    ports, me = request.app.state.ports, request.state.user["id"]
    return row.answer_rows(await account.read_keys(ports, me), bigint_text=False)


@router.delete(
    "/my/api-key-delete",
    responses={
        200: openapi.success(openapi.KEY),
        404: {"description": "API key not found"},
    },
)
async def route_my_api_key_delete(
    request: Request, id: Annotated[int, Query(ge=1, le=2**63 - 1, examples=[7])]
) -> Response:
    """End a key: it stops at once, and what it has open is closed. Answers its id."""
    ports, me = request.app.state.ports, request.state.user["id"]
    return reply.success(await account.delete_key(ports, me, id))
