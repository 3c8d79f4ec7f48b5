"""The services of tests/service are what they claim to be."""

import asyncio
import os
import subprocess
import sys

import pytest

from tests import machine
from tests.database import wait_until
from tests.served import ROOT, is_open
from tests.service.fixture import own


async def sent(url, queue, body):
    """Send one confirmed, lasting message; return how many the queue had before."""
    import aio_pika

    async with await aio_pika.connect(url, timeout=5) as connection:
        channel = await connection.channel()
        made = await channel.declare_queue(queue, durable=True)
        await channel.default_exchange.publish(
            aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
            routing_key=queue,
        )
        return made.declaration_result.message_count


async def test_rabbitmq_keeps_what_it_confirmed(tmp_path):
    """Killed in the middle, and started again on the same port."""
    with own("rabbitmq", tmp_path) as server:
        assert 0 == await sent(server.url, "kept", b"1")
        server.kill()
        assert not is_open("127.0.0.1", server.port)
        await asyncio.to_thread(server.start)
        assert 1 == await sent(server.url, "kept", b"2")


async def test_rabbitmq_is_shared(rabbitmq_url):
    """The fixture's server answers."""
    assert 0 == await sent(rabbitmq_url, "shared", b"1")


async def test_mongodb_keeps_what_it_acknowledged(tmp_path):
    """Killed, and started again; a repeated key is refused."""
    import pymongo
    from pymongo.errors import DuplicateKeyError

    with own("mongodb", tmp_path) as server:
        async with pymongo.AsyncMongoClient(server.url) as client:
            rows = client["kept"]["rows"]
            await rows.create_index("name", unique=True)
            await rows.insert_one({"name": "a"})
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            assert 1 == await rows.count_documents({"name": "a"})
            with pytest.raises(DuplicateKeyError):
                await rows.insert_one({"name": "a"})


async def test_kafka_keeps_what_it_acknowledged(real_kafka_url, tmp_path):
    """Killed, and started again; a group goes on where it was."""
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    with own("kafka", tmp_path) as server:
        for body in (b"1", b"2"):
            producer = AIOKafkaProducer(bootstrap_servers=server.url, acks="all")
            await producer.start()
            await producer.send_and_wait("kept", body, key=b"k")
            await producer.stop()
            consumer = AIOKafkaConsumer(
                "kept",
                bootstrap_servers=server.url,
                group_id="atom",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
            )
            await consumer.start()
            message = await asyncio.wait_for(consumer.getone(), 60)
            await consumer.commit()
            await consumer.stop()
            assert body == message.value
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)


SHARING = """
import os, sys
from pathlib import Path
from tests.service import shared

mine = shared.begin()
print(shared.shared("{name}").url or "absent", flush=True)
sys.stdin.read()
if mine:
    shared.end(mine)
"""


def test_processes_of_a_run_share_a_server_that_ends_with_the_last(tmp_path):
    """However that ends: here it is killed."""
    env = {**os.environ, "ATOM_TESTS_RUN": str(tmp_path), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", SHARING.format(name="rabbitmq")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen(words, cwd=ROOT, env=env, **pipes) as one,
        subprocess.Popen(words, cwd=ROOT, env=env, **pipes) as other,
    ):
        urls = {one.stdout.readline(), other.stdout.readline()}
        assert 1 == len(urls), urls
        if urls == {"absent\n"}:
            one.kill()
            other.kill()
            machine.absent("rabbitmq")
        port = int(urls.pop().strip().rstrip("/").rpartition(":")[2])
        one.kill()
        one.wait()
        assert is_open("127.0.0.1", port)
        other.kill()
    wait_until(lambda: not is_open("127.0.0.1", port))
