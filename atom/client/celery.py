"""Celery as a producer; it blocks: call it in a thread."""

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

from atom.client import Client, Config, Live, rabbitmq
from atom.client import redis as valkey
from atom.config.parse import flag, text
from atom.config.resolve import Key
from atom.errors import ConfigError

URL = "config_celery_broker_url"
SECONDS = 3  # to reach the broker
RESTORE_SECONDS = 5  # between two looks for what dead workers of Redis left


def is_redis(config: Config) -> bool:
    """Whether Celery's broker is Redis or Valkey; else it is RabbitMQ."""
    return str(config[URL]).startswith(("redis", "valkey"))


def heartbeat(config: Config) -> float:
    """Return in which seconds RabbitMQ hears of a worker, as the URL or we set it.

    After two of them it gives what the worker had in hand to another one.
    """
    query = parse_qs(urlsplit(config[URL]).query)
    return float(query.get("heartbeat", [rabbitmq.HEARTBEAT])[0])


def knock(celery: Any) -> None:
    """Connect to the broker once, or raise."""
    with celery.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=SECONDS)


def examine(celery: Any) -> str:
    """Return which broker answers, in this thread; declare a queue that ends at once.

    Raises:
        ApiError: when the user may not.
    """
    from amqp.exceptions import AccessRefused

    with celery.connection_for_write() as link:
        link.ensure_connection(max_retries=1, timeout=SECONDS)
        channel = link.default_channel
        if (client := getattr(channel, "client", None)) is not None:
            return valkey.examine_blocking(client)
        try:
            channel.queue_declare(exclusive=True, auto_delete=True)
        except AccessRefused as error:
            raise rabbitmq.forbidden(error) from error
        return rabbitmq.version(link.connection.server_properties)


def application(config: Config) -> Any:
    """Build an application: JSON alone, and no results.

    Sent means that the broker has it. With Redis a message that is not settled is
    delivered again after the lease, which whoever has it in hand extends.
    """
    from celery import Celery

    options: dict[str, Any] = {"confirm_publish": True}
    if is_redis(config):
        options = {
            "socket_timeout": SECONDS,
            "socket_connect_timeout": SECONDS,
            "visibility_timeout": config["config_queue_lease_sec"],
            "unacked_restore_interval": RESTORE_SECONDS,
            "unacked_restore_throttle": 1,
        }
    celery = Celery("atom", broker=config[URL], set_as_current=False)
    celery.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_publish_retry=False,
        broker_connection_timeout=SECONDS,
        broker_transport_options=options,
    )
    celery.at_close = []  # functions
    return celery


def build(config: Config) -> Any:
    """Build an application that only sends, once the broker answers.

    Raises:
        ConfigError: when the broker refuses the user.
    """
    from amqp.exceptions import AccessRefused, NotAllowed
    from redis.exceptions import AuthenticationError

    celery = application(config)
    try:
        knock(celery)
    except Exception as error:
        cause = error.__cause__ or error  # Celery wraps what its drivers raise
        if isinstance(cause, AccessRefused | AuthenticationError):
            text = f"{URL}: the broker refuses this user or password"
            raise ConfigError([text]) from None
        if isinstance(cause, NotAllowed):
            raise ConfigError([f"{URL}: the broker has no such virtual host"]) from None
        raise
    return celery


def end(celery: Any) -> None:
    """Close it, and what was opened with it."""
    for close in celery.at_close:
        close()
    celery.close()


async def connect(config: Config, live: Live) -> Any:
    """Open it in a thread."""
    return await asyncio.to_thread(build, config)


CELERY = Client(
    name="client_celery_producer",
    needs=(URL,),
    package="celery==5.7.0",
    keys=(
        Key(
            URL,
            text,
            None,
            "Celery's broker.",
            secret=True,
            also=("CELERY_BROKER_URL",),
        ),
        Key(
            "config_celery_is_ordered",
            flag,
            False,
            "One worker of a queue works, at one task after the other and in their"
            " order; the others stand by. With RabbitMQ, for queues that are made.",
        ),
    ),
    open=connect,
    close=lambda celery: asyncio.to_thread(end, celery),
    probe=lambda celery: asyncio.to_thread(knock, celery),
    examine=lambda celery: asyncio.to_thread(examine, celery),
)
