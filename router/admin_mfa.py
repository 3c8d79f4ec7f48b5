"""A lost phone: /admin/user-mfa-delete.

Who may change rights may take factors away: the policy is that of
/admin/user-rights-update.
"""

from typing import Annotated

from extend import *
from fastapi import Query

from atom import account, openapi, reply

router = APIRouter(tags=["Admin users"])


@router.delete(
    "/admin/user-mfa-delete", responses=openapi.answers(openapi.KEY, 403, 404)
)
async def route_admin_user_mfa_delete(
    request: Request,
    id: Annotated[int, Query(ge=1, le=2**63 - 1, examples=[7])],
):
    """Take every second factor of a user away, and end their sessions. Answers the id.

    They log in by the first step alone, or set a factor up where it is required.
    """
    ports, me = request.app.state.ports, request.state.user
    return reply.success(await account.take_factors(ports, me, id))


route_admin_user_mfa_delete.same_as = "/admin/user-rights-update"
