"""The second step of a login: /auth/login-mfa, and /auth/totp-… to set it up."""

from typing import Any

from extend import *
from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from atom import account, http, openapi, reply

router = APIRouter(tags=["Auth"], dependencies=[Depends(account.device)])


APP = {
    "type": "object",
    "required": ["secret", "uri"],
    "properties": {"secret": openapi.TEXT, "uri": openapi.TEXT},
}


class Body(BaseModel):
    """The token of the first step."""

    model_config = ConfigDict(strict=True, extra="forbid")

    mfa_token: str = Field(min_length=1, max_length=200, examples=["kz3v…"])


class Second(Body):
    """The token of the first step, and one factor."""

    code: account.Code | None = Field(None, description="Of the authenticator app.")
    recovery_code: str | None = Field(None, min_length=1, max_length=100)
    passkey: dict[str, Any] | None = Field(
        None, description="What the authenticator signed, as `toJSON()` of it has it."
    )


@router.post(
    "/auth/login-mfa",
    response_model=account.Tokens,
    responses=openapi.failures(400, 401, 403, 429),
)
async def route_auth_login_mfa(request: Request, body: Second):
    """Pass the second step of a login, by one factor."""
    given = account.Given(
        None if body.code is None else account.read_code(body.code),
        body.recovery_code,
        body.passkey,
    )
    ports, caller = request.app.state.ports, http.caller_address(request)
    pair = await account.log_in_with_factor(
        ports, mfa_token=body.mfa_token, given=given, caller=caller
    )
    return account.entered(pair)


class EnrolledApp(Body):
    """The token of the first step, and the first code of the app."""

    code: account.Code


@router.post(
    "/auth/totp-create", responses=openapi.answers(APP, 400, 401, 403, 429, 503)
)
async def route_auth_totp_create(request: Request, body: Body):
    """Return a secret for an authenticator app, where a login answered `enrol`."""
    ports = request.app.state.ports
    return reply.success(await account.begin_totp(ports, body.mfa_token))


@router.post(
    "/auth/totp-confirm",
    response_model=account.Enrolled,
    responses=openapi.failures(400, 401, 403, 404, 429, 503),
)
async def route_auth_totp_confirm(request: Request, body: EnrolledApp):
    """Set the app up by its first code; answers tokens and the recovery codes."""
    ports, code = request.app.state.ports, account.read_code(body.code)
    pair, codes = await account.end_totp(ports, mfa_token=body.mfa_token, code=code)
    return account.entered(pair, recovery_code=codes)
