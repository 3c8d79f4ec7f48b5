"""Open WebSockets and streams: each ends when its caller could not open it again."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from atom.errors import ApiError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Message, Receive

    from atom.account.token import Claims
    from atom.http.exchange import Exchange
    from atom.http.step import Proceed, Step

log = logging.getLogger(__name__)

ENDED = 4401  # of the range for applications, RFC 6455 section 7.4.2
FAILED, TRY_AGAIN = 1011, 1013  # section 7.4.1, and the registry of IANA after it
ASKED_AGAIN = 1.0  # seconds between two checks while changes of users may be missed
UNKNOWN_MAX = 10.0  # seconds that a caller who cannot be checked stays connected
CHECKED_AT_ONCE = 4  # callers, so that they leave connections of the pool to others
DISCONNECT: dict[str, Any] = {"type": "websocket.disconnect", "code": ENDED}
LEFT = "http.disconnect"


class OpenSockets:
    """What is open in this process, by user: which of it is to be checked."""

    def __init__(self) -> None:
        self.coherent = False  # whether this worker hears of changes of users
        self.checking = asyncio.Semaphore(CHECKED_AT_ONCE)
        self._due: dict[int, set[asyncio.Event]] = {}

    def add(self, user_id: int) -> asyncio.Event:
        """Return the event that is set when the user may have changed."""
        event = asyncio.Event()
        event.set()  # a change since the handshake was checked is not missed
        self._due.setdefault(user_id, set()).add(event)
        return event

    def remove(self, user_id: int, event: asyncio.Event) -> None:
        """Forget a WebSocket that has ended."""
        events = self._due[user_id]
        events.discard(event)
        if not events:
            del self._due[user_id]

    def check(self, user_id: int | None = None) -> None:
        """Have the WebSockets of a user checked, or all of them."""
        users = list(self._due) if user_id is None else [user_id]
        for each in users:
            for event in self._due.get(each, ()):
                event.set()


def watched(guards: Sequence[Step], proceed: Proceed) -> Proceed:
    """Return a WebSocket route, or a stream, that ends when a guard would refuse now.

    A stream receives `http.disconnect` with a `reason`; at once where HEAD asks.
    """
    chain: Proceed = _pass
    for step in reversed(guards):
        chain = _guarded(step, chain)

    async def run(exchange: Exchange) -> None:
        if exchange.method == "HEAD":
            exchange.receive = _left
            return await proceed(exchange)
        if (claims := exchange.claims) is None:
            return await proceed(exchange)
        sockets, watches = exchange.ports.sockets, list[asyncio.Task[None]]()
        due = sockets.add(claims.subject)
        over: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        before = exchange.on_start

        def begin() -> None:
            if before is not None:
                before()
            watching = _watch(exchange, claims, due, chain, over)
            watches.append(asyncio.create_task(watching, name="socket"))

        exchange.on_start = begin
        exchange.receive = _until(over, exchange.receive)
        try:
            await proceed(exchange)
        finally:
            sockets.remove(claims.subject, due)
            for watch in watches:
                watch.cancel()

    return run


def _guarded(step: Step, proceed: Proceed) -> Proceed:
    async def enter(exchange: Exchange) -> None:
        await step.run(exchange, proceed)

    return enter


async def _left() -> Message:
    return {"type": LEFT}


async def _pass(exchange: Exchange) -> None:
    """Let the caller through: every guard has."""


async def _watch(
    exchange: Exchange,
    claims: Claims,
    due: asyncio.Event,
    guards: Proceed,
    over: asyncio.Future[Message],
) -> None:
    """Wait until the caller may not be connected any more, and close."""
    try:
        code, reason = await _end(exchange, claims, due, guards)
    except Exception:
        log.exception("%s could not be checked", exchange.policy.name)
        code, reason = FAILED, "error.unexpected"
    if exchange.scope["type"] == "http":
        return over.set_result({"type": LEFT, "reason": reason})
    over.set_result(DISCONNECT)
    if not exchange.closed:
        await exchange.send({"type": "websocket.close", "code": code, "reason": reason})


async def _end(
    exchange: Exchange, claims: Claims, due: asyncio.Event, guards: Proceed
) -> tuple[int, str]:
    """Return the close code and the reason, once there is one."""
    sockets = exchange.ports.sockets
    unknown = 0.0  # since when the caller cannot be checked
    while True:
        left = claims.expires - time.time()
        if left <= 0:
            return ENDED, "token.expired"
        is_sure = sockets.coherent and not unknown
        try:
            async with asyncio.timeout(left if is_sure else min(left, ASKED_AGAIN)):
                await due.wait()
        except TimeoutError:
            if is_sure and sockets.coherent:
                continue
        due.clear()
        try:
            async with sockets.checking:
                await guards(exchange)
            unknown = 0.0
        except Unavailable as error:
            unknown = unknown or time.monotonic()
            if time.monotonic() - unknown >= UNKNOWN_MAX:
                return TRY_AGAIN, error.code
        except ApiError as error:
            return ENDED, error.code


def _until(over: asyncio.Future[Message], receive: Receive) -> Receive:
    """Return a `receive` that reports the end of the connection once it is over."""

    async def receive_next() -> Message:
        message = asyncio.ensure_future(receive())
        both: tuple[asyncio.Future[Any], ...] = (message, over)
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not message.done():
                message.cancel()
        return over.result() if over.done() else message.result()

    return receive_next
