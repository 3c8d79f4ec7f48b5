"""Producers of Redis and of Celery while their server is killed: no lie."""

import asyncio
from contextlib import contextmanager

import pytest

from atom.client.celery import CELERY
from atom.errors import Unavailable
from atom.queue import celery
from atom.queue.celery import main_queue
from tests.acceptance.consumer.kill_place import celery_place, redis_place
from tests.integration.broker_contract import (
    ARRIVAL_SECONDS,
    AWAY_SECONDS,
    DEFAULTS,
    Place,
    all_taken,
    sent,
)
from tests.service.fixture import own

CHANNEL = "outage"


@contextmanager
def celery_on_redis(folder):
    """Celery, with the server of Redis as its broker."""
    with redis_place(folder) as place:
        config = {"config_celery_broker_url": place.config["config_redis_pubsub_url"]}
        yield Place(config, (CELERY,), celery.broker, place.kill, place.start)


@contextmanager
def celery_on_rabbitmq(folder):
    """Celery, with RabbitMQ as its broker."""
    with own("rabbitmq", folder) as server, celery_place(server) as place:
        yield place


PLACES = {
    "redis": redis_place,
    "celery-redis": celery_on_redis,
    "celery-rabbitmq": celery_on_rabbitmq,
}


@pytest.fixture(scope="module", params=PLACES)
def place(request, tmp_path_factory):
    """A server that is killed and started again on its data."""
    with PLACES[request.param](tmp_path_factory.mktemp("outage") / "data") as place:
        yield place


async def kept(place, ids):
    """Return the ids of the messages that the server has, and take them."""
    async with place.broker() as broker:
        if broker.name == "redis":
            return await all_taken(broker, CHANNEL, ids)

        def work(link):
            queue = main_queue({**DEFAULTS, **place.config}, CHANNEL)
            source, found = queue(link.default_channel), []
            while (message := source.get(no_ack=True)) is not None:
                found.append(message.headers["id"])
            return found

        return await broker.wire.run(work)


async def test_each_message_is_confirmed_and_kept_or_an_error(place):
    """Over a kill, in the outage, and by the same broker afterwards."""
    confirmed = []
    async with place.broker() as broker:
        await broker.setup(CHANNEL)
        await sent(broker, CHANNEL, 1)

        async def send():
            while True:
                confirmed.extend(await sent(broker, CHANNEL, 1))

        sending = [asyncio.ensure_future(send()) for _ in range(5)]
        async with asyncio.timeout(ARRIVAL_SECONDS):
            while len(confirmed) < 50:
                await asyncio.sleep(0.01)
        await place.killed()
        try:
            ends = await asyncio.gather(*sending, return_exceptions=True)
            assert [Unavailable] * 5 == [type(end) for end in ends]
            async with asyncio.timeout(AWAY_SECONDS):
                with pytest.raises(Unavailable):
                    await sent(broker, CHANNEL, 1)
        finally:
            await place.started()
        async with asyncio.timeout(60):
            while True:
                try:
                    confirmed += await sent(broker, CHANNEL, 1)
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)

    assert set(confirmed) <= set(await kept(place, confirmed))
