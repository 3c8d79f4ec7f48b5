"""`body_max_kb`: how large a body a route accepts."""

from collections.abc import Coroutine
from typing import Any

from starlette.types import Message

from atom.errors import ApiError, TooLarge
from atom.http.exchange import Exchange
from atom.http.policy import Key, whole
from atom.http.step import Proceed, Step

BODY_MAX_KB: Key[int] = Key(
    "body_max_kb",
    "body_bytes",
    lambda value: whole(value) * 1024,
    1_048_576,
    form="KiB",
    help="413 above it. Unset: `config_body_max_kb`.",
    example=64,
    fallback="config_body_max_kb",
    describe=lambda value: value // 1024,
)

DIGITS_MAX = 20  # of 2**64; int() refuses a number of some thousand digits

NO_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


def refusal(limit: int) -> TooLarge:
    """Return the error that names the limit."""
    return TooLarge(
        f"The body is larger than {limit // 1024} KiB.",
        hint="Send less, or raise body_max_kb of this route in config_api.",
    )


def limit_body(exchange: Exchange, proceed: Proceed) -> Coroutine[Any, Any, None]:
    """Refuse a body that is too large: by its announced size, or while it arrives."""
    announced = exchange.content_length
    if not announced and not exchange.chunked and exchange.method in NO_BODY:
        return proceed(exchange)
    limit = BODY_MAX_KB.of(exchange.policy)
    if announced:
        if not announced.isdigit() or len(announced) > DIGITS_MAX:
            raise ApiError("Content-Length is not a number.")
        if int(announced) > limit:
            raise refusal(limit)
    else:
        receive, seen = exchange.receive, 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise refusal(limit)
            return message

        exchange.receive = counted
    return proceed(exchange)


STEP = Step(
    limit_body,
    "the body is not too large",
    keys=(BODY_MAX_KB,),
    codes=("body.too_large",),
)
