"""A broker, as the rest of this shelf sees it: messages go out, deliveries come in."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
DEAD = "_dead"


def dead_of(channel: str) -> str:
    """Return the queue, stream or topic that holds the dead letters of a channel."""
    return f"{channel}{DEAD}"


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """What config sets for brokers."""

    queue_lease_sec: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message in hand, which the broker holds until it is settled.

    `count` is how often the broker has delivered it, None where it does not count.
    `key` orders: of one key, a message is handled once those before it are settled.
    `token` is what the broker needs to settle it.
    """

    body: bytes
    token: Any
    message_id: str | None = None
    key: str | None = None
    count: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up: `id` is what replay takes."""

    id: str
    body: bytes
    reason: str
    attempts: int
    died_at: datetime


def identity(message_id: str, body: bytes) -> str:
    """Return what the copies of one message have in common.

    A kill between two steps can leave two copies of a dead letter.
    """
    return hashlib.sha256(message_id.encode() + b"\0" + body).hexdigest()


def distinct(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Return the first copy of each dead letter; their ids are those of messages."""
    found: dict[str, DeadLetter] = {}
    for letter in letters:
        found.setdefault(identity(letter.id, letter.body), letter)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class ChannelState:
    """How many messages of a channel wait, are in hand, and are dead; None: unknown."""

    channel: str
    waiting: int | None
    in_hand: int | None
    dead: int | None


class Subscription(Protocol):
    """Deliveries of one channel to one consumer."""

    def __aiter__(self) -> AsyncIterator[Delivery]:
        """Yield deliveries; wait while there is none, reconnect while it is away."""
        ...

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Settle messages once their effect is committed."""
        ...

    async def reject(self, delivery: Delivery, reason: str, attempts: int) -> None:
        """Move a message to the dead letters; settle it once it is there."""
        ...

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Return messages unsettled, to be delivered to another consumer."""
        ...

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Keep messages in hand for another lease. Called every `lease / 3`."""
        ...


class Broker(Protocol):
    """One broker, opened for this process."""

    name: str  # redis, rabbitmq, kafka, celery, sqs
    lease: float  # seconds a message stays in hand without `extend`

    async def send(
        self,
        channel: str,
        body: bytes,
        *,
        message_id: str,
        key: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Send a message; return once the broker has confirmed that it keeps it.

        Raises:
            Unavailable: when it did not confirm.
        """
        ...

    def subscribe(
        self, channel: str, *, prefetch: int
    ) -> AbstractAsyncContextManager[Subscription]:
        """Open a subscription that holds at most `prefetch` messages at once."""
        ...

    async def setup(self, channel: str) -> list[str]:
        """Create what the channel needs. Return what was created, [] if nothing was."""
        ...

    async def state(self, channel: str) -> ChannelState:
        """Count the messages of a channel."""
        ...

    async def waiting(self, channel: str) -> int | None:
        """Count the messages that wait: cheap enough to ask every few seconds."""
        ...

    async def dead(self, channel: str, limit: int) -> list[DeadLetter]:
        """Return the oldest dead letters, one copy of each; they stay."""
        ...

    async def replay(self, channel: str, ids: Sequence[str] | None) -> int:
        """Send dead letters to the channel again, all for None; return how many.

        Further copies of what is sent are deleted.
        """
        ...

    async def purge(self, channel: str, *, dead: bool) -> int:
        """Delete the messages that wait, or the dead letters; return how many."""
        ...
