"""One's own second factors: /my/mfa-read, /my/totp-…, /my/recovery-code-create."""

from extend import *
from pydantic import BaseModel, ConfigDict

from atom import account, openapi, reply

router = APIRouter(tags=["My account"])

APP = {
    "type": "object",
    "required": ["secret", "uri"],
    "properties": {"secret": openapi.TEXT, "uri": openapi.TEXT},
}
RECOVERY = {"type": "array", "items": openapi.TEXT}


class FirstCode(BaseModel):
    """The first code of the app."""

    model_config = ConfigDict(strict=True, extra="forbid")

    code: account.Code


@router.get("/my/mfa-read", responses=openapi.answers(openapi.OBJECT))
async def route_my_mfa_read(request: Request):
    """Return which second factors one has set up, and how many recovery codes."""
    ports = request.app.state.ports
    return reply.success(await account.read_factors(ports, request.state.user["id"]))


@router.post("/my/totp-create", responses=openapi.answers(APP, 400, 401, 403, 429, 503))
async def route_my_totp_create(request: Request, body: account.Proof):
    """Return a secret for an authenticator app, as text and as `otpauth://` URI.

    It counts once `/my/totp-confirm` has got a code of it, within an hour.
    """
    ports = request.app.state.ports
    return reply.success(
        await account.create_totp(ports, account.me(request), **body.given())
    )


@router.post(
    "/my/totp-confirm", responses=openapi.answers(RECOVERY, 400, 401, 403, 404, 503)
)
async def route_my_totp_confirm(request: Request, body: FirstCode):
    """Set the app up by its first code; one's other sessions end.

    Answers the recovery codes, this once. There are none when one has some already.
    """
    ports, code = request.app.state.ports, account.read_code(body.code)
    return reply.success(await account.confirm_totp(ports, account.me(request), code))


@router.delete(
    "/my/totp-delete",
    responses=openapi.answers(openapi.DONE, 400, 401, 403, 404, 429, 503),
)
async def route_my_totp_delete(request: Request, body: account.Proof):
    """Take the authenticator app away, and the recovery codes."""
    ports = request.app.state.ports
    await account.delete_totp(ports, account.me(request), **body.given())
    return reply.success("done")


@router.post(
    "/my/recovery-code-create",
    responses=openapi.answers(RECOVERY, 400, 401, 403, 404, 429, 503),
)
async def route_my_recovery_code_create(request: Request, body: account.Proof):
    """Return new recovery codes, this once; the earlier ones are void."""
    ports = request.app.state.ports
    return reply.success(
        await account.renew_codes(ports, account.me(request), **body.given())
    )
