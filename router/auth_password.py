"""A forgotten password: /auth/password-forgot, /auth/password-reset."""

from typing import Annotated

from extend import *
from pydantic import BaseModel, ConfigDict, Field

from atom import account, http, openapi, reply

router = APIRouter(tags=["Auth"])

DEFAULT = config["config_type_default"]
Token = Annotated[str, Field(min_length=1, max_length=200, examples=["kz3v…"])]


class Body(BaseModel):
    """What every body here keeps to: exact types, no other fields."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Forgotten(Body):
    type: int = Field(DEFAULT, ge=-32768, le=32767, description="Kind of user.")
    email: str = Field(min_length=1, max_length=320, examples=["ada@example.com"])


class Reset(Body):
    token: Token
    password: str = Field(
        min_length=1, max_length=1000, examples=["correct horse battery"]
    )


@router.post(
    "/auth/password-forgot", responses=openapi.answers(openapi.DONE, 400, 429, 503)
)
async def route_auth_password_forgot(request: Request, body: Forgotten):
    """Mail a link to set a new password. The answer is the same for any address."""
    ports, caller = request.app.state.ports, http.caller_address(request)
    await account.ask_reset(ports, caller=caller, **body.model_dump())
    return reply.success("done")


@router.post(
    "/auth/password-reset", responses=openapi.answers(openapi.DONE, 400, 401, 503)
)
async def route_auth_password_reset(request: Request, body: Reset):
    """Set a new password by the token of the mail. Every session of the user ends."""
    await account.reset_password(request.app.state.ports, **body.model_dump())
    return reply.success("done")
