"""What the routes of /auth answer to who comes in, and who gets it."""

from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from atom import http, reply
from atom.account.factor import Me
from atom.account.mfa import Challenge, Entry, Given
from atom.account.otp import Code, read_code
from atom.account.pending import Waiting
from atom.account.security_event import attempted
from atom.account.session import DEVICE
from atom.row.prefer import preferred, words

AGENT_MAX = 300
COOKIE = "token=cookie"  # what a page prefers
# The request that is answered with cookies, and not with tokens in the body.
BY_COOKIE: ContextVar[Request | None] = ContextVar("by_cookie", default=None)


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


class Enrolled(Tokens):
    """Tokens, and the recovery codes, this once."""

    recovery_code: list[str] = Field(examples=[["k3vz-…"]])


class Proof(BaseModel):
    """What proves that the user asks: the password, or a factor that is there."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"password": "correct horse battery"}]},
    )

    password: str | None = Field(None, min_length=1, max_length=1000)
    code: Code | None = Field(None, description="Of the authenticator app.")
    recovery_code: str | None = Field(None, min_length=1, max_length=100)

    def given(self) -> dict[str, Any]:
        """Return it as functions of factors take it."""
        code = None if self.code is None else read_code(self.code)
        return {"password": self.password, "given": Given(code, self.recovery_code)}


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


def me(request: Request) -> Me:
    """Return who asks."""
    state, caller = request.state, http.caller_address(request)
    return Me(int(state.user["id"]), state.session, caller)


async def device(request: Request) -> AsyncIterator[None]:
    """Note who gets tokens, for the list of their sessions, and who does not."""
    agent, address = request.headers.get("user-agent", ""), http.caller_address(request)
    DEVICE.set((address, agent[:AGENT_MAX] or None))
    is_on = request.app.state.ports.account.is_token_cookie
    BY_COOKIE.set(request if is_on and COOKIE in words(preferred(request)) else None)
    with attempted(request.app.state.ports, request.scope["route"].path, address):
        yield


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
    if (request := BY_COOKIE.get()) is None:
        return reply.success(
            made.access, refresh_token=made.refresh, expires_in=made.expires_in, **more
        )
    answer = reply.success("done", expires_in=made.expires_in, **more)
    http.keep_access(answer, made.access, made.expires_in)
    http.keep_refresh(answer, request, made.refresh, request.app.state.ports.account)
    return answer
