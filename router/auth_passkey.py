"""Logging in with a passkey: /auth/passkey-begin, /auth/login-passkey."""

from typing import Any

from extend import *
from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from atom import account, openapi, reply

router = APIRouter(tags=["Auth"], dependencies=[Depends(account.device)])
CREDENTIAL = [{"id": "…", "response": {}}]


class Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class BeginPasskey(Body):
    mfa_token: str | None = Field(
        None, max_length=200, description="For the second step of a login."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


class ByPasskey(Body):
    """What the authenticator signed, as `toJSON()` of it has it."""

    credential: dict[str, Any] = Field(examples=CREDENTIAL)


class EnrolPasskey(Body):
    mfa_token: str = Field(min_length=1, max_length=200, examples=["kz3v…"])


class EnrolledPasskey(EnrolPasskey):
    """What the browser made, as `toJSON()` of it has it."""

    credential: dict[str, Any] = Field(examples=CREDENTIAL)
    name: str | None = Field(None, max_length=100, description="For its user to know.")


@router.post(
    "/auth/passkey-begin",
    responses=openapi.answers(openapi.OBJECT, 400, 401, 403, 429),
)
async def route_auth_passkey_begin(request: Request, body: BeginPasskey):
    """Return options for `navigator.credentials.get()`, good for 5 minutes.

    Without `mfa_token` the person chooses one of the passkeys of this site.
    """
    ports = request.app.state.ports
    return reply.success(await account.begin_passkey(ports, body.mfa_token))


@router.post(
    "/auth/login-passkey",
    response_model=account.Tokens,
    responses=openapi.failures(400, 401, 403, 429),
)
async def route_auth_login_passkey(request: Request, body: ByPasskey):
    """Log in with a passkey, without a name or another factor."""
    ports = request.app.state.ports
    return account.entered(await account.log_in_with_passkey(ports, body.credential))


@router.post(
    "/auth/passkey-create",
    responses=openapi.answers(openapi.OBJECT, 400, 401, 403, 429),
)
async def route_auth_passkey_create(request: Request, body: EnrolPasskey):
    """Return options for a first passkey, where a login answered `enrol`."""
    ports = request.app.state.ports
    return reply.success(await account.begin_first_passkey(ports, body.mfa_token))


@router.post(
    "/auth/passkey-confirm",
    response_model=account.Enrolled,
    responses=openapi.failures(400, 401, 403, 409, 429),
)
async def route_auth_passkey_confirm(request: Request, body: EnrolledPasskey):
    """Keep the first passkey; answers tokens and the recovery codes."""
    ports = request.app.state.ports
    pair, codes = await account.end_first_passkey(ports, **body.model_dump())
    return account.entered(pair, recovery_code=codes)
