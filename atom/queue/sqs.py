"""Queues of SQS: standard ones, which keep no order, and FIFO ones, `jobs.fifo`.

A FIFO queue keeps the order of messages with one key. What a dead consumer had in hand
is delivered again after `config_queue_lease_sec`. Dead letters are in `<channel>_dead`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from math import ceil
from typing import Any

from atom.aws import Aws, AwsConfig, AwsRefused
from atom.backoff import Backoff
from atom.client.aws import POLL_SECONDS
from atom.config.view import view
from atom.errors import ApiError, ConfigError, Unavailable
from atom.queue import sqs_setup
from atom.queue.broker import (
    NO_HEADERS,
    BrokerConfig,
    ChannelState,
    DeadLetter,
    Delivery,
)
from atom.queue.sqs_message import (
    FIFO,
    Letter,
    dead_queue,
    delivered,
    entry,
    identifier,
    letter,
    rejected,
)

log = logging.getLogger(__name__)

SECONDS = 10.0  # a call, with its retries
AT_ONCE = 10  # messages that SQS takes or hands over by one call
LOOKED_AT_SECONDS = 60  # a dead letter is kept from others while it is looked at
TRIES = 3  # of the messages of a batch that SQS could not settle
RECEIVED = ("ApproximateReceiveCount", "MessageGroupId", "SentTimestamp")
MISSING = frozenset(
    {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
    | {"NonExistentQueue"}
)


class SqsBroker:
    """The queues of one account and region."""

    name = "sqs"

    def __init__(self, aws: Aws, lease: float, subscribed: sqs_setup.SqsConfig) -> None:
        self.aws = aws
        self.lease = float(ceil(lease))  # SQS counts whole seconds
        self._subscribed = subscribed
        self._urls: dict[str, str] = {}

    async def call(self, operation: str, channel: str, **arguments: Any) -> Any:
        """Make one call about a queue.

        Raises:
            Unavailable: when there is no such queue, or no answer.
            ApiError: what SQS refuses.
        """
        try:
            url = await self._url(channel)
            return await self.aws.call(
                "sqs", operation, seconds=SECONDS, QueueUrl=url, **arguments
            )
        except AwsRefused as error:
            if error.reason not in MISSING:
                raise
            self._urls.pop(channel, None)
            raise Unavailable(
                f"There is no queue '{channel}' in SQS.",
                code="client.silent",
                hint=f"python main.py queue setup sqs --channel {channel}",
            ) from error

    async def _url(self, channel: str) -> str:
        """Return the URL of a queue, asked for once."""
        if channel not in self._urls:
            answer = await self.aws.call(
                "sqs", "get_queue_url", seconds=SECONDS, QueueName=channel
            )
            self._urls[channel] = answer["QueueUrl"]
        return self._urls[channel]

    async def send(
        self,
        channel: str,
        body: bytes,
        *,
        message_id: str,
        key: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Send a message. A FIFO queue takes an id once within five minutes."""
        order = {}
        if channel.endswith(FIFO):
            order["MessageGroupId"] = identifier(key or message_id)
            order["MessageDeduplicationId"] = identifier(message_id)
        given = entry(body, message_id, key, headers)
        await self.call("send_message", channel, **given, **order)

    @asynccontextmanager
    async def subscribe(
        self, channel: str, *, prefetch: int
    ) -> AsyncIterator["SqsSubscription"]:
        """Poll a queue; at the end return what the last poll received.

        Raises:
            ConfigError: when there is no such queue, or SQS does not let us in.
        """
        try:
            await self._url(channel)
        except Unavailable as error:
            log.warning("sqs: waiting for it: %s", error.message)
        except ApiError as error:
            missing = isinstance(error, AwsRefused) and error.reason in MISSING
            hint = f"python main.py queue setup sqs --channel {channel}"
            text = f"{error.message} {hint if missing else error.hint}"
            raise ConfigError([f"sqs {channel}: {text}"]) from error
        found = SqsSubscription(self, channel, prefetch)
        try:
            yield found
        finally:
            await found.leave()

    async def setup(self, channel: str) -> list[str]:
        """Create the queues, the policy between them, and the subscription to SNS."""
        made = await sqs_setup.create(
            self.aws, channel, int(self.lease), self._subscribed
        )
        self._urls.clear()
        return made

    async def state(self, channel: str) -> ChannelState:
        """Return what SQS counts, approximately."""
        waiting, in_hand = await self._counted(channel)
        dead, looked_at = await self._counted(dead_queue(channel))
        total = None if dead is None else dead + (looked_at or 0)
        return ChannelState(channel, waiting, in_hand, total)

    async def waiting(self, channel: str) -> int | None:
        """Count the messages that wait."""
        return (await self.state(channel)).waiting

    async def _counted(self, channel: str) -> tuple[int | None, int | None]:
        names = ("", "Delayed", "NotVisible")
        attributes = [f"ApproximateNumberOfMessages{name}" for name in names]
        try:
            answer = await self.call(
                "get_queue_attributes", channel, AttributeNames=attributes
            )
        except Unavailable as error:
            if isinstance(error.__cause__, AwsRefused):  # there is no such queue
                return None, None
            raise
        visible, delayed, in_hand = (int(answer["Attributes"][a]) for a in attributes)
        return visible + delayed, in_hand

    async def receive(
        self, channel: str, number: int, *, wait: int, lease: float
    ) -> list[Mapping[str, Any]]:
        """Receive messages for one lease; wait for the first of them."""
        answer = await self.call(
            "receive_message",
            channel,
            MaxNumberOfMessages=min(number, AT_ONCE),
            WaitTimeSeconds=wait,
            VisibilityTimeout=int(lease),
            MessageSystemAttributeNames=[*RECEIVED],
            MessageAttributeNames=["All"],
        )
        found: list[Mapping[str, Any]] = answer.get("Messages", [])
        return found

    async def settle(
        self, operation: str, channel: str, receipts: Sequence[str], **arguments: Any
    ) -> None:
        """Delete messages, or change their lease; those SQS failed at are tried again.

        Raises:
            ApiError: when SQS has not settled all of them.
        """
        for first in range(0, len(receipts), AT_ONCE):
            left = {
                str(place): {"Id": str(place), "ReceiptHandle": receipt, **arguments}
                for place, receipt in enumerate(receipts[first : first + AT_ONCE])
            }
            for _ in range(TRIES):
                entries = list(left.values())
                answer = await self.call(operation, channel, Entries=entries)
                failed = answer.get("Failed", ())
                left = {each["Id"]: left[each["Id"]] for each in failed}
                if not left or any(each["SenderFault"] for each in failed):
                    break
            if left:
                why = ", ".join(sorted({each["Code"] for each in failed}))
                text = f"SQS did not settle {len(left)} messages: {why}."
                raise Unavailable(text, code="client.silent")

    async def _letters(self, channel: str) -> AsyncIterator[list[Letter]]:
        """Yield the dead letters, each kept from others for a while."""
        name, seen = dead_queue(channel), set[str]()
        while found := await self.receive(
            name, AT_ONCE, wait=1, lease=LOOKED_AT_SECONDS
        ):
            letters = [letter(each) for each in found]
            yield letters
            if seen.issuperset(each.shown.id for each in letters):
                return  # they are more than can be looked at in this time
            seen.update(each.shown.id for each in letters)

    async def _return(self, channel: str, letters: Sequence[Letter]) -> None:
        receipts = [each.receipt for each in letters]
        await self.settle(
            "change_message_visibility_batch", channel, receipts, VisibilityTimeout=0
        )

    async def dead(self, channel: str, limit: int) -> list[DeadLetter]:
        """Return the oldest dead letters. SQS shows none without receiving all."""
        found: list[Letter] = []
        try:
            async for some in self._letters(channel):
                found += some
        finally:
            await self._return(dead_queue(channel), found)
        first: dict[str, Letter] = {}
        for each in sorted(found, key=lambda each: each.sent_at):
            first.setdefault(each.identity, each)
        return [each.shown for each in first.values()][:limit]

    async def replay(self, channel: str, ids: Sequence[str] | None) -> int:
        """Send dead letters again, each under an id for five minutes of its own."""
        name, kept = dead_queue(channel), list[Letter]()
        wanted = None if ids is None else set(ids)
        done = set[str]()
        found: list[Letter] = []
        try:
            async for some in self._letters(channel):
                found += some
            chosen = {
                each.identity
                for each in found
                if wanted is None or each.shown.id in wanted
            }
            kept = [each for each in found if each.identity not in chosen]
            found = [each for each in found if each.identity in chosen]
            found.sort(key=lambda each: each.sent_at)
            while found:
                each = found[0]
                order = {}
                if channel.endswith(FIFO):
                    order["MessageGroupId"] = identifier(each.group)
                    order["MessageDeduplicationId"] = identifier(each.shown.id)
                if each.identity not in done:
                    await self.call("send_message", channel, **each.original, **order)
                await self.settle("delete_message_batch", name, [each.receipt])
                found.pop(0)
                done.add(each.identity)
        finally:
            await self._return(name, [*kept, *found])
        return len(done)

    async def purge(self, channel: str, *, dead: bool) -> int:
        """Receive and delete: SQS would delete what is in hand as well, uncounted."""
        name, done = dead_queue(channel) if dead else channel, 0
        while found := await self.receive(name, AT_ONCE, wait=1, lease=self.lease):
            receipts = [each["ReceiptHandle"] for each in found]
            await self.settle("delete_message_batch", name, receipts)
            done += len(found)
        return done


class SqsSubscription:
    """One poller of a queue; SQS calls a message in hand by its receipt."""

    def __init__(self, broker: SqsBroker, channel: str, prefetch: int) -> None:
        self._broker = broker
        self._channel = channel
        self._prefetch = prefetch
        self._held: set[str] = set()
        self._ready: deque[Delivery] = deque()
        self._freed = asyncio.Event()
        self._poll: asyncio.Task[list[Delivery]] | None = None

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        """Yield deliveries. A poll that is left waiting is finished by the next one."""
        backoff = Backoff(0.1, 5.0)
        while True:
            while self._ready:
                yield self._ready.popleft()
            while self._poll is None and len(self._held) >= self._prefetch:
                self._freed.clear()
                await self._freed.wait()
            try:
                await self._receive()
            except ApiError as error:
                if not backoff.seconds:
                    log.warning("sqs: waiting for it: %s", error.message)
                await backoff.rest()
                continue
            backoff.succeeded()

    async def _receive(self) -> None:
        """Fill what is ready; its thread cannot be cancelled, so the poll goes on."""
        if self._poll is None:
            room = self._prefetch - len(self._held)
            self._poll = asyncio.create_task(self._polled(room), name="sqs poll")
        try:
            found = await asyncio.shield(self._poll)
        except asyncio.CancelledError:
            raise
        except ApiError:
            self._poll = None
            raise
        self._poll = None
        self._held.update(each.token.receipt for each in found)
        self._ready.extend(found)

    async def _polled(self, room: int) -> list[Delivery]:
        found = await self._broker.receive(
            self._channel, room, wait=POLL_SECONDS, lease=self._broker.lease
        )
        return [delivered(each) for each in found]

    def _let_go(self, deliveries: Sequence[Delivery]) -> list[str]:
        receipts = [each.token.receipt for each in deliveries]
        self._held.difference_update(receipts)
        self._freed.set()
        return receipts

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Delete messages."""
        receipts = self._let_go(deliveries)
        await self._broker.settle("delete_message_batch", self._channel, receipts)

    async def reject(self, delivery: Delivery, reason: str, attempts: int) -> None:
        """Send a message to the dead letters, then delete it."""
        receipts = self._let_go([delivery])
        name, order = dead_queue(self._channel), {}
        if name.endswith(FIFO):  # an id for each: no dead letter hides another
            sent_as = identifier(delivery.token.sqs_id)
            order = {"MessageGroupId": sent_as, "MessageDeduplicationId": sent_as}
        given = rejected(delivery, reason, attempts, datetime.now(UTC))
        await self._broker.call("send_message", name, **given, **order)
        await self._broker.settle("delete_message_batch", self._channel, receipts)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Let SQS deliver messages at once."""
        await self._lease(self._let_go(deliveries), 0)

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Begin the lease of messages again; SQS allows 12 hours in all."""
        receipts = [each.token.receipt for each in deliveries]
        await self._lease(receipts, int(self._broker.lease))

    async def _lease(self, receipts: Sequence[str], seconds: int) -> None:
        await self._broker.settle(
            "change_message_visibility_batch",
            self._channel,
            receipts,
            VisibilityTimeout=seconds,
        )

    async def leave(self) -> None:
        """Wait for the last poll, and return what no one has taken."""
        try:
            if self._poll is not None:
                self._ready.extend(await self._poll)
            if self._ready:
                await self.release([*self._ready])
        except ApiError as error:
            log.info("sqs: messages come again after their lease: %s", error.message)
        self._ready.clear()
        self._poll = None


def broker(clients: Mapping[str, Any], config: Mapping[str, Any]) -> SqsBroker:
    """Return the broker.

    Raises:
        Unavailable: `client.missing` or `client.silent`.
    """
    aws = Aws(clients, view(AwsConfig, config))
    aws.client("sqs")
    given = view(BrokerConfig, config)
    subscribed = view(sqs_setup.SqsConfig, config)
    return SqsBroker(aws, given.queue_lease_sec, subscribed)
