"""One's own passkeys: /my/passkey-create, -confirm, -read, -delete."""

from typing import Any

from extend import *
from pydantic import BaseModel, ConfigDict, Field

from atom import account, openapi, reply

router = APIRouter(tags=["My account"])

MADE = {
    "type": "object",
    "required": ["id", "recovery_code"],
    "properties": {
        "id": openapi.TEXT,
        "recovery_code": {"type": "array", "items": openapi.TEXT},
    },
}


class MadePasskey(BaseModel):
    """What the browser made, as `toJSON()` of it has it."""

    model_config = ConfigDict(strict=True, extra="forbid")

    credential: dict[str, Any] = Field(examples=[{"id": "…", "response": {}}])
    name: str | None = Field(None, max_length=100, description="For its user to know.")


class Which(account.Proof):
    """One of them, and what proves that the user asks."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "kz3v", "password": "correct horse"}]}
    )

    id: str = Field(max_length=2000, examples=["kz3v"])


@router.post(
    "/my/passkey-create",
    responses=openapi.answers(openapi.OBJECT, 400, 401, 403, 429),
)
async def route_my_passkey_create(request: Request, body: account.Proof):
    """Return options for `navigator.credentials.create()`, good for 5 minutes."""
    ports, me = request.app.state.ports, account.me(request)
    return reply.success(await account.create_passkey(ports, me, **body.given()))


@router.post("/my/passkey-confirm", responses=openapi.answers(MADE, 400, 401, 403, 409))
async def route_my_passkey_confirm(request: Request, body: MadePasskey):
    """Keep the passkey that the browser made; one's other sessions end.

    Answers its id, and recovery codes, this once, if it is the first second factor.
    """
    ports, me = request.app.state.ports, account.me(request)
    made = await account.confirm_passkey(ports, me, **body.model_dump())
    return reply.success(made)


@router.get("/my/passkey-read", responses=openapi.answers(openapi.LIST))
async def route_my_passkey_read(request: Request):
    """Return one's passkeys: id, name, times, and whether it is backed up."""
    ports = request.app.state.ports
    return reply.success(await account.read_passkeys(ports, request.state.user["id"]))


@router.delete(
    "/my/passkey-delete",
    responses=openapi.answers(openapi.DONE, 400, 401, 403, 404, 429),
)
async def route_my_passkey_delete(request: Request, body: Which):
    """Take a passkey away."""
    ports, me = request.app.state.ports, account.me(request)
    await account.delete_passkey(ports, me, id=body.id, **body.given())
    return reply.success("done")
