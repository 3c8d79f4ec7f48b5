"""Celery: a message is the task `atom.message`, its dead letters are a second queue.

Its workers take the tasks, atom/queue/celery_worker.py. With RabbitMQ a message is safe
as there. With Redis it is delivered again after the lease of a worker that is dead, but
a worker killed in the instant between taking and noting a message loses it: that is
Celery's own way to read Redis.
"""

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from atom.client import needed
from atom.client.celery import CELERY, is_redis
from atom.config.view import view
from atom.errors import Unavailable
from atom.queue.broker import (
    NO_HEADERS,
    BrokerConfig,
    ChannelState,
    DeadLetter,
    Delivery,
    dead_of,
    distinct,
    identity,
)
from atom.queue.celery_wire import Wire

TASK = "atom.message"
UNSETTLED = "unacked_index"  # of Redis: when each message was taken
PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}
DATABASE = {"redis": "0", "amqp": ""}  # where the URL has none


@dataclass(frozen=True, slots=True)
class CeleryConfig:
    """What config sets for it: its server, and those it may share."""

    celery_broker_url: str
    celery_is_ordered: bool
    redis_pubsub_url: str | None
    rabbitmq_url: str | None


def queue_name(config: Mapping[str, Any], channel: str) -> str:
    """Return the queue of a channel, which has its name, or `celery_` before it.

    It has so where Redis or RabbitMQ as brokers use the same database or virtual host.
    """
    given = view(CeleryConfig, config)
    others = [url for url in (given.redis_pubsub_url, given.rabbitmq_url) if url]
    is_shared = _place(given.celery_broker_url) in map(_place, others)
    return f"celery_{channel}" if is_shared else channel


def main_queue(config: Mapping[str, Any], channel: str) -> Any:
    """Build the queue of a channel."""
    is_ordered = view(CeleryConfig, config).celery_is_ordered and not is_redis(config)
    arguments = {"x-single-active-consumer": True} if is_ordered else None
    return queue(queue_name(config, channel), arguments)


def _place(url: str) -> tuple[str, str, int, str]:
    """Return where a URL leads, without the user.

    >>> _place("redis://:x@localhost") == _place("redis://127.0.0.1:6379/0")
    True
    """
    parts = urlsplit(url.removeprefix("py"))
    kind = "amqp" if parts.scheme.startswith("amqp") else "redis"
    host = {"localhost": "127.0.0.1"}.get(parts.hostname or "", parts.hostname or "")
    port = parts.port or PORTS.get(parts.scheme, 0)
    path = parts.path.removeprefix("/").replace("%2F", "").strip("/")
    return kind, host, port, path or DATABASE[kind]


class Held:
    """Messages that a process has at once; it waits until the last one is settled."""

    def __init__(self, number: int) -> None:
        self.done: dict[int, bool] = {}
        self.settled = threading.Event()
        self._number = number

    def settle(self, place: int, is_done: bool) -> None:
        """Settle one, once."""
        self.done.setdefault(place, is_done)
        if len(self.done) == self._number:
            self.settled.set()


@dataclass(frozen=True, slots=True)
class Token:
    """What settles a task: True when it is done, False to give it back."""

    held: Held
    place: int
    tag: str | None

    def settle(self, is_done: bool) -> None:
        """End the task, once."""
        self.held.settle(self.place, is_done)


class CeleryBroker:
    """Celery's broker, as a producer and for its dead letters."""

    name = "celery"

    def __init__(self, celery: Any, config: Mapping[str, Any]) -> None:
        self.lease = view(BrokerConfig, config).queue_lease_sec
        self.arrived: asyncio.Queue[Delivery] = asyncio.Queue()  # filled by the worker
        self.wire = Wire(celery)
        self._celery = celery
        self._config = config
        self._is_redis = is_redis(config)

    async def send(
        self,
        channel: str,
        body: bytes,
        *,
        message_id: str,
        key: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Send a task; return once the broker has confirmed that it keeps it.

        Raises:
            Unavailable: when it did not confirm.
        """
        values = {"key": key, "headers": dict(headers)}
        await self.wire.run(
            lambda link: self._send(link, channel, body, message_id, values)
        )

    def _send(
        self,
        link: Any,
        channel: str,
        body: bytes,
        message_id: str,
        values: dict[str, Any],
    ) -> None:
        self._celery.send_task(
            TASK,
            args=[body.decode("utf-8", "surrogateescape")],
            kwargs=values,
            task_id=message_id,
            queue=main_queue(self._config, channel),
            producer=producer(link),
            mandatory=True,
            confirm_timeout=5,
        )

    async def bury(
        self,
        channel: str,
        body: bytes,
        reason: str,
        attempts: int,
        *,
        message_id: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Send a dead letter."""
        await self.wire.run(
            lambda link: bury(
                link,
                self._dead(channel),
                body,
                {
                    "reason": reason,
                    "attempts": attempts,
                    "message_id": message_id,
                    "key": key,
                    "headers": dict(headers),
                },
            )
        )

    def _dead(self, channel: str) -> Any:
        return queue(dead_of(queue_name(self._config, channel)))

    def _both(self, channel: str) -> tuple[Any, Any]:
        return main_queue(self._config, channel), self._dead(channel)

    @asynccontextmanager
    async def subscribe(
        self, channel: str, *, prefetch: int
    ) -> AsyncIterator["CelerySubscription"]:
        """Open a subscription to the tasks that the worker puts into `arrived`."""
        yield CelerySubscription(self, channel)

    async def setup(self, channel: str) -> list[str]:
        """Declare both queues; with Redis there is nothing to create."""
        return await self.wire.run(
            lambda link: [
                f"queue {each.name}"
                for each in self._both(channel)
                if _declared(link, each) and not self._is_redis
            ]
        )

    async def state(self, channel: str) -> ChannelState:
        """Count the messages that wait and the dead ones; those in hand are unknown."""

        def work(link: Any) -> list[int]:
            return [_count(link, each) for each in self._both(channel)]

        waiting, dead = await self.wire.run(work)
        return ChannelState(channel, waiting, None, dead)

    async def waiting(self, channel: str) -> int | None:
        """Count the messages that wait."""
        return (await self.state(channel)).waiting

    async def dead(self, channel: str, limit: int) -> list[DeadLetter]:
        """Return the oldest dead letters; they stay."""

        def work(link: Any) -> list[DeadLetter]:
            held = list(_taken(link, self._dead(channel), limit))
            for message in reversed(held):  # so that each takes its old place
                message.requeue()
            return distinct(_letter(message) for message in held)

        return await self.wire.run(work)

    async def replay(self, channel: str, ids: Sequence[str] | None) -> int:
        """Send dead letters to the channel again, all for None; return how many."""
        dead = self._dead(channel)

        def work(link: Any) -> int:
            kept, moved = [], set[str]()
            for message in _taken(link, dead, _count(link, dead)):
                letter, had = _letter(message), message.headers
                if ids is not None and letter.id not in ids:
                    kept.append(message)
                    continue
                values = {"key": had.get("key"), "headers": had.get("headers") or {}}
                if (what := identity(letter.id, letter.body)) not in moved:
                    self._send(link, channel, letter.body, letter.id, values)
                message.ack()
                moved.add(what)
            for message in reversed(kept):
                message.requeue()
            return len(moved)

        return await self.wire.run(work)

    async def purge(self, channel: str, *, dead: bool) -> int:
        """Delete the messages that wait, or the dead letters; return how many."""
        which = self._both(channel)[dead]

        def work(link: Any) -> int:
            _declared(link, which)
            return int(link.default_channel.queue_purge(which.name))

        return await self.wire.run(work)

    async def extend(self, tags: Sequence[str]) -> None:
        """Begin the lease of messages again: RabbitMQ has none, Redis notes a time."""
        if not self._is_redis or not tags:
            return

        def work(link: Any) -> None:
            times = dict.fromkeys(tags, time.time())
            link.default_channel.client.zadd(UNSETTLED, times, xx=True)

        await self.wire.run(work)


class CelerySubscription:
    """The tasks of one worker process, one delivery each."""

    def __init__(self, broker: CeleryBroker, channel: str) -> None:
        self._broker = broker
        self._channel = channel

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        """Yield what the worker hands over."""
        while True:
            yield await self._broker.arrived.get()

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """End the tasks: Celery then settles them."""
        for delivery in deliveries:
            delivery.token.settle(True)

    async def reject(self, delivery: Delivery, reason: str, attempts: int) -> None:
        """Move a message to the dead letters; end its task once it is there."""
        try:
            await self._broker.bury(
                self._channel,
                delivery.body,
                reason,
                attempts,
                message_id=delivery.message_id,
                key=delivery.key,
                headers=delivery.headers,
            )
        except Unavailable:
            delivery.token.settle(False)
            raise
        delivery.token.settle(True)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Have Celery put the messages back."""
        for delivery in deliveries:
            delivery.token.settle(False)

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Keep messages in hand for another lease."""
        tags = [delivery.token.tag for delivery in deliveries]
        await self._broker.extend([tag for tag in tags if tag])


def queue(name: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """Build a durable queue of the default exchange."""
    kombu: Any = import_module("kombu")
    return kombu.Queue(
        name,
        kombu.Exchange(""),
        routing_key=name,
        durable=True,
        queue_arguments=arguments,
    )


def producer(link: Any) -> Any:
    """Build a producer; it raises when RabbitMQ has no such queue."""
    kombu: Any = import_module("kombu")
    channel = link.default_channel
    on_return = _returned if hasattr(channel, "events") else None
    return kombu.Producer(channel, on_return=on_return)


def bury(link: Any, dead: Any, body: bytes, headers: dict[str, Any]) -> None:
    """Publish a dead letter, in this thread."""
    producer(link).publish(
        body,
        content_type="application/octet-stream",
        content_encoding="binary",
        exchange="",
        routing_key=dead.name,
        declare=[dead],
        delivery_mode=2,
        mandatory=True,
        headers={**headers, "died_at": datetime.now(UTC).isoformat()},
    )


def _returned(error: Exception, *about: Any) -> None:
    """Raise what the broker answers when it has no such queue."""
    raise error


def _declared(link: Any, which: Any) -> bool:
    """Declare a queue. Return whether it was not there."""
    is_new = False
    with link.channel() as channel:
        try:
            which(channel).queue_declare(passive=True)
        except link.channel_errors:
            is_new = True
    with link.channel() as channel:
        which(channel).queue_declare()
    return is_new


def _count(link: Any, which: Any) -> int:
    with link.channel() as channel:
        return int(which(channel).queue_declare().message_count)


def _taken(link: Any, which: Any, limit: int) -> list[Any]:
    """Take messages of a queue in hand, the oldest first."""
    _declared(link, which)
    held: list[Any] = []
    source = which(link.default_channel)
    while len(held) < limit and (message := source.get(no_ack=False)) is not None:
        held.append(message)
    return held


def raw(message: Any) -> bytes:
    """Return the body of a message as it was sent."""
    body: bytes | str = message.body
    return body if isinstance(body, bytes) else body.encode()


def _letter(message: Any) -> DeadLetter:
    headers, body = message.headers, raw(message)
    return DeadLetter(
        id=headers.get("message_id") or hashlib.sha256(body).hexdigest()[:32],
        body=body,
        reason=str(headers.get("reason")),
        attempts=int(headers.get("attempts") or 0),
        died_at=datetime.fromisoformat(headers["died_at"]),
    )


def broker(clients: Mapping[str, Any], config: Mapping[str, Any]) -> CeleryBroker:
    """Return the broker.

    Raises:
        Unavailable: `client.missing` or `client.silent`.
    """
    return CeleryBroker(needed(clients, CELERY.name, *CELERY.needs), config)
