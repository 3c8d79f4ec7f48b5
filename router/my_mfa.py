"""One's own second factors: /my/mfa-read, /my/totp-…, /my/recovery-code-create."""

from typing import Any

from extend import *
from pydantic import BaseModel, ConfigDict, Field

from atom import account, http, openapi, reply

router = APIRouter(tags=["My account"])

APP = {
    "type": "object",
    "required": ["secret", "uri"],
    "properties": {"secret": openapi.TEXT, "uri": openapi.TEXT},
}
RECOVERY = {"type": "array", "items": openapi.TEXT}


class Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Proof(Body):
    """What proves that the user asks: the password, or a factor that is there."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"password": "correct horse battery"}]}
    )

    password: str | None = Field(None, min_length=1, max_length=1000)
    code: account.Code | None = Field(None, description="Of the authenticator app.")
    recovery_code: str | None = Field(None, min_length=1, max_length=100)


class First(Body):
    code: account.Code


def me(request: Request) -> account.Me:
    state = request.state
    caller = http.caller_address(request)
    return account.Me(int(state.user["id"]), state.session, caller)


def proof(body: Proof) -> dict[str, Any]:
    code = None if body.code is None else account.read_code(body.code)
    given = account.Given(code, body.recovery_code)
    return {"password": body.password, "given": given}


@router.get("/my/mfa-read", responses=openapi.answers(openapi.OBJECT))
async def route_my_mfa_read(request: Request):
    """Return which second factors one has set up, and how many recovery codes."""
    ports = request.app.state.ports
    return reply.success(await account.read_factors(ports, request.state.user["id"]))


@router.post("/my/totp-create", responses=openapi.answers(APP, 400, 401, 403, 429, 503))
async def route_my_totp_create(request: Request, body: Proof):
    """Return a secret for an authenticator app, as text and as `otpauth://` URI.

    It counts once `/my/totp-confirm` has got a code of it, within an hour.
    """
    ports = request.app.state.ports
    return reply.success(await account.create_totp(ports, me(request), **proof(body)))


@router.post(
    "/my/totp-confirm", responses=openapi.answers(RECOVERY, 400, 401, 403, 404, 503)
)
async def route_my_totp_confirm(request: Request, body: First):
    """Set the app up by its first code; one's other sessions end.

    Answers the recovery codes, this once. There are none when one has some already.
    """
    ports, code = request.app.state.ports, account.read_code(body.code)
    return reply.success(await account.confirm_totp(ports, me(request), code))


@router.delete(
    "/my/totp-delete",
    responses=openapi.answers(openapi.DONE, 400, 401, 403, 404, 429, 503),
)
async def route_my_totp_delete(request: Request, body: Proof):
    """Take the authenticator app away, and the recovery codes."""
    ports = request.app.state.ports
    await account.delete_totp(ports, me(request), **proof(body))
    return reply.success("done")


@router.post(
    "/my/recovery-code-create",
    responses=openapi.answers(RECOVERY, 400, 401, 403, 404, 429, 503),
)
async def route_my_recovery_code_create(request: Request, body: Proof):
    """Return new recovery codes, this once; the earlier ones are void."""
    ports = request.app.state.ports
    return reply.success(await account.renew_codes(ports, me(request), **proof(body)))
