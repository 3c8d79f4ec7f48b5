"""A consumer of a Kafka topic, in the group that all consumers of Atom share.

Kafka keeps one number for each partition: where its group goes on. So a message that
was settled before an earlier one waits for it, and the number moves over both. It is
sent in the background; what a process that ends in between has settled is delivered
again, and the inbox knows it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from atom.backoff import Backoff
from atom.errors import Unavailable
from atom.queue.broker import Delivery
from atom.task import ended

if TYPE_CHECKING:
    from aiokafka import ConsumerRebalanceListener

log = logging.getLogger(__name__)

POLL_MS = 1000
COMMIT_SECONDS = 0.05  # between two commits
CLOSE_SECONDS = 5.0
LEAVE_SECONDS = 1.0
MESSAGE_ID = "message_id"


class Hand:
    """The messages of one partition in hand, by offset; another after each rebalance.

    A message that comes to be settled in a hand of the past is not settled: whoever has
    the partition now was given it again.
    """

    __slots__ = ("committed", "held", "next")

    def __init__(self, position: int = -1) -> None:
        self.held: dict[int, None] = {}  # in order: they come so
        self.next = position  # -1: none was read yet
        self.committed = position

    @property
    def position(self) -> int:
        """Where the group goes on: at the first that is not settled."""
        return next(iter(self.held), self.next)


class KafkaSubscription:
    """One member of the group. Call `join` and `close`.

    Reading goes on in a task of its own, so whoever waits for a message may be
    cancelled, and joining the group or waiting for a broker is not begun again.
    """

    def __init__(
        self,
        open_consumer: Callable[["ConsumerRebalanceListener"], Awaitable[Any]],
        bury: Callable[[Delivery, str, int], Awaitable[None]],
        *,
        prefetch: int,
        revoke_seconds: float,
    ) -> None:
        self._open_consumer = open_consumer
        self._bury = bury
        self._prefetch = prefetch
        self._revoke_seconds = revoke_seconds
        self._consumer: Any = None
        self._hands: dict[Any, Hand] = {}  # by partition
        self._ready: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._settled = asyncio.Event()
        self._committing = asyncio.Lock()
        self._is_assigned = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def join(self) -> None:
        """Begin to read."""
        for work in (self._read(), self._commit_always()):
            task = asyncio.create_task(work, name="kafka")
            task.add_done_callback(lambda _: self._arrived.set())
            self._tasks.append(task)

    async def close(self) -> None:
        """Commit what is settled, and leave the group."""
        await ended(self._tasks)
        if self._consumer is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._commit()
        except Exception as error:
            log.warning("kafka: settled messages will be delivered again: %s", error)
        leaving = (LEAVE_SECONDS, left(self._consumer))
        for seconds, work in (leaving, (CLOSE_SECONDS, self._consumer.stop())):
            try:
                async with asyncio.timeout(seconds):
                    await work
            except Exception as error:
                log.info("kafka: the group will miss this consumer: %s", error)

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        """Yield messages as they come."""
        while True:
            while not self._ready:
                for task in self._tasks:
                    if task.done():
                        task.result()
                self._arrived.clear()
                await self._arrived.wait()
            yield self._ready.popleft()

    # Reading

    async def _read(self) -> None:
        """Read for as long as there is room; wait while Kafka is away."""
        backoff = Backoff(0.1, 5.0)
        while True:
            try:
                if self._consumer is None:
                    await self._start()
                await self._is_assigned.wait()
                room = self._prefetch - sum(
                    len(one.held) for one in self._hands.values()
                )
                if room <= 0:
                    self._settled.clear()
                    await self._settled.wait()
                    continue
                found = await self._consumer.getmany(
                    timeout_ms=POLL_MS, max_records=room
                )
            except Exception as error:
                if not is_lost(error):
                    raise
                if not backoff.seconds:
                    log.warning("kafka: waiting for it: %s", error)
                await backoff.rest()
                continue
            backoff.succeeded()
            for partition, records in found.items():
                if (hand := self._hands.get(partition)) is not None:
                    self._take(partition, hand, records)

    async def _start(self) -> None:
        """Start a consumer. One that waits to join is left to `close`."""
        listener = _listener(self._assigned, self._revoked)
        self._consumer = await self._open_consumer(listener)
        try:
            await self._consumer.start()
        except Exception:
            failed, self._consumer = self._consumer, None
            await failed.stop()
            raise

    def _take(self, partition: Any, hand: Hand, records: Sequence[Any]) -> None:
        for record in records:
            hand.held[record.offset] = None
            hand.next = record.offset + 1
            self._ready.append(_delivery(record, (partition, hand)))
        self._arrived.set()

    def _drop(self, partition: Any) -> None:
        """Forget what is in hand of a partition."""
        gone = self._hands.pop(partition, None)
        kept = [one for one in self._ready if one.token[1] is not gone]
        self._ready = deque(kept)
        self._settled.set()

    async def _assigned(self, partitions: Sequence[Any]) -> None:
        for partition in partitions:
            self._hands[partition] = Hand()
        self._is_assigned.set()

    async def _revoked(self, partitions: Sequence[Any]) -> None:
        """Read no more; let what is in hand be finished for a while, and commit it.

        What is left is delivered to whoever has the partition next.
        """
        self._is_assigned.clear()
        try:
            async with asyncio.timeout(self._revoke_seconds):
                while any(hand.held for hand in self._hands.values()):
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            log.info("kafka: messages in hand are left to another consumer")
        try:
            await self._commit()
        except Exception as error:
            log.warning("kafka: settled messages will be delivered again: %s", error)
        for partition in partitions:
            self._drop(partition)

    # Settling

    def _current(self, delivery: Delivery) -> tuple[Any, Hand] | None:
        """Return the partition and the hand of a delivery that is still this one's."""
        partition: Any = delivery.token[0]
        hand: Hand = delivery.token[1]
        return (partition, hand) if self._hands.get(partition) is hand else None

    async def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Settle messages; the group's place is sent soon."""
        for delivery in deliveries:
            if self._current(delivery) is not None:
                delivery.token[1].held.pop(delivery.token[2], None)
        self._settled.set()

    async def reject(self, delivery: Delivery, reason: str, attempts: int) -> None:
        """Copy a message to the dead letters; wait for as long as that takes."""
        backoff = Backoff(0.1, 5.0)
        while self._current(delivery) is not None:
            try:
                await self._bury(delivery, reason, attempts)
            except Unavailable:
                await backoff.rest()
            else:
                await self.accept([delivery])
                return

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Go back to the first of the messages of each partition."""
        first: dict[Any, int] = {}
        for delivery in deliveries:
            if (found := self._current(delivery)) is not None:
                offset = delivery.token[2]
                first[found[0]] = min(offset, first.get(found[0], offset))
        for partition, offset in first.items():
            self._consumer.seek(partition, offset)
            again = Hand(offset)
            again.committed = self._hands[partition].committed
            self._drop(partition)
            self._hands[partition] = again

    async def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Nothing: a partition is a consumer's for as long as its heart beats."""

    async def _commit_always(self) -> None:
        backoff = Backoff(COMMIT_SECONDS, 5.0)
        while True:
            try:
                await self._commit()
            except Exception as error:
                if not is_lost(error):
                    raise
                await backoff.rest()
            else:
                backoff.succeeded()
                await asyncio.sleep(COMMIT_SECONDS)

    async def _commit(self) -> None:
        """Send where the group goes on, of the partitions in which that has moved."""
        from aiokafka.errors import CommitFailedError, IllegalStateError

        async with self._committing:
            moved = {
                partition: hand
                for partition, hand in self._hands.items()
                if hand.position > hand.committed
            }
            if not moved:
                return
            places = {partition: hand.position for partition, hand in moved.items()}
            try:
                await self._consumer.commit(places)
            except (CommitFailedError, IllegalStateError) as error:
                log.info("kafka: partitions have moved: %s", error)
                return
            for partition, hand in moved.items():
                hand.committed = places[partition]


async def left(consumer: Any) -> None:
    """Leave the group, also where Kafka has not answered yet who joins it.

    The driver would wait for that answer, for as long as others have messages in hand,
    or go without a word: then they wait for this consumer until its lease ends. A
    connection answers in order, so another one than that of the group is asked.
    """
    from aiokafka.protocol.group import LeaveGroupRequest

    group = consumer._coordinator
    if group is not None and group.coordinator_id is not None and group.member_id:
        request = LeaveGroupRequest(group.group_id, group.member_id)
        await consumer._client.send(group.coordinator_id, request)


def is_lost(error: BaseException) -> bool:
    """Whether Kafka, or the node for something, does not answer at the moment."""
    from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

    if isinstance(error, KafkaConnectionError | KafkaTimeoutError | Unavailable):
        return True
    return isinstance(error, KafkaError) and bool(error.retriable)


def text(value: bytes | None) -> str:
    """Return bytes of another program as text."""
    return (value or b"").decode(errors="replace")


def _listener(
    assigned: Callable[[Sequence[Any]], Awaitable[None]],
    revoked: Callable[[Sequence[Any]], Awaitable[None]],
) -> "ConsumerRebalanceListener":
    from aiokafka import ConsumerRebalanceListener

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        """Passes on which partitions come and go."""

        on_partitions_assigned = staticmethod(assigned)
        on_partitions_revoked = staticmethod(revoked)

    return Listener()


def _delivery(record: Any, owner: tuple[Any, Hand]) -> Delivery:
    headers = {name: text(value) for name, value in record.headers}
    place = f"kafka {record.topic} {record.partition} {record.offset}"
    return Delivery(
        record.value or b"",
        (*owner, record.offset),
        headers.pop(MESSAGE_ID, "") or place,
        None if record.key is None else text(record.key),
        None,
        headers,
    )
