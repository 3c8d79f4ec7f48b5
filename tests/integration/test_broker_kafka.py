"""Kafka keeps what a broker promises."""

import asyncio
import gc
import warnings
from contextlib import AsyncExitStack

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from atom.client.kafka import KAFKA
from atom.queue.kafka import GROUP, broker
from tests import machine
from tests.integration.broker_contract import BrokerContract, Place, nothing, sent, take
from tests.service.fixture import own


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A Kafka of this module's own: it is killed."""
    with own("kafka", tmp_path_factory.mktemp("kafka")) as server:
        if server.state != "real":
            machine.absent(f"kafka ({server.why})")
        yield Place(
            config={"config_kafka_url": server.url},
            clients=(KAFKA,),
            factory=broker,
            kill=server.kill,
            start=server.start,
        )


async def members(place):
    """Return how many consumers the group waits for."""
    admin = AIOKafkaAdminClient(bootstrap_servers=place.config["config_kafka_url"])
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([GROUP])
        return len(answer.groups[0][5])
    finally:
        await admin.close()


@pytest.fixture(autouse=True)
def sockets():
    """Collect what aiokafka leaves open when it is closed while it still connects."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class TestKafka(BrokerContract):
    """On one broker that is its own controller."""

    counts = False

    async def test_subscription_survives_a_kill(self, place, broker, channel):
        """It goes on by itself; what it has in hand stays in hand, and is settled."""
        (first,) = await sent(broker, channel, 1)
        async with broker.subscribe(channel, prefetch=10) as one:
            deliveries = aiter(one)
            held = await take(deliveries, 1)
            await place.killed()
            waiting = asyncio.ensure_future(anext(deliveries))
            await asyncio.sleep(0.5)
            await place.started()
            async with place.broker() as fresh:
                (second,) = await sent(fresh, channel, 1)
            async with asyncio.timeout(60):
                held.append(await waiting)
            assert [first, second] == [delivery.message_id for delivery in held]
            await one.accept(held)

        assert 0 == (await broker.state(channel)).waiting

    async def test_settled_out_of_order_waits_for_those_before(self, broker, channel):
        """Whoever comes next gets the first that is not settled, and those after it."""
        ids = await sent(broker, channel, 4, key="a")
        async with broker.subscribe(channel, prefetch=4) as one:
            held = await take(aiter(one), 4)
            await one.accept([held[2], held[0]])

        async with broker.subscribe(channel, prefetch=4) as other:
            again = await take(aiter(other), 3)
            assert ids[1:] == [delivery.message_id for delivery in again]

    async def test_all_copies_of_a_dead_letter_are_deleted(self, broker, channel):
        """Also those that are behind the last letter that is listed."""
        await self.twice_dead(broker, channel)
        assert 1 == (await broker.state(channel)).dead
        assert 1 == await broker.replay(channel, None)
        assert [] == await broker.dead(channel, 10)

    async def test_all_copies_of_a_dead_letter_are_marked(self, broker, channel):
        """Where others stay; a message that comes to be dead again is listed again."""
        async with broker.subscribe(channel, prefetch=1) as one:
            await broker.send(channel, b"first", message_id="n", key="k")
            (held,) = await take(aiter(one), 1)
            await one.reject(held, "broken", 1)
        await self.twice_dead(broker, channel)
        first, same = await broker.dead(channel, 10)
        assert 1 == await broker.replay(channel, [same.id])
        assert [first] == await broker.dead(channel, 10)

        async with broker.subscribe(channel, prefetch=1) as one:
            (held,) = await take(aiter(one), 1)
            await one.reject(held, "broken again", 1)
        found = await broker.dead(channel, 10)
        assert ["broken", "broken again"] == [letter.reason for letter in found]
        assert b"same" == found[1].body

    async def test_partitions_move_to_a_consumer_that_joins(self, broker, channel):
        """Each message comes to one of the two, once the first has settled its own."""
        await sent(broker, channel, 1)
        async with AsyncExitStack() as stack:
            came = {"one": [], "other": []}

            async def consume(name):
                one = broker.subscribe(channel, prefetch=50)
                one = await stack.enter_async_context(one)
                async for delivery in one:
                    came[name].append(delivery.message_id)
                    await one.accept([delivery])

            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                tasks = [group.create_task(consume("one"))]
                while not came["one"]:
                    await asyncio.sleep(0.01)
                tasks.append(group.create_task(consume("other")))
                ids = []
                while not came["other"]:
                    ids += await sent(broker, channel, 10)
                    await asyncio.sleep(0.1)
                while len(came["one"]) + len(came["other"]) <= len(ids):
                    await asyncio.sleep(0.05)
                for task in tasks:
                    task.cancel()
        both = came["one"][1:] + came["other"]
        assert sorted(ids) == sorted(both)

    async def test_consumer_that_has_not_joined_yet_is_not_missed(
        self, place, broker, channel
    ):
        """It leaves while the others still finish what they have in hand."""
        await sent(broker, channel, 1)
        async with broker.subscribe(channel, prefetch=1) as one:
            held = await take(aiter(one), 1)
            async with broker.subscribe(channel, prefetch=1):
                async with asyncio.timeout(30):
                    while await members(place) < 2:
                        await asyncio.sleep(0.05)
            assert 1 == await members(place)
            await one.accept(held)

    async def test_reject_waits_for_a_broker_that_is_away(self, place, broker, channel):
        """It is not lost between the channel and the dead letters."""
        await sent(broker, channel, 1)
        async with broker.subscribe(channel, prefetch=1) as one:
            deliveries = aiter(one)
            (held,) = await take(deliveries, 1)
            await place.killed()
            rejecting = asyncio.ensure_future(one.reject(held, "broken", 1))
            await asyncio.sleep(0.5)
            await place.started()
            async with asyncio.timeout(60):
                await rejecting
            await nothing(deliveries)

        assert 1 == (await broker.state(channel)).dead
