"""Celery as a producer; it blocks: call it in a thread."""

import asyncio
from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import text
from atom.config.resolve import Key

SECONDS = 3  # to reach the broker


def knock(celery: Any) -> None:
    """Connect to the broker once, or raise."""
    with celery.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, timeout=SECONDS)


def build(config: Config) -> Any:
    """Make an application that only sends."""
    from celery import Celery

    url = config["config_celery_broker_url"]
    options: dict[str, Any] = {}
    if url.startswith(("redis", "valkey")):
        options = {"socket_timeout": SECONDS, "socket_connect_timeout": SECONDS}
    if url.startswith(("amqp", "pyamqp")):
        options = {"confirm_publish": True}  # sent means: the broker has it
    celery = Celery("atom", broker=url, set_as_current=False)
    celery.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_publish_retry=False,
        broker_connection_timeout=SECONDS,
        broker_transport_options=options,
    )
    knock(celery)
    return celery


async def connect(config: Config, live: Live) -> Any:
    """Open it in a thread."""
    return await asyncio.to_thread(build, config)


CELERY = Client(
    name="client_celery_producer",
    needs=("config_celery_broker_url",),
    package="celery==5.7.0",
    keys=(
        Key(
            "config_celery_broker_url",
            text,
            None,
            "Celery's broker.",
            secret=True,
            also=("CELERY_BROKER_URL",),
        ),
    ),
    open=connect,
    close=lambda celery: asyncio.to_thread(celery.close),
    probe=lambda celery: asyncio.to_thread(knock, celery),
)
