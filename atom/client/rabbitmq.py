"""RabbitMQ: a connection that reconnects, a channel that confirms each message."""

from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import text
from atom.config.resolve import Key


async def connect(config: Config, live: Live) -> Any:
    """Connect; the driver reconnects when the connection is lost."""
    from aio_pika import connect_robust

    return await connect_robust(config["config_rabbitmq_url"], timeout=5)


async def open_channel(config: Config, live: Live) -> Any:
    """Open a channel on which an unroutable message is an error."""
    return await live["client_rabbitmq"].channel(
        publisher_confirms=True, on_return_raises=True
    )


async def probe(handle: Any) -> None:
    """Wait until it is open; the driver's heartbeat detects a lost connection."""
    if handle.is_closed:
        raise ConnectionError("closed")
    await handle.ready()


RABBITMQ = Client(
    name="client_rabbitmq",
    needs=("config_rabbitmq_url",),
    package="aio-pika==10.2.1",
    keys=(
        Key(
            "config_rabbitmq_url",
            text,
            None,
            "RabbitMQ.",
            secret=True,
            also=("RABBITMQ_URL",),
        ),
    ),
    open=connect,
    close=lambda connection: connection.close(),
    probe=probe,
)
CHANNEL = Client(
    name="client_rabbitmq_channel",
    needs=("config_rabbitmq_url",),
    package=RABBITMQ.package,
    open=open_channel,
    close=lambda channel: channel.close(),
    probe=probe,
    after=RABBITMQ.name,
)
