"""One-time codes, sent and verified: /public/otp-…"""

from typing import Any, Literal

from extend import *
from pydantic import BaseModel, ConfigDict, Field

from atom import account, http, openapi, reply

router = APIRouter(tags=["One-time codes"])

Purpose = Literal["login", "signup", "change", "verify"]
SENT = openapi.answers(openapi.DONE, 400, 403, 429, 502, 503)
VERIFIED = openapi.answers(openapi.DONE, 400, 401, 429)


class Body(BaseModel):
    """What every body here keeps to: exact types, no other fields."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Asked(Body):
    purpose: Purpose | None = Field(
        None, description="What the code is good for; left out, for anything."
    )


class ToMobile(Asked):
    mobile: str = Field(min_length=1, max_length=40, examples=["+919876543210"])


class ByTemplate(ToMobile):
    message: str = Field(max_length=1000, examples=["Use {otp} at the shop."])
    template_id: str = Field(max_length=100, examples=["1107"])
    entity_id: str = Field(max_length=100, examples=["1201"])
    sender_id: str = Field(max_length=100, examples=["ATSHOP"])


class ToEmail(Asked):
    email: str = Field(min_length=1, max_length=320, examples=["ada@example.com"])
    sender_email: str | None = Field(
        None, max_length=320, description="One of config_otp_sender_list."
    )


class OfMobile(Body):
    otp: account.Code
    mobile: str = Field(min_length=1, max_length=40, examples=["+919876543210"])


class OfEmail(Body):
    otp: account.Code
    email: str = Field(min_length=1, max_length=320, examples=["ada@example.com"])


async def sent(request: Request, kind: str, body: Any, send: Any):
    caller = http.caller_address(request)
    wanted = account.Wanted(kind, getattr(body, kind), body.purpose, caller)
    await account.send_otp(request.app.state.ports, wanted, send)
    return reply.success("done")


@router.post("/public/otp-send-mobile-sns", responses=SENT)
async def route_public_otp_send_mobile_sns(request: Request, body: ToMobile):
    """Send a code to a mobile by SNS."""
    ports = request.app.state.ports
    return await sent(request, "mobile", body, account.by_sns(ports, body.purpose))


@router.post("/public/otp-send-mobile-sns-template", responses=SENT)
async def route_public_otp_send_mobile_sns_template(request: Request, body: ByTemplate):
    """Send a code to a mobile by SNS, as a template of config_sns_template_list."""
    ids = body.model_dump(include={"template_id", "entity_id", "sender_id"})
    send = account.by_sns_template(request.app.state.ports, body.message, ids)
    return await sent(request, "mobile", body, send)


@router.post("/public/otp-send-mobile-fast2sms", responses=SENT)
async def route_public_otp_send_mobile_fast2sms(request: Request, body: ToMobile):
    """Send a code to a mobile by Fast2SMS."""
    send = account.by_fast2sms(request.app.state.ports)
    return await sent(request, "mobile", body, send)


@router.post("/public/otp-send-email-ses", responses=SENT)
async def route_public_otp_send_email_ses(request: Request, body: ToEmail):
    """Send a code to an e-mail address by SES."""
    ports = request.app.state.ports
    send = account.by_ses(ports, body.purpose, body.sender_email)
    return await sent(request, "email", body, send)


@router.post("/public/otp-send-email-resend", responses=SENT)
async def route_public_otp_send_email_resend(request: Request, body: ToEmail):
    """Send a code to an e-mail address by Resend."""
    ports = request.app.state.ports
    send = account.by_resend(ports, body.purpose, body.sender_email)
    return await sent(request, "email", body, send)


async def verified(request: Request, kind: str, address: str, otp: str | int):
    ports, caller = request.app.state.ports, http.caller_address(request)
    code = account.read_code(otp)
    await account.verify_throttled(ports, kind, address, code, caller, "verify")
    return reply.success("done")


@router.post("/public/otp-verify-mobile", responses=VERIFIED)
async def route_public_otp_verify_mobile(request: Request, body: OfMobile):
    """Use up a code that was sent to a mobile."""
    return await verified(request, "mobile", body.mobile, body.otp)


@router.post("/public/otp-verify-email", responses=VERIFIED)
async def route_public_otp_verify_email(request: Request, body: OfEmail):
    """Use up a code that was sent to an e-mail address."""
    return await verified(request, "email", body.email, body.otp)
