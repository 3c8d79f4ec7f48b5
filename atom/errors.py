"""The errors an API client can receive.

Their codes are one table, `atom/error_code.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, ClassVar, Self

NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Code:
    """A code that programs may rely on: it stays the same when words change."""

    name: str
    status: int | tuple[int, ...]
    meaning: str
    cure: str = ""

    @property
    def statuses(self) -> tuple[int, ...]:
        """The statuses an error with this code is answered with."""
        return self.status if isinstance(self.status, tuple) else (self.status,)


class ApiError(Exception):
    """An error that is safe to show to the caller.

    `status`, `headers` and `detail` are for the rare error that is not like the others
    of its class; `detail` is the field FastAPI adds to its own errors.
    """

    status = 400
    code = "request.invalid"
    always: ClassVar[Mapping[str, str]] = NONE  # headers of every error of the class
    position: int | None = None  # of the row of a list that it is about
    prefix = ""  # of the message, which names that row

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        hint: str = "",
        status: int = 0,
        headers: Mapping[str, str] = NONE,
        detail: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.hint = hint
        self.status = status or self.status
        self.headers = {**self.always, **headers}
        self.detail = detail

    def at(self, place: str) -> Self:
        """Put a place, such as "row 3", before the message. Return the error.

        >>> ApiError("'id' takes a number.").at("line 2").message
        "line 2: 'id' takes a number."
        """
        self.message = f"{place}: {self.message}"
        self.args = (self.message,)
        return self


class Unauthenticated(ApiError):
    """No token, or an invalid one."""

    status = 401
    code = "token.invalid"
    always = MappingProxyType({"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    """A known user without the right to do this."""

    status = 403
    code = "access.denied"


class NotFound(ApiError):
    """Something that does not exist, or that this caller may not see."""

    status = 404
    code = "row.missing"


class Conflict(ApiError):
    """A request that contradicts what is stored."""

    status = 409
    code = "row.exists"


class TooLarge(ApiError):
    """A body larger than the route accepts."""

    status = 413
    code = "body.too_large"


class Unprocessable(ApiError):
    """A value of the right type that breaks a rule of the table or the route."""

    status = 422
    code = "value.refused"


class RateLimited(ApiError):
    """More requests than the route allows in one window."""

    status = 429
    code = "rate.exceeded"

    def __init__(
        self,
        message: str = "ratelimiter exceeded",
        *,
        seconds: int,
        code: str = "",
    ) -> None:
        super().__init__(
            message,
            code=code or self.code,
            hint=f"Try again in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )


class Unexpected(ApiError):
    """A fault of the server; its trace is in the log."""

    status = 500
    code = "error.unexpected"


class Unavailable(ApiError):
    """A service this route needs is not configured or does not answer."""

    status = 503
    code = "client.missing"

    def __init__(
        self, message: str, *, code: str = "", hint: str = "", seconds: int = 1
    ) -> None:
        super().__init__(
            message, code=code, hint=hint, headers={"Retry-After": str(seconds)}
        )


class TimedOut(ApiError):
    """A route or a statement that took too long."""

    status = 504
    code = "timeout.exceeded"


class ConfigError(Exception):
    """Config that cannot be served. Raised before the first request, never after."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(["Config cannot be used:", *self.problems]))


def nearest(word: str, choices: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return "Did you mean 'x'?" for the closest choice, or "" when none is close.

    `cutoff` is how close it has to be, from 0 to 1 (the same).

    >>> nearest("titel", ["title", "type"])
    "Did you mean 'title'?"
    """
    close = get_close_matches(word.lower(), list(choices), n=1, cutoff=cutoff)
    return f"Did you mean '{close[0]}'?" if close else ""
