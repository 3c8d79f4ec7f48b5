"""The front door: who we are, and whether everything answers."""

from extend import *

from atom import observe, openapi, reply

router = APIRouter(tags=["Healthcheck"])
FRONT = responses.Response(
    reply.dump(
        {
            "status": "ok",
            "name": config["config_app_name"],
            "version": config["config_app_version"],
            "env": config["config_env"],
        }
    ),
    media_type=reply.JSON,
)


FIELDS = ("status", "name", "version", "env")
FRONT_SCHEMA = {
    "type": "object",
    "required": list(FIELDS),
    "properties": dict.fromkeys(FIELDS, openapi.TEXT),
}
HEALTH_SCHEMA = {
    "type": "object",
    "required": ["postgres"],
    "properties": {"postgres": {"enum": ["ok"]}, "closed": {"type": "string"}},
}


@router.get(
    "/",
    responses={
        200: {"description": "Ok.", "content": {reply.JSON: {"schema": FRONT_SCHEMA}}}
    },
)
async def route_index(request: Request) -> responses.Response:
    """Return name, version and environment."""
    return FRONT


@router.get("/health", responses=openapi.answers(HEALTH_SCHEMA))
async def route_health(request: Request) -> responses.Response:
    """Check that this process and its primary database answer (503 if not)."""
    ports = request.app.state.ports
    await observe.check_database(ports)
    found = {"postgres": "ok"}
    if broken := ports.rules.broken:  # tables with a rule that cannot be applied
        found["closed"] = ", ".join(sorted({table for table, _, _ in broken}))
    return reply.success(found)
