"""The brokers that config may open, each by the name that `queue=` takes."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from atom.client import needed
from atom.client.all import CLIENTS as DECLARED
from atom.errors import Unavailable, nearest
from atom.observe import metrics
from atom.queue.broker import Broker
from atom.queue.message import Message

# The file of each is imported when it is asked for: a driver may be missing.
NAMES = ("redis", "rabbitmq", "kafka", "celery", "sqs")
CLIENTS = {
    "redis": "client_redis_producer",
    "rabbitmq": "client_rabbitmq_channel",
    "kafka": "client_kafka_producer",
    "celery": "client_celery_producer",
    "sqs": "client_sqs",
}
KEYS = {client.name: ", ".join(client.needs) for client in DECLARED}


class Brokers:
    """Every broker of a process, each opened when it is first used.

    The file of a broker has `broker(clients, config)`, called once its client is open.
    """

    def __init__(self, clients: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        self._clients = clients
        self._config = config
        self.channel: str = config["config_channel"]
        self._open: dict[str, tuple[Any, Broker]] = {}

    def get(self, name: str) -> Broker:
        """Return a broker by name.

        Raises:
            Unavailable: when it is not configured, or does not answer.
            KeyError: when there is no such kind of broker.
        """
        if name not in NAMES:
            raise KeyError(f"{name!r} is not a broker. {nearest(name, NAMES)}".rstrip())
        client = CLIENTS[name]
        handle = needed(self._clients, client, KEYS.get(client, ""))
        known = self._open.get(name)
        if known is not None and known[0] is handle:
            return known[1]
        found: Broker = import_module(f"atom.queue.{name}").broker(
            self._clients, self._config
        )
        self._open[name] = handle, found
        return found

    async def send(self, name: str, channel: str, message: Message) -> str:
        """Send a message; return its id once the broker has confirmed it.

        Raises:
            Unavailable: when it is not configured, or did not confirm.
        """
        try:
            broker = self.get(name)
        except ImportError as error:
            raise Unavailable(
                f"Broker '{name}' needs a package that is not installed: {error.name}.",
                hint="requirements-optional.txt has its version.",
            ) from error
        body, key = message.body(), message.key
        await broker.send(channel, body, message_id=message.id, key=key)
        metrics.PRODUCED.add(name, channel)
        return message.id

    async def ask(
        self,
        name: str,
        function: str,
        arguments: Mapping[str, Any],
        *,
        key: str | None = None,
    ) -> str:
        """Ask the consumers of the one channel for a function. Return as `send`."""
        message = Message(function, arguments, key=key)
        return await self.send(name, self.channel, message)
