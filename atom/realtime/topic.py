"""Values between the workers, by topic: for drop-ins, at most once."""

import asyncio
from collections import deque
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
        self._values: deque[Any] = deque()
        self._wake = asyncio.Event()
        self._is_late = False
        self._is_over = False

    def push(self, value: Any) -> None:
        """Add a value; a subscription that does not keep up is ended."""
        if len(self._values) == WAITING_MAX:
            self._is_late = True
        else:
            self._values.append(value)
        self._wake.set()

    def end(self) -> None:
        """End it after the values that it has: the server stops."""
        self._is_over = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield values as they come, until the server stops.

        Raises:
            Unavailable: `stream.slow`, when too many have come meanwhile.
        """
        while True:
            while self._values and not self._is_late:
                yield self._values.popleft()
            if self._is_late:
                raise Unavailable("Values came faster than they were taken.", code=SLOW)
            if self._is_over:
                return
            self._wake.clear()
            await self._wake.wait()


class Topics:
    """The subscriptions of this process."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._numbers = count()
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._is_stopping = False
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
        if self._is_stopping:
            subscription.end()
        subscriptions = self._subscriptions.setdefault(topic, set())
        subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            subscriptions.discard(subscription)
            if not subscriptions:
                self._subscriptions.pop(topic, None)

    def stop(self) -> None:
        """End all subscriptions: the server stops, and waits for those who follow."""
        self._is_stopping = True
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.end()
