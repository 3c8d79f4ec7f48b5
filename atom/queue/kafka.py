"""Kafka: topics, of which each partition is one consumer's at a time.

The key of a message decides its partition, so those of one key stay in order. A dead
letter is a copy in the topic `<channel>_dead`, of one partition: its headers have the
reason, the attempts and the time. One that is replayed by its id leaves a mark, a
record without a body, until all before it are gone. Kafka delivers again what was
settled behind a message that was not, so a consumer that is killed leaves copies of
dead letters: they are read as one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from atom.client import needed
from atom.client.kafka import KAFKA, address
from atom.config.view import view
from atom.errors import Unavailable
from atom.queue.broker import (
    DEAD,
    NO_HEADERS,
    BrokerConfig,
    ChannelState,
    DeadLetter,
    Delivery,
    dead_of,
    identity,
)
from atom.queue.kafka_subscription import (
    MESSAGE_ID,
    KafkaSubscription,
    is_lost,
    text,
)

GROUP = "atom"
SEND_SECONDS = 10.0
SESSION_SECONDS = 6.0  # brokers take no shorter one
COPIES = 3  # of each message, on as many nodes
DIED = ("reason", "attempts", "died_at")
EXISTS = 36  # the error code
FOR_EVER = {"retention.ms": "-1"}
GONE = "letter"  # the header of a mark: what was replayed


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """What config sets for topics that are made."""

    kafka_partitions: int


@dataclass(slots=True)
class Letter:
    """A dead letter: its first copy, and where its last one is."""

    place: Any  # TopicPartition
    record: Any
    last: int  # offset

    @property
    def identity(self) -> str:
        """What all copies of it have in common."""
        headers = dict(self.record.headers)
        return identity(text(headers.get(MESSAGE_ID)), self.record.value)

    @property
    def id(self) -> str:
        """What replay takes."""
        return f"{self.place.partition}-{self.record.offset}"


class KafkaBroker:
    """The topics of one cluster."""

    name = "kafka"

    def __init__(
        self, producer: Any, place: Mapping[str, Any], lease: float, partitions: int
    ) -> None:
        self.lease = lease
        self._producer = producer
        self._place = place  # servers, and how to sign on
        self._partitions = partitions
        self._known: set[str] = set()  # topics that are there

    async def send(
        self,
        channel: str,
        body: bytes,
        *,
        message_id: str,
        key: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Append a message to a partition; every node that is in sync has it then.

        After an error it may be there all the same: the driver does not take it back.
        """
        if channel not in self._known:
            await self._create({channel: self._partitions})
        pairs = [*headers.items(), (MESSAGE_ID, message_id)]
        await self._append(channel, body, _key(key), _encoded(pairs))

    async def _append(
        self,
        topic: str,
        body: bytes | None,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> None:
        with _available():
            async with asyncio.timeout(SEND_SECONDS):
                await self._producer.send_and_wait(
                    topic, body, key=key, headers=headers
                )

    @asynccontextmanager
    async def subscribe(
        self, channel: str, *, prefetch: int
    ) -> AsyncIterator[KafkaSubscription]:
        """Join the group; leave it at the end."""
        session_ms = int(max(self.lease, SESSION_SECONDS) * 1000)

        async def open_consumer(listener: Any) -> Any:
            await self.setup(channel)
            options = {
                "session_timeout_ms": session_ms,
                "rebalance_timeout_ms": session_ms,
                "heartbeat_interval_ms": min(session_ms // 3, 3000),
                # Reading stops while much is in hand; the heart still beats.
                "max_poll_interval_ms": 2**31 - 1,
            }
            consumer = self._consumer(**options)
            consumer.subscribe([channel], listener=listener)
            return consumer

        async def bury(delivery: Delivery, reason: str, attempts: int) -> None:
            now = datetime.now(UTC).isoformat()
            died = zip(DIED, (reason, str(attempts), now), strict=True)
            named = (MESSAGE_ID, delivery.message_id or "")
            pairs = _encoded([*delivery.headers.items(), named, *died])
            dead = dead_of(channel)
            await self._append(dead, delivery.body, _key(delivery.key), pairs)

        found = KafkaSubscription(
            open_consumer, bury, prefetch=prefetch, revoke_seconds=self.lease / 3
        )
        found.join()
        try:
            yield found
        finally:
            await found.close()

    async def setup(self, channel: str) -> list[str]:
        """Create the topic, and that of its dead letters, which are kept for ever."""
        return await self._create({channel: self._partitions, dead_of(channel): 1})

    async def _create(self, topics: Mapping[str, int]) -> list[str]:
        """Create those topics that are not there; return them."""
        from aiokafka.admin import NewTopic
        from aiokafka.errors import for_code

        async with self._admin() as admin:
            there = set(await admin.list_topics())
            lacking = {name: n for name, n in topics.items() if name not in there}
            nodes = (await admin.describe_cluster())["brokers"] if lacking else ()
            made = [
                NewTopic(
                    *(name, number, min(COPIES, len(nodes))),
                    topic_configs=FOR_EVER if name.endswith(DEAD) else {},
                )
                for name, number in lacking.items()
            ]
            answer = await admin.create_topics(made) if made else None
        created = []
        for name, code, *rest in answer.topic_errors if answer else ():
            if code == 0:
                created.append(f"topic {name} of {topics[name]} partitions")
            elif code != EXISTS:
                raise for_code(code)(f"{name}: {rest[0] if rest else ''}")
        self._known |= set(topics)
        return created

    async def state(self, channel: str) -> ChannelState:
        """Count what the group has not settled; Kafka knows of no message in hand."""
        dead = len(await self._letters(channel))
        return ChannelState(channel, await self.waiting(channel), None, dead)

    async def waiting(self, channel: str) -> int:
        """Count what the group has not settled; no dead letter is read for it."""
        async with self._reader() as reader:
            starts, ends = await self._ends(reader, channel, is_grouped=True)
        return sum(ends[one] - starts[one] for one in ends)

    async def dead(self, channel: str, limit: int) -> list[DeadLetter]:
        """Return the oldest dead letters."""
        return [_dead_letter(one) for one in (await self._letters(channel))[:limit]]

    async def replay(self, channel: str, ids: Sequence[str] | None) -> int:
        """Send dead letters again, and delete them, or mark them where others stay."""
        letters = await self._letters(channel)
        asked = [one for one in letters if ids is None or one.id in ids]
        stay = [one for one in letters if one not in asked]
        for one in asked:
            headers = list(one.record.headers[: -len(DIED)])
            await self._append(channel, one.record.value, one.record.key, headers)
            if stay:
                mark = [(GONE, one.identity.encode())]
                await self._append(dead_of(channel), None, one.id.encode(), mark)
        before: dict[Any, int] = {}
        for one in asked:
            before[one.place] = max(one.last + 1, before.get(one.place, 0))
        for one in stay:
            if one.place in before:
                before[one.place] = min(one.record.offset, before[one.place])
        await self._delete(before)
        return len(asked)

    async def purge(self, channel: str, *, dead: bool) -> int:
        """Delete all dead letters, or every message; return how many waited."""
        if dead:
            done = len(await self._letters(channel))
            async with self._reader() as reader:
                _, ends = await self._ends(reader, dead_of(channel))
        else:
            async with self._reader() as reader:
                starts, ends = await self._ends(reader, channel, is_grouped=True)
            done = sum(ends[one] - starts[one] for one in ends)
        await self._delete(ends)
        return done

    async def _delete(self, before: Mapping[Any, int]) -> None:
        """Delete the records of partitions that are before an offset."""
        from aiokafka.admin import RecordsToDelete

        asked = {place: RecordsToDelete(end) for place, end in before.items() if end}
        if asked:
            async with self._admin() as admin:
                await admin.delete_records(asked)

    async def _letters(self, channel: str) -> list[Letter]:
        """Read the dead letters that were not replayed, the oldest first."""
        found: list[tuple[Any, Any]] = []
        async with self._reader() as reader:
            starts, ends = await self._ends(reader, dead_of(channel))
            places = [one for one in ends if ends[one] > starts[one]]
            reader.assign(places)
            for one in places:
                reader.seek(one, starts[one])
            while any([await reader.position(one) < ends[one] for one in places]):
                for place, records in (await reader.getmany(timeout_ms=1000)).items():
                    found += [(place, record) for record in records]
        kept = _kept(found)
        return sorted(kept, key=lambda one: (one.record.timestamp, one.record.offset))

    async def _ends(
        self, reader: Any, topic: str, *, is_grouped: bool = False
    ) -> tuple[Any, Any]:
        """Return where each partition begins, for the group or at all, and ends."""
        from aiokafka import TopicPartition

        numbers = await self._numbers(topic)
        places = [TopicPartition(topic, number) for number in numbers]
        if not places:
            return {}, {}
        starts = await reader.beginning_offsets(places)
        ends = await reader.end_offsets(places)
        if is_grouped:
            for place in places:
                starts[place] = max(starts[place], await reader.committed(place) or 0)
        return starts, ends

    async def _numbers(self, topic: str) -> list[int]:
        """Return the partitions of a topic, [] when it is not there."""
        if topic not in self._known:
            async with self._admin() as admin:
                self._known |= set(await admin.list_topics())
        if topic not in self._known:
            return []  # asking for it would make it
        return sorted(await self._producer.partitions_for(topic))

    def _consumer(self, **options: Any) -> Any:
        from aiokafka import AIOKafkaConsumer

        return AIOKafkaConsumer(
            **self._place,
            group_id=GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            request_timeout_ms=10_000,
            **options,
        )

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[Any]:
        """Open a consumer that looks at what the group has, and does not join it."""
        with _available():
            reader = self._consumer()
            await _started(reader)
            try:
                yield reader
            finally:
                await reader.stop()

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        from aiokafka.admin import AIOKafkaAdminClient

        with _available():
            admin = AIOKafkaAdminClient(**self._place, request_timeout_ms=10_000)
            try:
                await admin.start()
                yield admin
            finally:
                await admin.close()


def broker(clients: Mapping[str, Any], config: Mapping[str, Any]) -> KafkaBroker:
    """Return the broker.

    Raises:
        Unavailable: `client.missing` or `client.silent`.
    """
    producer = needed(clients, KAFKA.name, *KAFKA.needs)
    lease = view(BrokerConfig, config).queue_lease_sec
    partitions = view(TopicConfig, config).kafka_partitions
    return KafkaBroker(producer, address(config), lease, partitions)


async def _started(consumer: Any) -> None:
    """Start a consumer; leave nothing open when that fails."""
    try:
        await consumer.start()
    except BaseException:
        await consumer.stop()
        raise


@contextmanager
def _available() -> Iterator[None]:
    """Raise Unavailable when Kafka does not answer."""
    try:
        yield
    except Exception as error:
        if not (is_lost(error) or isinstance(error, TimeoutError)):
            raise
        raise Unavailable(
            "Kafka does not answer at the moment.",
            code="client.silent",
            hint="Try again in a moment.",
        ) from error


def _key(key: str | None) -> bytes | None:
    return None if key is None else key.encode()


def _encoded(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in pairs]


def _kept(found: Sequence[tuple[Any, Any]]) -> list[Letter]:
    """Return the letters of records; a mark ends those before it."""
    gone = {text(record.key) for _, record in found if record.value is None}
    kept: dict[str, Letter] = {}
    for place, record in found:
        if record.value is None:
            kept.pop(text(dict(record.headers).get(GONE)), None)
            continue
        one = Letter(place, record, record.offset)
        if one.id not in gone:
            first = kept.setdefault(one.identity, one)
            if first.place == place:
                first.last = record.offset
    return list(kept.values())


def _dead_letter(one: Letter) -> DeadLetter:
    headers = {name: text(value) for name, value in one.record.headers}
    return DeadLetter(
        one.id,
        one.record.value,
        headers.get("reason", ""),
        int(headers.get("attempts") or 0),
        datetime.fromisoformat(headers["died_at"]),
    )
