"""A stream of server-sent events: the answer to GET /{tier}/rows/{table}/stream."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from atom.http.parameter import raw_query
from atom.port import Ports
from atom.realtime.subscriber import GONE, Subscriber
from atom.row.scope import RowScope

RETRY_MS = 2_000  # until a browser connects again
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
LAST = "last-event-id"

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class EventStream(Response):
    """Events of one subscriber, until either side ends it."""

    media_type = "text/event-stream"

    def __init__(self, subscriber: Subscriber, opened: AsyncExitStack) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self.subscriber = subscriber
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events as they come, and at last why there are no more."""
        subscriber = self.subscriber
        leaving = asyncio.create_task(_left(receive, subscriber), name="stream reader")
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": self.raw_headers,
                }
            )
            part = f"retry: {RETRY_MS}\n\n".encode()
            while part:
                body = {"type": "http.response.body", "body": part, "more_body": True}
                await send(body)
                batches = await subscriber.take()
                part = b"".join(batch.sse for batch in batches)
            last = b""
            if subscriber.ended != GONE:
                reason = orjson.dumps({"code": subscriber.ended})
                last = b"event: end\ndata: " + reason + b"\n\n"
            await send({"type": "http.response.body", "body": last})
        finally:
            leaving.cancel()
            await self._opened.aclose()


async def _left(receive: Receive, subscriber: Subscriber) -> None:
    """Wait until the reader leaves, or may not stay."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return subscriber.end(message.get("reason", GONE))


async def stream(request: Request, scope: RowScope) -> Response:
    """Answer the changes of rows that a caller may read, as events.

    Raises:
        ApiError: before the answer begins, for a table that cannot be followed.
    """
    ports: Ports = request.app.state.ports
    subscriber = Subscriber(_caller(request, scope))
    after = request.headers.get(LAST, "")
    async with AsyncExitStack() as opened:
        raw = raw_query(request.scope)
        await opened.enter_async_context(
            ports.feed.following(subscriber, scope, raw, after)
        )
        return EventStream(subscriber, opened.pop_all())


def _caller(request: Request, scope: RowScope) -> str:
    """Return who is counted: the user, else the address."""
    if scope.user_id is not None:
        return f"user:{scope.user_id}"
    return f"ip:{request.client.host if request.client else ''}"


def endless(endpoint: Endpoint) -> Endpoint:
    """Mark an endpoint that answers a stream, which ends with its caller's rights."""
    endpoint.is_stream = True  # type: ignore[attr-defined]
    return endpoint
