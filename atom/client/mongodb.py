"""MongoDB, by PyMongo's own asyncio client."""

import asyncio
from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import text
from atom.config.resolve import Key


async def connect(config: Config, live: Live) -> Any:
    """Open a client and prove that a server answers."""
    from pymongo import AsyncMongoClient

    mongodb: Any = AsyncMongoClient(
        config["config_mongodb_url"],
        serverSelectionTimeoutMS=2_000,
        connectTimeoutMS=2_000,
        waitQueueTimeoutMS=2_000,
        timeoutMS=10_000,  # of one operation, with its retries
        tz_aware=True,
    )
    try:
        async with asyncio.timeout(3):
            await mongodb.admin.command("ping")
    except BaseException:
        await mongodb.close()
        raise
    return mongodb


MONGODB = Client(
    name="client_mongodb",
    needs=("config_mongodb_url",),
    package="pymongo==4.20.0",
    keys=(
        Key(
            "config_mongodb_url",
            text,
            None,
            "MongoDB.",
            secret=True,
            also=("MONGODB_URL",),
        ),
    ),
    open=connect,
    close=lambda mongodb: mongodb.close(),
    probe=lambda mongodb: mongodb.admin.command("ping"),
)
