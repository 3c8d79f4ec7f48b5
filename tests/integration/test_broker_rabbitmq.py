"""RabbitMQ keeps what a broker promises."""

import pytest

from atom.client.rabbitmq import CHANNEL, RABBITMQ
from atom.queue.rabbitmq import broker
from tests.integration.broker_contract import BrokerContract, Place
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
