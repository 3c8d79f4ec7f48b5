"""RabbitMQ: a durable quorum queue for each channel, and one for its dead letters.

A message is in hand for as long as the connection lives: nothing has to be extended.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from atom.backoff import Backoff
from atom.client import needed
from atom.client.rabbitmq import HEARTBEAT, RABBITMQ, confirmed, connect_once, lost
from atom.config.view import view
from atom.errors import ConfigError, Unavailable
from atom.queue.broker import (
    NO_HEADERS,
    ChannelState,
    DeadLetter,
    Delivery,
    dead_of,
    distinct,
    identity,
)
from atom.queue.rabbitmq_message import (
    DIED,
    KEY,
    Token,
    count,
    get,
    move,
    read_delivery,
    read_letter,
)

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

log = logging.getLogger(__name__)

AGAIN = (0.25, 5.0)  # seconds until the broker is tried again: first, longest
LINK_SECONDS = 15.0  # to begin to consume: a queue without a leader never answers
CONFIRM_SECONDS = 5.0  # for the broker to confirm a message
# With a limit a message that is given back keeps its place; without one it goes to the
# end. The limit itself is never to be reached: who gives up is the consumer.
LIMIT = 1_000_000
KEPT = (
    "queue %s of RabbitMQ is%s one with a single active consumer, as it was made; for "
    "what config_rabbitmq_is_single_active sets, delete it once it is empty"
)
NOTHING: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class RabbitConfig:
    """What config sets for it."""

    rabbitmq_is_single_active: bool


class RabbitBroker:
    """RabbitMQ, opened for this process."""

    name = "rabbitmq"
    lease = 2.0 * HEARTBEAT  # after which RabbitMQ gives up a silent consumer

    def __init__(self, clients: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        self._clients = clients
        self._config = config
        self._given = view(RabbitConfig, config)
        self._sending: AbstractChannel | None = None
        self._lock = asyncio.Lock()

    async def send(
        self,
        channel: str,
        body: bytes,
        *,
        message_id: str,
        key: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Send a message; return once RabbitMQ has confirmed that it keeps it.

        Raises:
            Unavailable: when it did not confirm.
        """
        needed(self._clients, RABBITMQ.name, *RABBITMQ.needs)
        values = {**headers, KEY: key} if key is not None else dict(headers)
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                if not await self._sent(channel, body, message_id, values):
                    await self.setup(channel)
                    if not await self._sent(channel, body, message_id, values):
                        raise _unconfirmed(channel, "no such queue")
        except lost() as error:
            raise _unconfirmed(channel, type(error).__name__) from error

    async def _sent(
        self, channel: str, body: bytes, message_id: str, headers: dict[str, Any]
    ) -> bool:
        """Publish a message. Return False when there is no such queue."""
        from aiormq.exceptions import PublishError
        from pamqp.commands import Basic

        properties = Basic.Properties(
            message_id=message_id,
            headers=headers,
            content_type="application/json",
            delivery_mode=2,
        )
        opened = await self._publishing()
        try:
            await confirmed(
                opened.basic_publish(
                    body, routing_key=channel, properties=properties, mandatory=True
                )
            )
        except PublishError:
            return False
        return True

    async def _publishing(self) -> "AbstractChannel":
        """Return a channel of the client's connection, a new one once that is lost.

        The driver's own channel, which is to restore itself, may never do so.
        """
        async with self._lock:
            if self._sending is None or self._sending.is_closed:
                transport = self._clients[RABBITMQ.name].transport
                if transport is None:
                    raise ConnectionError("not connected")
                try:
                    self._sending = await transport.connection.channel(
                        publisher_confirms=True, on_return_raises=True
                    )
                except RuntimeError as error:  # it has just ended
                    raise ConnectionError("not connected") from error
            return self._sending

    @asynccontextmanager
    async def subscribe(
        self, channel: str, *, prefetch: int
    ) -> AsyncIterator["RabbitSubscription"]:
        """Open a subscription that holds at most `prefetch` messages at once."""
        subscription = RabbitSubscription(self, channel, prefetch)
        try:
            yield subscription
        finally:
            await subscription.close()

    async def link(self, channel: str, prefetch: int) -> "Link":
        """Open a connection and begin to consume; create the queue if there is none."""
        connection = await connect_once(self._config)
        try:
            if await count(connection, channel) is None:
                await self.declare(connection, channel)
            opened = await connection.channel(on_return_raises=True)
            arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()

            async def end(frame: Any) -> None:
                arrived.put_nowait(None)

            opened.closing.add_done_callback(lambda _: arrived.put_nowait(None))
            opened.on_consumer_cancel_callbacks.add(end)
            await opened.basic_qos(prefetch_count=prefetch)
            await opened.basic_consume(channel, arrived.put)
        except BaseException:
            await connection.close()
            raise
        return Link(connection, opened, arrived)

    async def setup(self, channel: str) -> list[str]:
        """Declare both queues; return what was created.

        Raises:
            ConfigError: when a queue of that name exists with other properties.
        """
        async with self._connected() as connection:
            return await self.declare(connection, channel)

    async def declare(
        self, connection: "AbstractConnection", channel: str
    ) -> list[str]:
        """Do so on a connection that is open."""
        dead = dead_of(channel)
        main: dict[str, Any] = {  # for what other programs reject
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
        }
        single = {**main, "x-single-active-consumer": True}
        is_single = self._given.rabbitmq_is_single_active
        wanted, other = (single, main) if is_single else (main, single)
        created = []
        for name, more in ((dead, NOTHING), (channel, wanted)):
            if await count(connection, name) is None:
                created.append(f"queue {name}")
            error = await declare(connection, name, more)
            if error and more is wanted and not await declare(connection, name, other):
                log.warning(KEPT, name, " not" * is_single)
            elif error:
                text = f"RabbitMQ has a queue '{name}' with other properties: {error}. "
                cure = "Delete it once it is empty, or use another virtual host."
                raise ConfigError([text + cure])
        return created

    async def state(self, channel: str) -> ChannelState:
        """Count the messages that wait and the dead ones; those in hand are unknown."""
        async with self._connected() as connection:
            waiting = await count(connection, channel)
            dead = await count(connection, dead_of(channel))
        return ChannelState(channel, waiting, None, dead)

    async def waiting(self, channel: str) -> int | None:
        """Count the messages that wait."""
        return (await self.state(channel)).waiting

    async def dead(self, channel: str, limit: int) -> list[DeadLetter]:
        """Return the oldest dead letters; they stay."""
        letters: list[DeadLetter] = []
        async with self._channel_of(dead_of(channel)) as opened:
            if opened is not None:
                while len(letters) < limit:
                    message = await get(opened, dead_of(channel))
                    if message is None:
                        break
                    letters.append(read_letter(message))
                await opened.basic_nack(0, multiple=True, requeue=True, wait=True)
        return distinct(letters)

    async def replay(self, channel: str, ids: Sequence[str] | None) -> int:
        """Send dead letters to the channel again, all for None; return how many."""
        wanted, moved = None if ids is None else set(ids), set[str]()
        dead = dead_of(channel)
        async with self._channel_of(dead) as opened:
            if opened is None:
                return 0
            left = (await opened.queue_declare(dead, passive=True)).message_count or 0
            while left and (message := await get(opened, dead)) is not None:
                left, letter = left - 1, read_letter(message)
                if wanted is not None and letter.id not in wanted:
                    continue
                if (what := identity(letter.id, letter.body)) in moved:
                    await opened.basic_ack(Token(opened, message).tag, wait=True)
                    continue
                await move(opened, message, channel, {})
                moved.add(what)
            await opened.basic_nack(0, multiple=True, requeue=True, wait=True)
        return len(moved)

    async def purge(self, channel: str, *, dead: bool) -> int:
        """Delete the messages that wait, or the dead letters; return how many."""
        name = dead_of(channel) if dead else channel
        async with self._channel_of(name) as opened:
            if opened is None:
                return 0
            return (await opened.queue_purge(name)).message_count or 0

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator["AbstractConnection"]:
        """Open a connection for one command.

        Raises:
            ConfigError: when RabbitMQ refuses the user.
            Unavailable: when it does not answer.
        """
        try:
            connection = await connect_once(self._config)
            try:
                yield connection
            finally:
                await connection.close()
        except lost() as error:
            raise Unavailable(
                "RabbitMQ does not answer.",
                code="client.silent",
                hint="Check config_rabbitmq_url and that RabbitMQ runs.",
                seconds=5,
            ) from error

    @asynccontextmanager
    async def _channel_of(self, queue: str) -> AsyncIterator["AbstractChannel | None"]:
        """Open a channel for work on a queue; None when there is no such queue."""
        async with self._connected() as connection:
            if await count(connection, queue) is None:
                yield None
            else:
                yield await connection.channel(on_return_raises=True)


@dataclass(frozen=True, slots=True)
class Link:
    """A connection that consumes; None arrives when it ends."""

    connection: "AbstractConnection"
    channel: "AbstractChannel"
    arrived: "asyncio.Queue[DeliveredMessage | None]"


class RabbitSubscription:
    """Deliveries of one queue, over as many connections as it takes."""

    def __init__(self, broker: RabbitBroker, channel: str, prefetch: int) -> None:
        self._broker = broker
        self._channel = channel
        self._prefetch = prefetch
        self._link: Link | None = None

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        """Yield deliveries; connect again while RabbitMQ is away.

        Raises:
            ConfigError: when RabbitMQ refuses the user.
        """
        backoff = Backoff(*AGAIN)
        while True:
            try:
                if self._link is None:
                    async with asyncio.timeout(LINK_SECONDS):
                        self._link = await self._broker.link(
                            self._channel, self._prefetch
                        )
                    log.info("reading %s of RabbitMQ", self._channel)
                while (message := await self._link.arrived.get()) is not None:
                    if not self._link.channel.is_closed:
                        backoff.succeeded()
                        yield read_delivery(message, self._link.channel)
                reason = "the connection ended"
            except lost() as error:
                reason = str(error) or type(error).__name__
            await self.close()
            if not backoff.seconds:
                log.warning(
                    "RabbitMQ is away, %s is read again when it is back: %s",
                    self._channel,
                    reason,
                )
            await backoff.rest()

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Settle messages that are done."""
        await self._settle(deliveries, "basic_ack")

    async def reject(self, delivery: Delivery, reason: str, attempts: int) -> None:
        """Move a message to the dead letters; settle it once it is there.

        Raises:
            Unavailable: when it will be delivered again instead.
        """
        died = (reason, str(attempts), datetime.now(UTC).isoformat())
        headers, dead = dict(zip(DIED, died, strict=True)), dead_of(self._channel)
        token: Token = delivery.token
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await move(token.channel, token.message, dead, headers)
        except lost() as error:
            await token.channel.close()  # so that it is delivered again
            raise _unconfirmed(dead, type(error).__name__) from error

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Return messages to the queue unsettled; each takes its old place."""
        await self._settle(deliveries, "basic_nack")

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Do nothing: the heartbeats of the connection keep what is in hand."""

    async def close(self) -> None:
        """Close the connection: what is not settled is delivered again."""
        link, self._link = self._link, None
        if link is not None:
            await link.connection.close()

    async def _settle(self, deliveries: Sequence[Delivery], command: str) -> None:
        """Write a command for each that is in hand, as long as the connection lives."""
        for token in self._held(deliveries):
            try:
                await confirmed(getattr(token.channel, command)(token.tag, wait=True))
            except lost() as error:
                log.info("%s: messages come again: %s", self._channel, error)
                return

    def _held(self, deliveries: Sequence[Delivery]) -> list[Token]:
        """Return those still in hand: a lost connection has given back the others."""
        tokens = [delivery.token for delivery in deliveries]
        held = [token for token in tokens if not token.channel.is_closed]
        if lacking := len(tokens) - len(held):
            log.info("%d messages of %s come again", lacking, self._channel)
        return held


async def declare(
    connection: "AbstractConnection", name: str, more: Mapping[str, Any]
) -> str:
    """Declare a queue. Return why it cannot be: one exists with other properties."""
    from aiormq.exceptions import ChannelPreconditionFailed

    opened = await connection.channel()
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": LIMIT, **more}
    try:
        await opened.queue_declare(name, durable=True, arguments=arguments)
    except ChannelPreconditionFailed as error:
        return str(error)
    await opened.close()
    return ""


def _unconfirmed(channel: str, cause: str) -> Unavailable:
    log.warning("RabbitMQ did not confirm a message for %s: %s", channel, cause)
    return Unavailable(
        "RabbitMQ did not confirm the message.",
        code="client.silent",
        hint="Send it again. Check config_rabbitmq_url and that RabbitMQ runs.",
        seconds=5,
    )


def broker(clients: Mapping[str, Any], config: Mapping[str, Any]) -> RabbitBroker:
    """Return the broker.

    Raises:
        Unavailable: `client.missing` or `client.silent`.
    """
    needed(clients, RABBITMQ.name, *RABBITMQ.needs)
    return RabbitBroker(clients, config)
