"""Signing up, logging in, refreshing and ending a session: /auth/…"""

from typing import Annotated, Any

from extend import *
from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, create_model

from atom import account, http, reply
from atom.errors import Unauthenticated

router = APIRouter(tags=["Auth"], dependencies=[Depends(account.device)])

DEFAULT = config["config_type_default"]
FLOW = config["config_user_approval_flow"]
COOKIE = config["config_is_token_cookie"]  # a page has it as a cookie
CONFIRMED = "email_verification"
Type = Annotated[int, Field(ge=-32768, le=32767, description="Kind of user.")]
Username = Annotated[str, Field(min_length=1, max_length=200, examples=["ada"])]
Password = Annotated[
    str, Field(min_length=1, max_length=1000, examples=["correct horse battery"])
]
Number = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Body(BaseModel):
    """What every body here keeps to: exact types, no other fields."""

    model_config = ConfigDict(strict=True, extra="forbid")


class ByUsername(Body):
    type: Type = Field(DEFAULT, examples=[1])
    username: Username
    password: Password


class ByNumber(Body):
    type: Type = Field(DEFAULT, examples=[1])
    username_bigint: Number = Field(examples=[9876543210])
    password_bigint: Number = Field(examples=[1234567890])


class ByEmail(Body):
    type: Type = Field(DEFAULT, examples=[1])
    email: str = Field(min_length=1, max_length=320, examples=["ada@example.com"])
    password: Password


class ByMobile(Body):
    type: Type = Field(DEFAULT, examples=[1])
    mobile: str = Field(min_length=1, max_length=40, examples=["+919876543210"])
    password: Password


def with_columns(
    name: str, body: type[BaseModel], given: frozenset[str] = frozenset()
) -> Any:
    """Return a body with the columns that sign-up takes, and those it demands."""
    wanted = config["config_signup"]
    demanded = {*wanted["mandatory"], *(("email",) if FLOW == CONFIRMED else ())}
    fields: dict[str, Any] = {
        column: (
            Any,
            Field(
                ... if column in demanded else None,
                description=f"Column {column} of users.",
            ),
        )
        for column in sorted(
            {*wanted["column"], *demanded} - body.model_fields.keys() - given
        )
    }
    if {"email", "mobile"} & (fields.keys() | body.model_fields.keys()):
        fields["otp"] = (str | None, Field(None, description="Sent to the address."))
    return create_model(name, __base__=body, **fields)


SignUp = with_columns("SignUp", ByUsername)
SignUpBigint = with_columns("SignUpBigint", ByNumber)
SignUpEmail = with_columns("SignUpEmail", ByEmail)
SignUpMobile = with_columns("SignUpMobile", ByMobile)


class Invited(Body):
    token: str = Field(min_length=1, max_length=200, examples=["kz3v…"])
    password: Password
    username: Username | None = None


Accepted = with_columns("Accepted", Invited, given=frozenset({"email"}))


class OtpByEmail(Body):
    type: Type = Field(DEFAULT, examples=[1])
    otp: account.Code
    email: str = Field(min_length=1, max_length=320, examples=["ada@example.com"])


class OtpByMobile(Body):
    type: Type = Field(DEFAULT, examples=[1])
    otp: account.Code
    mobile: str = Field(min_length=1, max_length=40, examples=["+919876543210"])


class ByGoogle(Body):
    type: Type = Field(DEFAULT, examples=[1])
    google_token: str = Field(min_length=1, max_length=8192, examples=["eyJhbGciOi…"])
    nonce: str | None = Field(
        None, max_length=200, description="What the login at Google was begun with."
    )


class Begin(Body):
    provider: str = Field(max_length=100, examples=["google"])
    redirect_uri: str | None = Field(
        None,
        max_length=2000,
        description="A page that config_oidc lists; else the first.",
    )


class Begun(BaseModel):
    url: str = Field(description="Where the browser goes.")
    flow: str = Field(description="What the page keeps until it is back.")


class BegunAnswer(BaseModel):
    status: int = Field(1, examples=[1])
    message: Begun


class ByOidc(Body):
    type: Type = Field(DEFAULT, examples=[1])
    flow: str = Field(
        max_length=8192,
        description="As /auth/oidc-begin answered.",
        examples=["eyJhbGciOi…"],
    )
    code: str = Field(
        max_length=4096,
        description="As the service sent it back.",
        examples=["4/0AX4…"],
    )
    state: str = Field(
        max_length=200,
        description="As the service sent it back.",
        examples=["5y2Q…"],
    )
    iss: str | None = Field(None, max_length=2000, description="If it sent one.")


class Refresh(Body):
    refresh_token: str | None if COOKIE else str = Field(
        None if COOKIE else ...,
        min_length=1,
        max_length=200,
        examples=["0.Zx3…"],
    )


IS_MFA = config["config_mfa"] != "off"
In = account.Tokens | account.Challenged if IS_MFA else account.Tokens
Made = In if FLOW == "none" else In | account.Waits


class Done(BaseModel):
    status: int = Field(1, examples=[1])
    message: str = Field(examples=["done"])


def refused(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the refusals of a route for /docs."""
    words = {
        400: "A value is against a rule: type, username or password.",
        401: "wrong login or password; or the token is missing, invalid or expired.",
        403: "signup disabled; or user not active.",
        409: "username already exists; or the refresh token was used a moment ago.",
        429: "Too many failed logins; `Retry-After` is when to try again.",
    }
    return {status: {"description": words[status]} for status in statuses}


async def signed_up(request: Request, body: BaseModel, kind: str):
    values = body.model_dump(exclude_unset=True) | {"type": body.type}
    values |= {"kind": kind, "name": values.pop(kind)}
    caller = http.caller_address(request)
    ports = request.app.state.ports
    return account.entered(await account.sign_up(ports, caller=caller, **values))


SIGNED_UP = {"response_model": Made, "responses": refused(400, 403, 409)}
PROVEN = {"response_model": Made, "responses": refused(400, 401, 403, 409)}


@router.post("/auth/signup", **SIGNED_UP)
async def route_auth_signup(request: Request, body: SignUp):
    """Make a user with a name and a password."""
    return await signed_up(request, body, "username")


@router.post("/auth/signup-bigint", **SIGNED_UP)
async def route_auth_signup_bigint(request: Request, body: SignUpBigint):
    """Make a user with numbers as name and password."""
    ports, caller = request.app.state.ports, http.caller_address(request)
    values = body.model_dump(exclude_unset=True) | {"type": body.type}
    return account.entered(await account.sign_up_bigint(ports, caller=caller, **values))


@router.post("/auth/signup-email", **PROVEN)
async def route_auth_signup_email(request: Request, body: SignUpEmail):
    """Make a user with an e-mail address and a password."""
    return await signed_up(request, body, "email")


@router.post("/auth/signup-mobile", **PROVEN)
async def route_auth_signup_mobile(request: Request, body: SignUpMobile):
    """Make a user with a mobile and a password."""
    return await signed_up(request, body, "mobile")


@router.post("/auth/invitation-accept", **PROVEN)
async def route_auth_invitation_accept(request: Request, body: Accepted):
    """Make the user who was invited, by the token of the mail and a new password."""
    values = body.model_dump(exclude_unset=True)
    return account.entered(await account.accept(request.app.state.ports, **values))


async def logged_in(
    request: Request, kind: str, type: int, name: str | int, password: str
):
    pair = await account.log_in(
        request.app.state.ports,
        kind=kind,
        type=type,
        name=name,
        password=password,
        address=http.caller_address(request),
    )
    return account.entered(pair)


@router.post(
    "/auth/login-password", response_model=In, responses=refused(401, 403, 429)
)
async def route_auth_login_password(request: Request, body: ByUsername):
    """Log in with a username and a password."""
    return await logged_in(request, "username", body.type, body.username, body.password)


@router.post(
    "/auth/login-password-bigint",
    response_model=In,
    responses=refused(401, 403, 429),
)
@router.post("/auth/login-bigint", include_in_schema=False)
async def route_auth_login_password_bigint(request: Request, body: ByNumber):
    """Log in with a name and a password that are numbers."""
    password = str(body.password_bigint)
    return await logged_in(
        request, "username_bigint", body.type, body.username_bigint, password
    )


@router.post(
    "/auth/login-password-email",
    response_model=In,
    responses=refused(401, 403, 429),
)
@router.post("/auth/login-email", include_in_schema=False)
async def route_auth_login_password_email(request: Request, body: ByEmail):
    """Log in with an e-mail address and a password."""
    return await logged_in(request, "email", body.type, body.email, body.password)


@router.post(
    "/auth/login-password-mobile",
    response_model=In,
    responses=refused(401, 403, 429),
)
@router.post("/auth/login-mobile", include_in_schema=False)
async def route_auth_login_password_mobile(request: Request, body: ByMobile):
    """Log in with a mobile number and a password."""
    return await logged_in(request, "mobile", body.type, body.mobile, body.password)


async def logged_in_with_otp(request: Request, kind: str, body: Any):
    pair = await account.log_in_with_otp(
        request.app.state.ports,
        kind=kind,
        type=body.type,
        address=getattr(body, kind),
        code=account.read_code(body.otp),
        caller=http.caller_address(request),
    )
    return account.entered(pair)


OTP = refused(400, 401, 403, 409, 429)


@router.post("/auth/login-otp-email", response_model=In, responses=OTP)
async def route_auth_login_otp_email(request: Request, body: OtpByEmail):
    """Log in with a code that was mailed; who is unknown becomes a user."""
    return await logged_in_with_otp(request, "email", body)


@router.post("/auth/login-otp-mobile", response_model=In, responses=OTP)
async def route_auth_login_otp_mobile(request: Request, body: OtpByMobile):
    """Log in with a code that was sent to a mobile; who is unknown becomes a user."""
    return await logged_in_with_otp(request, "mobile", body)


@router.post("/auth/login-google", response_model=In, responses=OTP)
async def route_auth_login_google(request: Request, body: ByGoogle):
    """Log in with an ID token of Google; who is unknown becomes a user."""
    pair = await account.log_in_with_google(
        request.app.state.ports, **body.model_dump()
    )
    return account.entered(pair)


@router.post(
    "/auth/oidc-begin",
    response_model=BegunAnswer,
    responses=refused(400, 429),
)
async def route_auth_oidc_begin(request: Request, body: Begin):
    """Begin to sign in by a service of config_oidc."""
    ports = request.app.state.ports
    return reply.success(await account.begin_oidc(ports, **body.model_dump()))


@router.post("/auth/login-oidc", response_model=In, responses=OTP)
async def route_auth_login_oidc(request: Request, body: ByOidc):
    """Log in with what the service sent back; who is unknown becomes a user."""
    ports = request.app.state.ports
    return account.entered(await account.log_in_with_oidc(ports, **body.model_dump()))


@router.post(
    "/auth/token-refresh",
    response_model=account.Tokens,
    responses=refused(401, 403, 409),
)
async def route_auth_token_refresh(request: Request, body: Refresh):
    """Exchange a refresh token for the next pair; it is good once.

    Within `config_token_refresh_grace_sec` its second use is 409 `token.used`: another
    tab was faster. After that it ends the session for all who hold a token of it.
    """
    given = body.refresh_token
    if given is None:
        given = http.refresh_token(request)
        account.BY_COOKIE.set(request)
    return account.entered(await account.rotate(request.app.state.ports, given))


@router.post("/auth/logout", response_model=Done, responses=refused(401))
async def route_auth_logout(request: Request):
    """End the session of this token: it and its refresh token stop at once."""
    ports, state = request.app.state.ports, request.state
    if not state.user:
        raise Unauthenticated("token missing", code="token.missing")
    await account.logout(ports, state.user["id"], state.session)
    return http.clear(reply.success("done"), request)
