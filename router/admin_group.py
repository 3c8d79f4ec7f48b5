"""Groups of users, for rules: /admin/group-…, /admin/group-member-…

To be in a group is a right: the policy is that of /admin/user-rights-update.
"""

from typing import Annotated

from extend import *
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from atom import account, openapi, reply

router = APIRouter(tags=["Admin users"])

OF = "/admin/user-rights-update"
Id = Annotated[int, Field(ge=1, le=2**63 - 1, examples=[7])]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["staff"])]
Text = Annotated[str | None, Field(max_length=1000, examples=["Who works here."])]
Limit = Annotated[int, Query(ge=1, le=1000)]
Page = Annotated[int, Query(ge=1, le=1_000_000)]
FAILS = (400, 403, 404)


class Body(BaseModel):
    """What every body here keeps to: exact types, no other fields."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Group(Body):
    """A new group."""

    name: Name
    description: Text = None


class Changes(Body):
    """What changes of a group; what is left out remains."""

    id: Id
    name: Name | None = Field(None, description="By user 1 alone.")
    description: Text = None


class Member(Body):
    """A user and a group."""

    group_id: Id
    user_id: Id


@router.post("/admin/group-create", responses=openapi.answers(openapi.KEY, 409))
async def route_admin_group_create(request: Request, body: Group):
    """Make a group without members; user 1 puts the first ones in. Answers its id."""
    ports, me = request.app.state.ports, request.state.user
    made = await account.create_group(ports, me, body.name, body.description)
    return reply.success(made)


@router.get("/admin/group-read", responses=openapi.answers(openapi.LIST))
async def route_admin_group_read(
    request: Request,
    name: Annotated[str | None, Query(max_length=63)] = None,
    limit: Limit = 100,
    page: Page = 1,
):
    """List groups with the count of their members, the newest first."""
    ports = request.app.state.ports
    found = await account.read_groups(ports, name=name, limit=limit, page=page)
    return reply.success(found)


@router.put("/admin/group-update", responses=openapi.answers(openapi.KEY, *FAILS, 409))
async def route_admin_group_update(request: Request, body: Changes):
    """Change what a group is called or what describes it. Answers its id."""
    changes = body.model_dump(exclude_unset=True, exclude={"id"})
    ports, me = request.app.state.ports, request.state.user
    return reply.success(await account.update_group(ports, me, body.id, changes))


@router.delete("/admin/group-delete", responses=openapi.answers(openapi.KEY, *FAILS))
async def route_admin_group_delete(
    request: Request, id: Annotated[int, Query(ge=1, le=2**63 - 1, examples=[7])]
):
    """Delete a group; one that has members is for user 1 alone. Answers its id."""
    ports, me = request.app.state.ports, request.state.user
    return reply.success(await account.delete_group(ports, me, id))


@router.get("/admin/group-member-read", responses=openapi.answers(openapi.LIST))
async def route_admin_group_member_read(
    request: Request,
    group_id: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    user_id: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    limit: Limit = 100,
    page: Page = 1,
):
    """List who is in a group, or the groups of a user; the newest first."""
    ports = request.app.state.ports
    found = await account.read_members(
        ports, group_id=group_id, user_id=user_id, limit=limit, page=page
    )
    return reply.success(found)


@router.post(
    "/admin/group-member-create", responses=openapi.answers(openapi.KEY, *FAILS)
)
async def route_admin_group_member_create(request: Request, body: Member):
    """Put another user into a group that one is in. Answers the user's id."""
    ports, me = request.app.state.ports, request.state.user
    made = await account.add_member(ports, me, body.group_id, body.user_id)
    return reply.success(made)


@router.delete(
    "/admin/group-member-delete", responses=openapi.answers(openapi.KEY, *FAILS)
)
async def route_admin_group_member_delete(
    request: Request,
    group_id: Annotated[int, Query(ge=1, le=2**63 - 1, examples=[7])],
    user_id: Annotated[int, Query(ge=1, le=2**63 - 1, examples=[9])],
):
    """Take another user out of a group that one is in. Answers the user's id."""
    ports, me = request.app.state.ports, request.state.user
    gone = await account.remove_member(ports, me, group_id, user_id)
    return reply.success(gone)


for endpoint in (
    route_admin_group_create,
    route_admin_group_read,
    route_admin_group_update,
    route_admin_group_delete,
    route_admin_group_member_read,
    route_admin_group_member_create,
    route_admin_group_member_delete,
):
    endpoint.same_as = OF
