"""A Celery worker: `celery -A consumer_celery worker`.

Each of its processes has one thread with an event loop, in which a runtime is open and
the consumer of every other broker works; a task waits until its message is settled.
"""

import asyncio
import logging
import multiprocessing
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from atom.backoff import Backoff
from atom.client.celery import application, heartbeat, is_redis
from atom.config.view import view
from atom.errors import ConfigError
from atom.observe import log as logs
from atom.queue.broker import Delivery, dead_of
from atom.queue.celery import TASK, CeleryConfig, Token, bury, main_queue, queue, raw
from atom.queue.celery_wire import Wire
from atom.queue.consumer import Consumer, QueueConfig
from atom.queue.run import RunConfig

if TYPE_CHECKING:
    from atom.runtime import Runtime

log = logging.getLogger(__name__)

AGAIN = (0.5, 5.0)  # seconds until a runtime is opened again: first, longest
LOOK_SECONDS = 0.2  # between two looks whether the worker stops
LOG_FORMAT = (
    "[%(asctime)s: %(levelname)s/%(processName)s] %(name)s %(request_id)s%(message)s"
)
REST_SECONDS = 1.0  # before a message that was given back is delivered again


class Host:
    """The thread of one worker process."""

    def __init__(self, runtime: "Runtime", channel: str, stopping: Any) -> None:
        self._runtime = runtime
        self._channel = channel
        self._stopping = stopping  # set in the worker, seen in each of its processes
        self._config = view(QueueConfig, runtime.config)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._loop: asyncio.AbstractEventLoop
        self._arrived: asyncio.Queue[Delivery]

    def open(self, **_: Any) -> None:
        """Start the thread, once; the runtime opens while tasks wait for it."""
        with self._lock:
            if self._thread is None:
                has_begun = threading.Event()
                self._thread = threading.Thread(
                    target=lambda: asyncio.run(self._serve(has_begun)),
                    name="atom",
                    daemon=True,
                )
                self._thread.start()
                has_begun.wait()

    def close(self, **_: Any) -> None:
        """Settle what is in hand and close the runtime."""
        self._is_closing = True
        if self._thread is not None:
            self._thread.join(self._config.queue_drain_sec + 10)

    def handle(self, delivery: Delivery) -> bool:
        """Wait until a message is settled. Return False when it is given back."""
        self.open()
        self._loop.call_soon_threadsafe(self._take, delivery)
        settled: Future[bool] = delivery.token.settled
        return settled.result()

    def _take(self, delivery: Delivery) -> None:
        if self._is_stopping:
            delivery.token.settle(False)
        else:
            self._arrived.put_nowait(delivery)

    @property
    def _is_stopping(self) -> bool:
        return self._is_closing or bool(self._stopping.is_set())

    async def _serve(self, has_begun: threading.Event) -> None:
        """Consume until the worker stops; after a fault begin again."""
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Queue()
        has_begun.set()
        backoff = Backoff(*AGAIN)
        while not self._is_stopping:
            try:
                await self._consume()
            except Exception:
                log.exception("the consumer of this process begins again")
                await backoff.rest()
        while True:
            while not self._arrived.empty():
                self._arrived.get_nowait().token.settle(False)
            if self._is_closing:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _consume(self) -> None:
        async with self._runtime as runtime:
            ports = runtime.ports
            broker: Any = ports.brokers.get("celery")
            broker.arrived = self._arrived
            consumer = Consumer(
                runtime, broker, self._channel, ports.handlers, self._config
            )
            work = asyncio.create_task(consumer.run(), name="celery")
            while not self._is_stopping and not work.done():
                await asyncio.wait({work}, timeout=LOOK_SECONDS)
            consumer.stop()
            await work


def worker(runtime: "Runtime") -> Any:
    """Build the application of a worker: one queue, one task."""
    from celery import signals
    from celery.exceptions import Reject

    config = runtime.config
    channel = view(RunConfig, config).channel
    main = main_queue(config, channel)
    celery = application(config)
    celery.conf.update(
        task_queues=[main],
        task_default_queue=main.name,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=False,
        worker_prefetch_multiplier=1,
        worker_log_format=LOG_FORMAT,
        worker_consumer=_consumer(celery, queue(dead_of(main.name))),
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_heartbeat=heartbeat(config),
    )
    is_ordered = view(CeleryConfig, config).celery_is_ordered
    if is_redis(config):
        if is_ordered:
            raise ConfigError(["config_celery_is_ordered needs RabbitMQ as the broker"])
        celery.conf.broker_transport_options |= {"socket_timeout": 30}
    stopping = multiprocessing.Event()
    host = Host(runtime, channel, stopping)

    @celery.task(name=TASK, bind=True, max_retries=None)  # type: ignore[untyped-decorator]
    def handle(
        task: Any, body: str, key: str | None = None, headers: Any = None
    ) -> None:
        """Do what a message asks for."""
        tag = (task.request.properties or {}).get("delivery_tag")
        delivery = Delivery(
            body=body.encode("utf-8", "surrogateescape"),
            token=Token(Future(), tag),
            message_id=task.request.id,
            key=key,
            headers=headers or {},
        )
        if not host.handle(delivery):
            time.sleep(REST_SECONDS)
            raise Reject("it is given back", requeue=True)

    def complete(logger: logging.Logger, **_: Any) -> None:
        logs.complete(logger)

    signals.after_setup_logger.connect(complete, weak=False)

    def stop(**_: Any) -> None:
        stopping.set()

    def work_alone(sender: Any, **_: Any) -> None:
        """Have one process, whatever the command asks for, and so one task in hand."""
        sender.concurrency = 1

    if is_ordered:
        signals.worker_init.connect(work_alone, weak=False)
    signals.worker_process_init.connect(host.open, weak=False)
    signals.worker_process_shutdown.connect(host.close, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)
    return celery


def _consumer(celery: Any, dead: Any) -> type:
    """Return Celery's consumer, which here loses nothing that it cannot read."""
    from celery.worker.consumer import Consumer as Base

    wire = Wire(celery)

    def give_up(message: Any, reason: str) -> None:
        """Make a dead letter of a message that is not a task of Atom's."""
        log.error("a message of Celery's queue is dead: %s", reason)
        headers = {
            "reason": reason,
            "attempts": 1,
            "message_id": (message.headers or {}).get("id"),
        }
        wire.do(lambda link: bury(link, dead, raw(message), headers))
        message.ack()

    class Careful(Base):  # type: ignore[misc]
        """Each of these would only log the message."""

        def on_decode_error(self, message: Any, exc: Exception) -> None:
            give_up(message, f"it cannot be decoded: {exc}")

        def on_unknown_message(self, body: Any, message: Any) -> None:
            give_up(message, "it is not a Celery task")

        def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
            give_up(message, f"there is no such task: {exc}")

        def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
            give_up(message, f"it is not a valid task: {exc}")

    return Careful
