"""Everything that can go wrong, as the caller of the API will hear it.

A code is two words joined by a dot. The first word is the module that raises it, so
`rate.exceeded` is found in `atom/http/step/rate.py`.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class ApiError(Exception):
    """An error whose message is safe to show to the caller."""

    status = 400
    code = "request.invalid"

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.hint = hint
        self.headers: dict[str, str] = {}
        self.detail: Any = None  # what FastAPI would have said, for its own errors


class Unauthenticated(ApiError):
    """No token, or one that does not verify."""

    status = 401
    code = "token.invalid"

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.headers["WWW-Authenticate"] = "Bearer"


class Forbidden(ApiError):
    """A known user who may not do this."""

    status = 403
    code = "access.denied"


class NotFound(ApiError):
    """No such thing, or none that this caller may see."""

    status = 404
    code = "row.missing"


class Conflict(ApiError):
    """What is asked for contradicts what is stored."""

    status = 409
    code = "row.exists"


class TooLarge(ApiError):
    """A body larger than the route takes."""

    status = 413
    code = "body.too_large"


class Unprocessable(ApiError):
    """Readable, of the right type, and against a rule of the table or the route."""

    status = 422
    code = "value.refused"


class RateLimited(ApiError):
    """More requests than the route allows in one window."""

    status = 429
    code = "rate.exceeded"

    def __init__(self, message: str = "ratelimiter exceeded", *, seconds: int) -> None:
        super().__init__(message, hint=f"Try again in {seconds} s.")
        self.headers["Retry-After"] = str(seconds)


class Unexpected(ApiError):
    """A fault of ours. The caller learns that it happened, the log learns why."""

    status = 500
    code = "error.unexpected"


class Unavailable(ApiError):
    """A service this route needs is not configured or does not answer."""

    status = 503
    code = "client.missing"

    def __init__(
        self, message: str, *, code: str = "", hint: str = "", seconds: int = 1
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.headers["Retry-After"] = str(seconds)


class TimedOut(ApiError):
    """The route did not answer within its `timeout_sec`."""

    status = 504
    code = "timeout.exceeded"


def of_status(status: int, message: str, *, code: str = "") -> ApiError:
    """Return an error of any status, for code that knows only numbers."""
    error = ApiError(message, code=code or f"http.{status}")
    error.status = status
    return error


class ConfigError(Exception):
    """Config that cannot be served. Raised before the first request, never after."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(["Config cannot be used:", *self.problems]))


def nearest(word: str, choices: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return "Did you mean 'x'?" for the closest choice, or "" when none is close.

    How close it has to be is `cutoff`, from 0 to 1 (the same).

    >>> nearest("titel", ["title", "type"])
    "Did you mean 'title'?"
    """
    close = get_close_matches(word.lower(), list(choices), n=1, cutoff=cutoff)
    return f"Did you mean '{close[0]}'?" if close else ""
