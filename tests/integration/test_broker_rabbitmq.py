"""RabbitMQ keeps what a broker promises."""

from dataclasses import replace
from uuid import uuid4

import pytest
from aio_pika import DeliveryMode, connect

from atom.client.rabbitmq import CHANNEL, RABBITMQ
from atom.errors import Unavailable
from atom.queue.broker import dead_of
from atom.queue.rabbitmq import broker
from tests.integration.broker_contract import (
    BrokerContract,
    Place,
    all_taken,
    sent,
    take,
)
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

    async def test_send_on_a_connection_that_has_just_ended(self, broker, channel):
        """It is away, which is tried again, before the driver has noticed it."""
        await broker.setup(channel)
        await sent(broker, channel, 1)
        transport = broker._clients[RABBITMQ.name].transport
        broker._sending = None

        await transport.connection.close()

        with pytest.raises(Unavailable):
            await broker.send(channel, b"{}", message_id=uuid4().hex)

    @pytest.mark.parametrize("before", [0, 1])
    async def test_queue_stays_as_it_was_made(self, place, caplog, before):
        """After a change of the key it goes on, and a warning names both."""
        key, own = "config_rabbitmq_is_single_active", f"c_{uuid4().hex[:12]}"
        mine = {**place.config, key: before}
        async with replace(place, config=mine).broker() as older:
            await older.setup(own)
            ids = await sent(older, own, 2, key="a")

        async with replace(place, config={**mine, key: 1 - before}).broker() as newer:
            assert [] == await newer.setup(own)
            assert f"{own} " in caplog.text
            assert key in caplog.text
            ids += await sent(newer, own, 2, key="a")
            assert ids == await all_taken(newer, own, ids)


async def marks(place, name):
    """Return how the first message of a queue is marked."""
    async with await connect(place.config["config_rabbitmq_url"]) as connection:
        queue = await (await connection.channel()).get_queue(name)
        async with queue.iterator(timeout=10) as messages:
            return (await anext(messages)).delivery_mode
