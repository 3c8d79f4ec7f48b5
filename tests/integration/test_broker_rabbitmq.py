"""RabbitMQ keeps what a broker promises."""

import pytest
from aio_pika import DeliveryMode, connect

from atom.client.rabbitmq import CHANNEL, RABBITMQ
from atom.queue.broker import dead_of
from atom.queue.rabbitmq import broker
from tests.integration.broker_contract import BrokerContract, Place, sent, take
from tests.service.fixture import own


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A RabbitMQ of this module's own: it is killed."""
    with own("rabbitmq", tmp_path_factory.mktemp("rabbitmq")) as server:
        yield Place(
            config={"config_rabbitmq_url": server.url},
            clients=(RABBITMQ, CHANNEL),
            factory=broker,
            kill=server.kill,
            start=server.start,
            settle_seconds=2.0,
        )


class TestRabbitmq(BrokerContract):
    """On a server of the system's packages."""

    async def test_messages_are_marked_as_lasting(self, place, broker, channel):
        """Dead letters too: a queue that is not a quorum queue would lose others."""
        await sent(broker, channel, 2)
        async with broker.subscribe(channel, prefetch=1) as one:
            (first,) = await take(aiter(one), 1)
            await one.reject(first, "broken", 1)

        assert await marks(place, dead_of(channel)) == DeliveryMode.PERSISTENT
        assert await marks(place, channel) == DeliveryMode.PERSISTENT


async def marks(place, name):
    """Return how the first message of a queue is marked."""
    async with await connect(place.config["config_rabbitmq_url"]) as connection:
        queue = await (await connection.channel()).get_queue(name)
        async with queue.iterator(timeout=10) as messages:
            return (await anext(messages)).delivery_mode
