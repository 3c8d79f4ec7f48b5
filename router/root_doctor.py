"""Whether the services of this server can be used, and what cures them."""

from dataclasses import asdict

from extend import *

from atom import openapi, operation, reply

router = APIRouter(tags=["Root"])


@router.get(
    "/root/doctor",
    responses=openapi.answers(
        {"type": "array", "items": {"type": "object", "required": ["name", "state"]}}
    ),
)
async def route_root_doctor(request: Request) -> responses.Response:
    """Ask every service: configured, reachable, permitted, version, latency, cure."""
    state = request.app.state
    found = await operation.doctor(state.ports, state.runtime.clients)
    return reply.success([asdict(each) for each in found])
