"""RabbitMQ: a connection that reconnects, a channel that confirms each message."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

from atom.client import Client, Config, Live
from atom.config.parse import flag, text
from atom.config.resolve import Key
from atom.errors import ApiError, ConfigError

if TYPE_CHECKING:
    from aiormq.abc import AbstractConnection

URL = "config_rabbitmq_url"
SECONDS = 5.0  # to connect
AGAIN = 1.0  # seconds until a lost connection is tried again
HEARTBEAT = 15  # seconds: after two without one, RabbitMQ gives up a connection


def lost() -> tuple[type[Exception], ...]:
    """Return what the drivers raise when RabbitMQ goes away or refuses a command."""
    from aiormq.exceptions import AMQPError, ChannelInvalidStateError

    return (AMQPError, ChannelInvalidStateError, OSError)


def address(config: Config) -> Any:
    """Return the URL, with a heartbeat unless it sets its own.

    Raises:
        ValueError: when it is none.
    """
    from yarl import URL as Address

    url = Address(config[URL])
    if url.scheme not in {"amqp", "amqps"} or not url.host:
        raise ValueError
    return url if "heartbeat" in url.query else url.update_query(heartbeat=HEARTBEAT)


def refusal(error: Exception) -> str:
    """Return what is wrong with the URL, "" when RabbitMQ just does not answer."""
    from aiormq.exceptions import (
        AuthenticationError,
        IncompatibleProtocolError,
        InvalidFrameError,
        ProbableAuthenticationError,
    )

    if isinstance(error, AuthenticationError | ProbableAuthenticationError):
        return f"{URL}: RabbitMQ refuses this user or password"
    if isinstance(error, InvalidFrameError):
        return f"{URL}: RabbitMQ has no such virtual host, or not for this user"
    if isinstance(error, IncompatibleProtocolError):
        return f"{URL}: what answers there does not speak AMQP 0-9-1"
    if isinstance(error, ValueError):
        return f"{URL}: expected amqp://user:password@host:5672/virtual_host"
    return ""


async def connect_once(config: Config) -> "AbstractConnection":
    """Open a connection that does not reconnect.

    Raises:
        ConfigError: when the URL cannot be right.
    """
    import aiormq

    try:
        async with asyncio.timeout(SECONDS):
            return await aiormq.connect(address(config))
    except Exception as error:
        if problem := refusal(error):
            raise ConfigError([problem]) from None
        raise


async def confirmed(publishing: Awaitable[Any]) -> None:
    """Wait for a message to be confirmed.

    Raises:
        ConnectionError: where the driver, closed meanwhile, cancels the wait.
    """
    try:
        await publishing
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ConnectionError("the channel was closed") from None


async def connect(config: Config, live: Live) -> Any:
    """Connect; the driver reconnects when the connection is lost.

    Raises:
        ConfigError: when the URL cannot be right.
    """
    from aio_pika import RobustConnection

    for name in ("aiormq", "aio_pika"):  # each try would be a warning, with its trace
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        connection = RobustConnection(address(config), reconnect_interval=AGAIN)
    except ValueError as error:
        raise ConfigError([refusal(error)]) from None
    try:
        await connection.connect(timeout=SECONDS)
    except BaseException as error:
        await connection.close()  # or it would close itself in whichever loop is next
        if isinstance(error, Exception) and (problem := refusal(error)):
            raise ConfigError([problem]) from None
        raise
    return connection


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


def version(properties: Mapping[str, Any]) -> str:
    """Return which server answers, from the properties that it opens with.

    >>> version({"product": b"RabbitMQ", "version": "4.1.0"})
    'RabbitMQ 4.1.0'
    """
    words = (properties.get("product", ""), properties.get("version", ""))
    return " ".join(
        each.decode() if isinstance(each, bytes) else str(each) for each in words
    ).strip()


def forbidden(error: Exception) -> ApiError:
    """Return the error of a user who may not declare a queue."""
    return ApiError(
        f"RabbitMQ does not permit this user to declare a queue: {error}",
        code="client.refused",
        status=502,
        hint="As an administrator: rabbitmqctl set_permissions -p VIRTUAL_HOST USER"
        " '.*' '.*' '.*'",
    )


async def examine(connection: Any) -> str:
    """Return the version of the server; declare a queue that ends at once.

    Raises:
        ApiError: when the user may not.
    """
    from aiormq.exceptions import ChannelAccessRefused

    wire = connection.transport.connection  # one of its channels is not restored
    channel = await wire.channel()
    try:
        await channel.queue_declare(exclusive=True, auto_delete=True)
        await channel.close()
    except ChannelAccessRefused as error:
        raise forbidden(error) from error
    return version(wire.server_properties)


RABBITMQ = Client(
    name="client_rabbitmq",
    needs=(URL,),
    package="aio-pika==10.2.1",
    keys=(
        Key(
            URL,
            text,
            None,
            "RabbitMQ.",
            example="amqp://user:password@host:5672/virtual_host",
            secret=True,
            also=("RABBITMQ_URL",),
        ),
        Key(
            "config_rabbitmq_is_single_active",
            flag,
            True,
            "One consumer of a channel works and the others stand by, so that the order"
            " of a key holds across them. 0: all work, and it holds within each. For"
            " queues that are made from then on.",
        ),
    ),
    open=connect,
    close=lambda connection: connection.close(),
    probe=probe,
    examine=examine,
)
CHANNEL = Client(
    name="client_rabbitmq_channel",
    needs=(URL,),
    package=RABBITMQ.package,
    open=open_channel,
    close=lambda channel: channel.close(),
    probe=probe,
    after=RABBITMQ.name,
)
