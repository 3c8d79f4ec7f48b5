"""Logins, refusals and changes of rights: /admin/ and /my/security-event-read.

Who may change rights may read those of all users, as the audit.
"""

from typing import Annotated

from extend import *
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from atom import account, openapi, reply

router = APIRouter(tags=["Admin users"])

BIG = 2**63 - 1


class Mine(BaseModel):
    """Which of one's own events are meant; an unknown parameter is refused."""

    model_config = ConfigDict(extra="forbid")

    kind: str | None = Field(None, max_length=63, examples=["login.refused"])
    cursor: int | None = Field(
        None, ge=1, le=BIG, description="The last id of the page before."
    )
    limit: int = Field(100, ge=1, le=1000)


class Asked(Mine):
    """Which events of all users are meant."""

    reason: str | None = Field(None, max_length=63, description="A code of an error.")
    user_id: int | None = Field(None, ge=1, le=BIG, description="Whom it is about.")
    created_by_id: int | None = Field(None, ge=1, le=BIG, description="Who did it.")
    address: str | None = Field(None, max_length=64)
    request_id: str | None = Field(None, max_length=64)


@router.get(
    "/admin/security-event-read", responses=openapi.answers(openapi.LIST, 403, 422)
)
async def route_admin_security_event_read(
    request: Request, asked: Annotated[Asked, Query()]
):
    """Return logins, refusals, limits, revocations, changes of rights; latest first."""
    ports, user = request.app.state.ports, request.state.user
    found = await account.read_events(ports, user, **asked.model_dump())
    return reply.success(found)


@router.get(
    "/my/security-event-read",
    tags=["My account"],
    responses=openapi.answers(openapi.LIST, 422),
)
async def route_my_security_event_read(
    request: Request, asked: Annotated[Mine, Query()]
):
    """Return what happened to one's own account, the latest first."""
    ports, me = request.app.state.ports, request.state.user["id"]
    given = asked.model_dump()
    return reply.success(await account.read_own_events(ports.database, me, **given))


route_admin_security_event_read.same_as = "/admin/user-rights-update"
