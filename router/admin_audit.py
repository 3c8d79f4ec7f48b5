"""Who changed which row: /admin/audit-read.

Who may change rights and read rows may read it: it needs the ids of both.
"""

from typing import Annotated

from extend import *
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from atom import account, openapi, reply, row

router = APIRouter(tags=["Admin rows"])


class Asked(BaseModel):
    """Which changes are meant; an unknown parameter is refused."""

    model_config = ConfigDict(extra="forbid")

    table: str = Field(max_length=63, examples=["users"])
    key: str | None = Field(None, max_length=200, description="The id of one row.")
    created_by_id: int | None = Field(None, ge=1, le=2**63 - 1)
    request_id: str | None = Field(None, max_length=64)
    cursor: int | None = Field(
        None, ge=1, le=2**63 - 1, description="The last id of the page before."
    )
    limit: int = Field(100, ge=1, le=1000)


@router.get("/admin/audit-read", responses=openapi.answers(openapi.LIST, 400, 403, 422))
async def route_admin_audit_read(request: Request, asked: Annotated[Asked, Query()]):
    """Return changes of a table with `"audit": 1` in `config_table`, the latest first.

    `before` and `after` hold the columns that changed, without secret ones.
    """
    ports, user = request.app.state.ports, request.state.user
    reading = request.app.state.policies.match("http", "GET", "/admin/object-read")
    await account.require_too(ports, user, reading.policy.id)
    scope = ports.rules.admin(user)
    return reply.success(await row.audit(ports.database, scope, **asked.model_dump()))


route_admin_audit_read.same_as = "/admin/user-rights-update"
