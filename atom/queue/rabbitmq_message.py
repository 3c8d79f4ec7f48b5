"""Messages of RabbitMQ: read as a delivery or a dead letter, moved between queues."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from atom.client.rabbitmq import confirmed
from atom.queue.broker import DeadLetter, Delivery

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

KEY, COUNT = "key", "x-delivery-count"
DIED = ("reason", "attempts", "died_at")  # headers of a dead letter


@dataclass(frozen=True, slots=True)
class Token:
    """What settles a delivery: its number on the channel that brought it."""

    channel: "AbstractChannel"
    message: "DeliveredMessage"

    @property
    def tag(self) -> int:
        """The number."""
        return self.message.delivery.delivery_tag  # type: ignore[union-attr,return-value]


async def count(connection: "AbstractConnection", queue: str) -> int | None:
    """Return how many messages wait in a queue; None when there is no such queue."""
    from aiormq.exceptions import ChannelNotFoundEntity

    channel = await connection.channel()
    try:
        found = await channel.queue_declare(queue, passive=True)
    except ChannelNotFoundEntity:
        return None
    await channel.close()
    return found.message_count or 0


async def get(channel: "AbstractChannel", queue: str) -> "DeliveredMessage | None":
    """Take the next message of a queue in hand."""
    from pamqp.commands import Basic

    message = await channel.basic_get(queue)
    return None if isinstance(message.delivery, Basic.GetEmpty) else message


async def move(
    channel: "AbstractChannel",
    message: "DeliveredMessage",
    queue: str,
    headers: Mapping[str, str],
) -> None:
    """Publish a message in hand to another queue; settle it once it is there."""
    from pamqp.commands import Basic

    had = message.header.properties
    kept = {
        name: value
        for name, value in (had.headers or {}).items()
        if name not in DIED and not name.startswith("x-")
    }
    properties = Basic.Properties(
        message_id=had.message_id,
        content_type=had.content_type,
        headers={**kept, **headers},
        delivery_mode=2,
    )
    await confirmed(
        channel.basic_publish(
            message.body, routing_key=queue, properties=properties, mandatory=True
        )
    )
    await channel.basic_ack(Token(channel, message).tag, wait=True)


def read_delivery(message: "DeliveredMessage", channel: "AbstractChannel") -> Delivery:
    """Read a message; headers that are not text, numbers or flags are left out."""
    properties = message.header.properties
    given = properties.headers or {}
    headers = {
        name: str(value)
        for name, value in given.items()
        if isinstance(value, str | int | float) and name not in {KEY, COUNT}
    }
    times, key = given.get(COUNT), given.get(KEY)
    if times is None and not message.delivery.redelivered:  # type: ignore[union-attr]
        times = 0
    return Delivery(
        body=message.body,
        token=Token(channel, message),
        message_id=properties.message_id or None,
        key=None if key is None else str(key),
        count=times + 1 if isinstance(times, int) else None,
        headers=headers,
    )


def read_letter(message: "DeliveredMessage") -> DeadLetter:
    """Read a dead letter; one that RabbitMQ itself put there lacks Atom's headers."""
    properties = message.header.properties
    headers = properties.headers or {}
    reason, attempts, died_at = (headers.get(name) for name in DIED)
    return DeadLetter(
        id=properties.message_id or hashlib.sha256(message.body).hexdigest()[:32],
        body=message.body,
        reason=str(reason or headers.get("x-first-death-reason") or "unknown"),
        attempts=int(str(attempts or 0)),
        died_at=datetime.fromisoformat(str(died_at)) if died_at else datetime.now(UTC),
    )
