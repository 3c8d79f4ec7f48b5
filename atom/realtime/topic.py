"""Values between the workers, by topic: for drop-ins, at most once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import orjson

from atom.errors import ApiError, TooLarge, Unavailable
from atom.postgres.database import Database
from atom.postgres.notify import PAYLOAD_MAX, Bus, payload
from atom.realtime.subscriber import SLOW

TOPIC = "topic"  # of the bus
WAITING_MAX = 1_000  # values of one subscription


class Subscription:
    """The values of one topic, in the order in which they were published."""

    def __init__(self) -> None:
        self._values: asyncio.Queue[Any] = asyncio.Queue(WAITING_MAX)
        self._is_late = False

    def push(self, value: Any) -> None:
        """Add a value; a subscription that does not keep up is ended."""
        try:
            self._values.put_nowait(value)
        except asyncio.QueueFull:
            self._is_late = True

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield values as they come.

        Raises:
            Unavailable: `stream.slow`, when too many have come meanwhile.
        """
        while not self._is_late:
            yield await self._values.get()
        raise Unavailable("Values came faster than they were taken.", code=SLOW)


class Topics:
    """The subscriptions of this process."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._numbers = count()
        self._subscriptions: dict[str, set[Subscription]] = {}
        bus.on(TOPIC, self._heard)

    def _heard(self, text: str) -> None:
        topic, value, _ = orjson.loads(text)
        for subscription in self._subscriptions.get(topic, ()):
            subscription.push(value)

    def publish(self, topic: str, value: Any) -> None:
        """Send a value to the subscriptions of every worker, once it is committed.

        Raises:
            TooLarge: when it does not fit into one notification.
            ApiError: when it is not JSON.
        """
        try:
            # Numbered, because the bus sends equal items once.
            text = orjson.dumps([topic, value, next(self._numbers)]).decode()
        except TypeError as error:
            raise ApiError(f"The value is not JSON: {error}.") from error
        try:
            payload((TOPIC, text))
        except ValueError as error:
            raise TooLarge(
                f"The value is larger than {PAYLOAD_MAX:,} bytes.",
                hint="Publish the id of a row instead.",
            ) from error
        self._database.after_commit(lambda: self._bus.publish_soon(TOPIC, text))

    @contextmanager
    def subscribed(self, topic: str) -> Iterator[Subscription]:
        """Take part until the end of the block."""
        subscription = Subscription()
        subscriptions = self._subscriptions.setdefault(topic, set())
        subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            subscriptions.discard(subscription)
            if not subscriptions:
                self._subscriptions.pop(topic, None)
