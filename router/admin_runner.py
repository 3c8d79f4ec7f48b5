"""One SQL statement of an admin: /admin/db-runner."""

from extend import *
from pydantic import BaseModel, Field

from atom import http, openapi, reply, sandbox
from atom.openapi import answers

router = APIRouter(tags=["Admin runner"])

# The user that was made with the database.
OWNER = 1
LIMITS = sandbox.Limits(
    timeout_ms=config["config_db_runner_timeout_ms"],
    rows=config["config_db_runner_limit"],
)


class Statement(BaseModel):
    """Body of db-runner."""

    query: str = Field(
        description="One statement.", examples=["select count(*) from test"]
    )


@router.post(
    "/admin/db-runner",
    responses=answers(
        {"oneOf": [openapi.LIST, openapi.COUNT]},
        *(400, 401, 403, 409, 422, 503),
        optional={"is_cut": {"type": "boolean"}},
    ),
)
async def route_admin_db_runner(
    request: Request, body: Statement
) -> responses.Response:
    """Run one statement that reads tables and views of schema public.

    User 1 may also insert, update and delete, but not by an API key. Secret columns,
    files, settings, other schemas, functions with effects and every other statement
    are refused for all. With more rows than the limit, `is_cut` is true, with the
    first of them.
    """
    answer = await sandbox.run_statement(
        request.app.state.ports.sandbox,
        body.query,
        writes=request.state.user["id"] == OWNER and not http.is_by_key(request),
        limits=LIMITS,
    )
    if answer.rows is None:
        return reply.success(answer.affected)
    return reply.rows(answer.rows, **({"is_cut": True} if answer.is_cut else {}))
