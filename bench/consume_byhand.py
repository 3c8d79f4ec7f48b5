"""A consumer as one writes it: a message, an insert, a message settled.

python bench/consume_byhand.py BROKER URL DATABASE CHANNEL
"""

import asyncio
import json
import sys

import asyncpg

INSERT = "insert into bench_note (text) values ($1)"


async def redis(url, connection, channel):
    """A group on a stream."""
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        while True:
            found = await client.xreadgroup(
                "atom", "me", {channel: ">"}, count=100, block=500
            )
            for _, entries in found:
                for name, fields in entries:
                    await connection.execute(
                        INSERT, json.loads(fields[b"body"])["text"]
                    )
                    await client.xack(channel, "atom", name)


async def rabbitmq(url, connection, channel):
    """A queue with a bounded prefetch."""
    import aio_pika

    async with await aio_pika.connect_robust(url) as link:
        opened = await link.channel()
        await opened.set_qos(prefetch_count=200)
        queue = await opened.get_queue(channel)
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    await connection.execute(INSERT, json.loads(message.body)["text"])


async def kafka(url, connection, channel):
    """A group on a topic; the place is committed after what was read at once."""
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        channel,
        bootstrap_servers=url,
        group_id="by_hand",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    while True:
        found = await consumer.getmany(timeout_ms=500, max_records=100)
        for records in found.values():
            for record in records:
                await connection.execute(INSERT, json.loads(record.value)["text"])
        if found:
            await consumer.commit()


async def sqs(url, connection, channel):
    """A poll of ten messages, in a thread; they are deleted together."""
    import boto3

    client = boto3.client(
        "sqs",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="test-key-id",
        aws_secret_access_key="test-secret",
    )
    queue = client.get_queue_url(QueueName=channel)["QueueUrl"]
    while True:
        found = await asyncio.to_thread(
            client.receive_message,
            QueueUrl=queue,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=5,
        )
        done = []
        for place, message in enumerate(found.get("Messages", ())):
            await connection.execute(INSERT, json.loads(message["Body"])["text"])
            receipt = message["ReceiptHandle"]
            done.append({"Id": str(place), "ReceiptHandle": receipt})
        if done:
            await asyncio.to_thread(
                client.delete_message_batch, QueueUrl=queue, Entries=done
            )


async def main(name, url, database, channel):
    """Handle messages until the process is ended."""
    connection = await asyncpg.connect(database)
    loops = {"redis": redis, "rabbitmq": rabbitmq, "kafka": kafka, "sqs": sqs}
    await loops[name](url, connection, channel)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
