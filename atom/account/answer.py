"""What the routes of /auth answer to who comes in, and who gets it."""

from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from atom import http, reply
from atom.account.mfa import Challenge, Entry
from atom.account.pending import Waiting
from atom.account.session import DEVICE

AGENT_MAX = 300


class Tokens(BaseModel):
    """An access token, the refresh token of its session, and its seconds to live."""

    status: int = Field(1, examples=[1])
    message: str = Field(description="Access token.", examples=["eyJhbGciOi…"])
    refresh_token: str = Field(examples=["0.Zx3…"])
    expires_in: int = Field(description="Seconds.", examples=[86400])


class Waits(BaseModel):
    """A new user who cannot log in yet."""

    status: int = Field(1, examples=[1])
    message: str = Field(examples=["pending"])
    pending: str = Field(
        description="The flow of config.", examples=["email_verification"]
    )


class SecondStep(BaseModel):
    """A token for the second step of a login, and for nothing else."""

    mfa_token: str = Field(examples=["kz3v…"])
    method: list[str] = Field(
        description="What the second step may be.", examples=[["totp", "recovery"]]
    )
    enrol: list[str] = Field(
        description="Without a method: what has to be set up first, by the same token.",
        examples=[[]],
    )
    expires_in: int = Field(description="Seconds.", examples=[300])


class Challenged(BaseModel):
    """The first step of a login is passed; `/auth/login-mfa` is the second."""

    status: int = Field(1, examples=[1])
    message: SecondStep


async def device(request: Request) -> None:
    """Note who gets tokens, for the list of their sessions."""
    agent = request.headers.get("user-agent", "")[:AGENT_MAX]
    DEVICE.set((http.caller_address(request), agent or None))


def entered(made: Entry | Waiting, **more: Any) -> Response:
    """Answer who comes in: with tokens, or what they wait for."""
    if isinstance(made, Waiting):
        return reply.success("pending", pending=made.reason)
    if isinstance(made, Challenge):
        message = {
            "mfa_token": made.token,
            "method": made.methods,
            "enrol": made.enrol,
            "expires_in": made.seconds,
        }
        return reply.success(message)
    return reply.success(
        made.access, refresh_token=made.refresh, expires_in=made.expires_in, **more
    )
