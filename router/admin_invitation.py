"""Invitations: /admin/invitation-create, -read, -delete.

Who may change rights may invite: the policy is that of /admin/user-rights-update.
"""

from typing import Annotated, Any

from extend import *
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from atom import account, openapi, reply

router = APIRouter(tags=["Admin users"])

OF = "/admin/user-rights-update"
DEFAULT = config["config_type_default"]


class Invitation(BaseModel):
    """Who is invited, with rights that the caller holds."""

    model_config = ConfigDict(strict=True, extra="forbid")

    email: str = Field(min_length=1, max_length=320, examples=["grace@example.com"])
    type: int = Field(DEFAULT, ge=-32768, le=32767, description="Kind of user.")
    api_access: str | list[int] | None = Field(None, description="Api ids.")
    role: Any = Field(None, description="Where `users` has this column.")


@router.post(
    "/admin/invitation-create", responses=openapi.answers(openapi.KEY, 400, 409, 503)
)
async def route_admin_invitation_create(request: Request, body: Invitation):
    """Mail an invitation. Answers its id; an earlier one of the address is void."""
    ports, me = request.app.state.ports, request.state.user
    values = body.model_dump(exclude_unset=True) | {"type": body.type}
    return reply.success(await account.invite(ports, me, **values))


@router.get("/admin/invitation-read", responses=openapi.answers(openapi.LIST))
async def route_admin_invitation_read(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
):
    """List the invitations that are open, the newest first."""
    ports = request.app.state.ports
    return reply.success(await account.invitations(ports, limit=limit, page=page))


@router.delete("/admin/invitation-delete", responses=openapi.answers(openapi.KEY, 404))
async def route_admin_invitation_delete(
    request: Request,
    id: Annotated[int, Query(ge=1, le=2**63 - 1, examples=[7])],
):
    """Withdraw an invitation. Answers its id."""
    return reply.success(await account.withdraw(request.app.state.ports, id))


for endpoint in (
    route_admin_invitation_create,
    route_admin_invitation_read,
    route_admin_invitation_delete,
):
    endpoint.same_as = OF
