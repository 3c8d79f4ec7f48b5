"""`body_max_kb`: how large a body a route takes."""

from starlette.types import Message

from atom.errors import ApiError, TooLarge
from atom.http.exchange import Exchange, Proceed

DIGITS_MAX = 20  # of 2**64; Python reads no number of some thousand digits


def refusal(limit: int) -> TooLarge:
    """Say what the limit is."""
    return TooLarge(
        f"The body is larger than {limit // 1024} KiB.",
        hint="Send less, or raise body_max_kb of this route in config_api.",
    )


async def limit_body(exchange: Exchange, proceed: Proceed) -> None:
    """Refuse a body that is too large: by its announced size, or once it has come."""
    limit = exchange.policy.body_bytes
    announced = exchange.content_length
    if announced:
        if not announced.isdigit() or len(announced) > DIGITS_MAX:
            raise ApiError("Content-Length is not a number.")
        if int(announced) > limit:
            raise refusal(limit)
    elif exchange.chunked or exchange.method not in {"GET", "HEAD", "OPTIONS"}:
        receive, seen = exchange.receive, 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise refusal(limit)
            return message

        exchange.receive = counted
    await proceed(exchange)
