"""One connection of Celery's broker, in a thread of its own: the driver blocks."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from atom.client.celery import SECONDS
from atom.errors import Unavailable

log = logging.getLogger(__name__)

WAIT = 8.0  # seconds for one piece of work, those before it included

Result = TypeVar("Result")
Work = Callable[[Any], Result]


def lost() -> tuple[type[Exception], ...]:
    """Return what the drivers raise when the broker goes away or refuses a command."""
    from amqp.exceptions import AMQPError
    from kombu.exceptions import KombuError
    from redis.exceptions import RedisError

    return (AMQPError, KombuError, RedisError, OSError)


class Wire:
    """A connection that is opened when it is needed, and again after an error.

    It is closed with the application.
    """

    def __init__(self, celery: Any) -> None:
        self._celery = celery
        self._connection: Any = None
        self._thread = ThreadPoolExecutor(1, "celery")
        celery.at_close.append(self.close)

    async def run(self, work: Work[Result]) -> Result:
        """Run `work(connection)` in the thread; twice, when the connection was old.

        Raises:
            Unavailable: when the broker did not answer.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(WAIT):
                return await loop.run_in_executor(self._thread, self.do, work)
        except lost() as error:
            log.warning("Celery's broker: %s: %s", type(error).__name__, error)
            raise Unavailable(
                "Celery's broker does not answer.",
                code="client.silent",
                hint="Check config_celery_broker_url and that the broker runs.",
                seconds=5,
            ) from error

    def do(self, work: Work[Result]) -> Result:
        """Run it in this thread, the wire's own or one that has the wire alone."""
        if self._connection is not None:
            try:
                return work(self._connection)
            except lost() as error:
                log.debug("Celery's broker, on an old connection: %s", error)
                self._drop()
        try:
            self._connection = self._celery.connection_for_write()
            self._connection.ensure_connection(max_retries=1, timeout=SECONDS)
            return work(self._connection)
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        """Close the connection, after what is running."""
        self._thread.submit(self._drop)
        self._thread.shutdown()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.collect()
