"""Messages of the caller: /my/message-…"""

from typing import Annotated

from extend import *
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from atom import message, openapi, reply, row

router = APIRouter(tags=["My messages"])

Id = Annotated[int, Query(ge=1, le=2**63 - 1, examples=[1])]
ROWS = openapi.answers(openapi.LIST)
NUMBER = openapi.answers(openapi.COUNT)
PREFER = {"parameters": [openapi.PREFER]}
MODES = ["all", "created", "received"]


class Listed(BaseModel):
    """Which messages of all that are meant; an unknown parameter is refused."""

    model_config = ConfigDict(extra="forbid")

    order: str | None = Field(
        None, description="Columns to sort by.", examples=["id desc"]
    )
    limit: int | None = Field(None, ge=1, description="Rows of a page, 100 unless set.")
    page: int | None = Field(None, ge=1, description="Which page, from 1.")
    is_unread: int | None = Field(
        None, ge=0, le=1, description="1: only unread messages. 0: only read ones."
    )

    @property
    def page_of_list(self):
        """Return what inbox takes as a page."""
        return self.model_dump(include={"order", "limit", "page"})


class Talk(Listed):
    """A list of what two people wrote to each other."""

    user_id: int = Field(
        ge=1, le=2**63 - 1, description="The other person.", examples=[1]
    )


@router.get("/my/message-received", responses=ROWS, openapi_extra=PREFER)
async def route_my_message_received(
    request: Request, asked: Annotated[Listed, Query()]
) -> Response:
    """Return what others wrote to me, and mark it read."""
    ports, me = request.app.state.ports, request.state.user["id"]
    as_text = row.prefers_text(request)
    found = await message.read_received(
        ports, me, asked.page_of_list, is_unread=asked.is_unread, bigint_text=as_text
    )
    return row.answer_rows(found, bigint_text=as_text)


@router.get("/my/message-inbox", responses=ROWS, openapi_extra=PREFER)
async def route_my_message_inbox(
    request: Request, asked: Annotated[Listed, Query()]
) -> Response:
    """Return the last message of each talk, one for each other person."""
    ports, me = request.app.state.ports, request.state.user["id"]
    as_text = row.prefers_text(request)
    found = await message.read_inbox(
        ports, me, asked.page_of_list, is_unread=asked.is_unread, bigint_text=as_text
    )
    return row.answer_rows(found, bigint_text=as_text)


@router.get("/my/message-thread", responses=ROWS, openapi_extra=PREFER)
async def route_my_message_thread(
    request: Request, asked: Annotated[Talk, Query()]
) -> Response:
    """Return the talk with another person, both directions, and mark theirs read."""
    ports, me = request.app.state.ports, request.state.user["id"]
    page, as_text = asked.page_of_list, row.prefers_text(request)
    options = {"is_unread": asked.is_unread, "bigint_text": as_text}
    found = await message.read_thread(ports, me, asked.user_id, page, **options)
    return row.answer_rows(found, bigint_text=as_text)


@router.delete("/my/message-delete-bulk", responses=NUMBER)
async def route_my_message_delete_bulk(
    request: Request,
    mode: Annotated[
        str,
        Query(
            description="Which: those I created, received, or all of them.",
            json_schema_extra={"enum": MODES},
        ),
    ],
):
    """Delete messages I created or received. The answer is their number."""
    ports, me = request.app.state.ports, request.state.user["id"]
    return reply.success(await message.delete_messages(ports, me, mode))


@router.delete("/my/message-delete-single", responses=NUMBER)
async def route_my_message_delete_single(request: Request, id: Id):
    """Delete one message I created or received. 0 when there is none such."""
    ports, me = request.app.state.ports, request.state.user["id"]
    return reply.success(await message.delete_message(ports, me, id))
