"""`is_background`: answer at once, do the work after."""

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import Response

from atom.errors import ApiError, TooLarge, Unavailable
from atom.http.exchange import Exchange
from atom.http.policy import Key, flag
from atom.http.step import Proceed, Step
from atom.observe.request_context import CALLER, REQUEST_ID
from atom.postgres.lease import UNHURRIED
from atom.reply import success
from atom.task import Backlog

IS_BACKGROUND: Key[bool] = Key(
    "is_background",
    "background",
    flag,
    False,
    form="0 or 1",
    help="Whether `?is_background=1` is allowed. The shipped routes that write rows "
    "have 1.",
    example=1,
)

log = logging.getLogger(__name__)
RESULT_MAX = 500


def asked_for(query: str) -> bool:
    """Whether a query string asks for background work.

    >>> asked_for("table=test&is_background=1"), asked_for("is_background=0")
    (True, False)
    """
    if "is_background" not in query:
        return False
    value = parse_qs(query, keep_blank_values=True).get("is_background", ["0"])[-1]
    if value not in {"0", "1"}:
        raise ApiError("is_background: expected 0 or 1", code="background.unreadable")
    return value == "1"


def run_in_background(
    exchange: Exchange, proceed: Proceed
) -> Coroutine[Any, Any, None]:
    """Let a request proceed without its caller, if that is asked for."""
    if not exchange.scope["query_string"] or not asked_for(exchange.query):
        return proceed(exchange)
    return _acknowledge(exchange, proceed)


async def _acknowledge(exchange: Exchange, proceed: Proceed) -> None:
    """Answer at once, and add the request to the backlog.

    Raises:
        ApiError: `background.not_allowed` on a route that does not allow it.
        TooLarge: for a body that cannot be held.
        Unavailable: `background.busy` while the backlog is full.
    """
    if not IS_BACKGROUND.of(exchange.policy):
        raise ApiError(
            "This route does not work in the background.",
            code="background.not_allowed",
            hint="Leave out is_background. config_api allows it by is_background: 1.",
        )
    backlog = exchange.ports.tasks.backlog
    most = backlog.bytes_max
    if int(exchange.content_length or 0) > most:
        raise TooLarge(
            f"In the background a body has at most {most // 2**20} MiB.",
            hint="Leave out is_background.",
        )
    size = len(await exchange.body(most))
    require_room(backlog, size)
    exchange.deferred = True
    exchange.outcome = "background"
    try:
        await exchange.reply(success("added in background"))
    finally:
        await exchange.detach()
        work = partial(_finish, exchange, proceed)
        backlog.add(work, name=f"background {exchange.policy.name}", size=size)


async def _finish(exchange: Exchange, proceed: Proceed) -> None:
    """Do the work; its result or its error goes to log_api."""
    exchange.captured = bytearray()
    token = REQUEST_ID.set(exchange.request_id)
    caller = CALLER.set(exchange.user)
    unhurried = UNHURRIED.set(asyncio.current_task())
    try:
        await proceed(exchange)
    except ApiError as error:
        exchange.status = error.status
        exchange.description = f"{error.code} {error.message}"
    except Exception as error:
        exchange.status = 500
        exchange.description = f"error.unexpected {type(error).__name__}"
        log.exception("%s in background failed", exchange.policy.name)
    else:
        answer = bytes(exchange.captured or b"").decode(errors="replace")
        exchange.description = answer[:RESULT_MAX]
    finally:
        UNHURRIED.reset(unhurried)
        CALLER.reset(caller)
        REQUEST_ID.reset(token)
        if exchange.after is not None:
            exchange.after(exchange)


def require_room(backlog: Backlog, size: int) -> None:
    """Refuse work that a full backlog cannot take.

    Raises:
        Unavailable: `background.busy`.
    """
    if backlog.is_full(size):
        raise Unavailable(
            "Too much is waiting to be done in the background.",
            code="background.busy",
            hint="Try again, or leave out is_background.",
        )


def acknowledged(backlog: Backlog, work: Any, *given: Any) -> Response:
    """Add `work(*given)` to the backlog, and return the answer that acknowledges it.

    Raises:
        Unavailable: as `require_room`.
    """
    require_room(backlog, 0)
    name = getattr(work, "__name__", "background")
    backlog.add(partial(work, *given), name=name, size=0)
    return success("added in background")


STEP = Step(
    run_in_background,
    "answered at once, done after",
    keys=(IS_BACKGROUND,),
    codes=("background.unreadable", "background.not_allowed", "background.busy"),
    refuses=lambda policy: policy.tier != "root",
)
