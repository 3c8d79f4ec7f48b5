"""What the caller is notified of: /my/notification-…"""

from typing import Annotated, Literal

from extend import *
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from atom import message, openapi, reply

router = APIRouter(tags=["My messages"])

BIG = 2**63 - 1
Id = Annotated[int, Field(ge=1, le=BIG)]
UNREAD = {"type": "integer", "minimum": 0, "description": "How many; counted to 1,000."}


class Listed(BaseModel):
    """Which notifications are meant; an unknown parameter is refused."""

    model_config = ConfigDict(extra="forbid")

    is_unread: int | None = Field(
        None, ge=0, le=1, description="1: only unread ones. 0: only read ones."
    )
    kind: str | None = Field(None, max_length=63, examples=["approval"])
    cursor: int | None = Field(
        None, ge=1, le=BIG, description="The last id of the page before."
    )
    limit: int = Field(100, ge=1, le=1000)


class Marked(BaseModel):
    """Which notifications are marked."""

    model_config = ConfigDict(strict=True, extra="forbid")

    ids: list[Id] | Literal["all"] = Field(max_length=1000, examples=["all"])
    is_read: bool | Literal[0, 1] = Field(True, description="0: unread again.")


@router.get(
    "/my/notification-read",
    responses={200: openapi.success(openapi.LIST, unread=UNREAD)},
)
async def route_my_notification_read(
    request: Request, asked: Annotated[Listed, Query()]
):
    """Return one's notifications, the newest first, and how many are `unread`."""
    ports, me = request.app.state.ports, request.state.user["id"]
    given = asked.model_dump()
    found, unread = await message.read_notifications(ports.database, me, **given)
    return reply.success(found, unread=unread)


@router.put("/my/notification-update", responses=openapi.answers(openapi.COUNT))
async def route_my_notification_update(request: Request, body: Marked):
    """Mark notifications as read, or as unread again. Answers how many changed."""
    ports, me = request.app.state.ports, request.state.user["id"]
    ids = None if body.ids == "all" else body.ids
    count = await message.mark_notifications(
        ports.database, me, ids, is_read=bool(body.is_read)
    )
    return reply.success(count)


@router.delete("/my/notification-delete", responses=openapi.answers(openapi.COUNT))
async def route_my_notification_delete(
    request: Request,
    ids: Annotated[
        str,
        Query(
            pattern=r"^(all|[1-9][0-9]{0,17}(,[1-9][0-9]{0,17}){0,999})$",
            description="Of one or several, with commas; or `all`.",
            examples=["7,8"],
        ),
    ],
):
    """Delete notifications. Answers how many there were."""
    ports, me = request.app.state.ports, request.state.user["id"]
    which = None if ids == "all" else [int(each) for each in ids.split(",")]
    return reply.success(await message.delete_notifications(ports.database, me, which))
