"""Streams over a WebSocket: a message subscribes, and messages are the events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from atom.errors import ApiError
from atom.port import Ports
from atom.realtime.subscriber import GONE, Subscriber
from atom.row.scope import RowScope
from atom.task import ended

TRY_AGAIN = 1013  # a close code of the registry of IANA
SUBSCRIBED_MAX = 20  # by one WebSocket


class SocketStreams:
    """The subscriptions of one WebSocket."""

    def __init__(self, websocket: WebSocket, ports: Ports, scope: RowScope) -> None:
        self._websocket = websocket
        self._ports = ports
        self._scope = scope
        self._opened: dict[str, AsyncExitStack] = {}
        client = websocket.client
        who = f"user:{scope.user_id}" if scope.user_id is not None else "ip:"
        self._caller = who if client is None or who != "ip:" else f"ip:{client.host}"
        self._subscriber = Subscriber(self._caller)
        self._sending = asyncio.create_task(self._send(), name="stream socket")
        self._subscriber.task = self._sending

    async def take(self, text: str) -> bool:
        """Act on a message; return False for one that is not about streams.

        `{"subscribe": "booking", "query": "state==,open", "after": "868"}`, and
        `{"unsubscribe": "booking"}`. A fault is answered as an event.
        """
        try:
            asked = orjson.loads(text)
        except orjson.JSONDecodeError:
            return False
        if not isinstance(asked, dict):
            return False
        if isinstance(table := asked.get("subscribe"), str):
            await self._subscribe(table, asked)
        elif isinstance(table := asked.get("unsubscribe"), str):
            await self._end(table)
        else:
            return False
        return True

    async def _subscribe(self, table: str, asked: dict[str, Any]) -> None:
        await self._end(table)
        try:
            if len(self._opened) == SUBSCRIBED_MAX:
                raise ApiError(f"At most {SUBSCRIBED_MAX} tables are followed at once.")
            query, after = _text(asked, "query"), _text(asked, "after")
            raw = f"table={quote(table, safe='')}&{query}".encode()
            opened = AsyncExitStack()
            await opened.enter_async_context(
                self._ports.feed.following(self._subscriber, self._scope, raw, after)
            )
            self._opened[table] = opened
        except ApiError as error:
            fault = {"event": "error", "table": table, "code": error.code}
            fault |= {"message": error.message, "hint": error.hint}
            await self._websocket.send_text(orjson.dumps(fault).decode())

    async def _end(self, table: str) -> None:
        opened = self._opened.pop(table, None)
        if opened is not None:
            await opened.aclose()

    async def _send(self) -> None:
        """Send events as they come; close the WebSocket when they end."""
        try:
            while batches := await self._subscriber.take():
                for batch in batches:
                    for text in batch.texts:
                        await self._websocket.send_text(text)
            if self._subscriber.ended != GONE:
                await self._websocket.close(TRY_AGAIN, self._subscriber.ended)
        except (WebSocketDisconnect, RuntimeError, OSError):
            self._subscriber.end(GONE)  # it is closed already

    async def close(self) -> None:
        """End all subscriptions."""
        self._subscriber.end(GONE)
        for table in list(self._opened):
            await self._end(table)
        await ended([self._sending])


def _text(asked: dict[str, Any], name: str) -> str:
    """Return a text of a message, "" where it is not given.

    Raises:
        ApiError: for anything else.
    """
    text = asked.get(name)
    if text is not None and not isinstance(text, str):
        raise ApiError(f"'{name}' takes a text.")
    return text or ""


@asynccontextmanager
async def streams(websocket: WebSocket) -> AsyncIterator[SocketStreams]:
    """Serve streams on a WebSocket until the end of the block.

    A known caller follows what `my` opens, anybody else what `public` opens.
    """
    ports: Ports = websocket.app.state.ports
    user = websocket.state.user
    scope = ports.rules.my(user) if user.get("id") else ports.rules.public()
    found = SocketStreams(websocket, ports, scope)
    try:
        yield found
    finally:
        await found.close()
