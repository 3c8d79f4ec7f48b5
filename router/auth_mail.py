"""Links that are mailed: /auth/password-forgot and -reset, /auth/email-verify…"""

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


class OfAddress(Body):
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
async def route_auth_password_forgot(request: Request, body: OfAddress):
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


class Confirmed(Body):
    token: Token


@router.post("/auth/email-verify", responses=openapi.answers(openapi.DONE, 401, 409))
async def route_auth_email_verify(request: Request, body: Confirmed):
    """Confirm an address by the token of the mail; the user may log in from then on."""
    await account.confirm(request.app.state.ports, body.token)
    return reply.success("done")


@router.post(
    "/auth/email-verify-resend",
    responses=openapi.answers(openapi.DONE, 400, 429, 503),
)
async def route_auth_email_verify_resend(request: Request, body: OfAddress):
    """Mail the link to confirm an address again. The answer is the same for any."""
    ports, caller = request.app.state.ports, http.caller_address(request)
    await account.resend(ports, caller=caller, **body.model_dump())
    return reply.success("done")
