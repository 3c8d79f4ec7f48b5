"""The second step of a login: /auth/login-mfa."""

from extend import *
from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field

from atom import account, http, openapi

router = APIRouter(tags=["Auth"], dependencies=[Depends(account.device)])


class Second(BaseModel):
    """The token of the first step, and one factor."""

    model_config = ConfigDict(strict=True, extra="forbid")

    mfa_token: str = Field(min_length=1, max_length=200, examples=["kz3v…"])
    code: account.Code | None = Field(None, description="Of the authenticator app.")
    recovery_code: str | None = Field(None, min_length=1, max_length=100)


@router.post(
    "/auth/login-mfa",
    response_model=account.Tokens,
    responses=openapi.failures(400, 401, 403, 429),
)
async def route_auth_login_mfa(request: Request, body: Second):
    """Pass the second step of a login, by a code of the app or a recovery code."""
    given = account.Given(
        None if body.code is None else account.read_code(body.code), body.recovery_code
    )
    ports, caller = request.app.state.ports, http.caller_address(request)
    pair = await account.log_in_with_factor(
        ports, mfa_token=body.mfa_token, given=given, caller=caller
    )
    return account.entered(pair)
