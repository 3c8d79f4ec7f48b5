"""What only the operator may do: schema, caches, explanations. Gate: the root key."""

from typing import Annotated, Literal

from fastapi import Query

from extend import *

from atom import openapi, operation, reply, row, schema
from atom.errors import NotFound, nearest
from atom.http import explain_route
from atom.openapi import answers

router = APIRouter(tags=["Root"])


PLANNED = {"type": "array", "items": openapi.TEXT}
INIT = answers(
    {"oneOf": [openapi.DONE, openapi.LIST]},
    optional={"drift": PLANNED, "notes": PLANNED, "refusals": PLANNED},
)


@router.get("/root/postgres-init", responses=INIT)
@router.post("/root/postgres-init", responses=INIT)
async def route_root_postgres_init(
    request: Request,
    mode: Literal["apply", "plan"] = "apply",
    is_destructive: Annotated[bool, Query(description="Also drop and retype")] = False,
) -> responses.Response:
    """Apply the declared schema, or show what would be done."""
    ports = request.app.state.ports
    if mode == "plan":
        plan = await operation.schema_plan(ports, is_destructive)
        return reply.success(
            schema.described(plan),
            drift=plan.drift,
            notes=plan.notes,
            refusals=plan.refusals,
        )
    await function_postgres_schema_init(ports, destructive=is_destructive)
    return reply.success("done")


@router.get("/root/reset-global", responses=answers(openapi.DONE))
@router.post("/root/reset-global", responses=answers(openapi.DONE))
async def route_root_reset_global(request: Request) -> responses.Response:
    """Have every worker read the schema again and forget what it cached."""
    await operation.reset(request.app.state.ports)
    return reply.success("done")


@router.get(
    "/root/explain",
    responses=answers({"oneOf": [openapi.OBJECT, openapi.LIST]}, 404),
)
async def route_root_explain(
    request: Request,
    path: Annotated[
        str | None, Query(description="A path, such as /my/profile")
    ] = None,
    method: str = "GET",
    user_id: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    table: Annotated[str | None, Query(description="A table, with verb")] = None,
    verb: str = "read",
    tier: str = "my",
    id: Annotated[str | None, Query(description="The key of a row")] = None,
) -> responses.Response:
    """Return what holds for a route, and which rule would refuse this user.

    With `table`: the conditions of a verb on a tier, and what each is for a row.
    """
    if table is not None:
        ports, asked = request.app.state.ports, (table, tier, verb)
        return reply.success(await row.explain_rule(ports, asked, user_id, id))
    policies = request.app.state.policies
    if path is None:
        return reply.success(
            [policies.describe(policy) for policy in policies.policies()]
        )
    matched = policies.match("http", method.upper(), path)
    if matched.route is None:
        known = [route.path for route in policies.table.routes]
        raise NotFound(
            f"No route has {method.upper()} {path}.",
            code="route.unknown",
            hint=nearest(path, known),
        )
    user = await operation.known_user(request.app.state.ports, user_id)
    roles = await operation.known_roles(request.app.state.ports, user_id)
    rules = explain_route(
        matched.policy, policies.steps, user, is_anonymous=user_id is None, roles=roles
    )
    return reply.success(rules)
