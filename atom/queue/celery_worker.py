"""A Celery worker: `celery -A consumer_celery worker`.

Each of its processes has one thread with an event loop, in which a runtime is open and
the consumer of every other broker works; what the process was sent waits until its
messages are settled.
"""

import asyncio
import json
import logging
import multiprocessing
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from atom.backoff import Backoff
from atom.client.celery import application, heartbeat, is_redis
from atom.config.view import view
from atom.errors import ConfigError
from atom.observe import log as logs
from atom.queue.broker import Delivery, dead_of
from atom.queue.celery import (
    TASK,
    CeleryConfig,
    Held,
    Token,
    bury,
    main_queue,
    queue,
    raw,
)
from atom.queue.celery_batch import Asked, Batches
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
SENT = {"key", "headers"}  # with the body
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
        import uvloop

        with self._lock:
            if self._thread is None:
                has_begun = threading.Event()
                self._thread = threading.Thread(
                    target=lambda: uvloop.run(self._serve(has_begun)),
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

    def handle(self, messages: Sequence[Asked]) -> list[bool]:
        """Wait until messages are settled. Return which are done, not given back."""
        self.open()
        held = Held(len(messages))
        deliveries = [_delivery(held, place, *of) for place, of in enumerate(messages)]
        self._loop.call_soon_threadsafe(self._take, deliveries)
        held.settled.wait()
        if not all(held.done.values()):
            time.sleep(REST_SECONDS)
        return [held.done[place] for place in range(len(messages))]

    def _take(self, deliveries: Sequence[Delivery]) -> None:
        for each in deliveries:
            if self._is_stopping:
                each.token.settle(False)
            else:
                self._arrived.put_nowait(each)

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
    is_ordered = view(CeleryConfig, config).celery_is_ordered
    given = view(QueueConfig, config)
    at_once = 1 if is_ordered else given.queue_concurrency
    prefetch = min(2 * at_once, max(given.queue_prefetch, at_once))
    if at_once == 1:
        prefetch = 1
    celery = application(config)
    celery.conf.update(
        task_queues=[main],
        task_default_queue=main.name,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=False,
        worker_prefetch_multiplier=prefetch,
        worker_log_format=LOG_FORMAT,
        worker_consumer=_consumer(celery, queue(dead_of(main.name)), at_once),
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_heartbeat=heartbeat(config),
    )
    if is_redis(config):
        if is_ordered:
            raise ConfigError(["config_celery_is_ordered needs RabbitMQ as the broker"])
        celery.conf.broker_transport_options |= {"socket_timeout": 30}
    stopping = multiprocessing.Event()
    host = Host(runtime, channel, stopping)

    @celery.task(name=TASK, bind=True, max_retries=None)  # type: ignore[untyped-decorator]
    def handle(task: Any, *arguments: Any, **named: Any) -> None:
        """Do what a message asks for."""
        tag = (task.request.properties or {}).get("delivery_tag")
        if not all(host.handle([(task.request.id, arguments, named, tag)])):
            raise Reject("it is given back", requeue=True)

    handle.host = host

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


def _handle(messages: Sequence[Asked]) -> list[bool]:
    """Handle messages in a process of the pool."""
    from celery import current_app

    host: Host = current_app.tasks[TASK].host
    return host.handle(messages)


def _delivery(
    held: Held,
    place: int,
    message_id: str,
    arguments: Sequence[Any],
    named: dict[str, Any],
    tag: str | None,
) -> Delivery:
    """Read the arguments of a task; those that we do not send are its body."""
    body = arguments[0] if len(arguments) == 1 else None
    if not isinstance(body, str) or not named.keys() <= SENT:
        body = json.dumps({"arguments": arguments, **named})
        named = {}
    return Delivery(
        body=body.encode("utf-8", "surrogateescape"),
        token=Token(held, place, tag),
        message_id=message_id,
        key=named.get("key"),
        headers=named.get("headers") or {},
    )


def _consumer(celery: Any, dead: Any, at_once: int) -> type:
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
        """Celery's `on_…` would only log the message."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.batches: Batches | None = None
            if at_once > 1 and self.hub and self.pool.uses_semaphore:
                self.batches = Batches(self.controller, at_once, _handle)
                self.on_task_request = self.batches.add

        def on_close(self) -> None:
            super().on_close()
            if self.batches is not None:
                self.batches.clear()

        def on_decode_error(self, message: Any, exc: Exception) -> None:
            give_up(message, f"it cannot be decoded: {exc}")

        def on_unknown_message(self, body: Any, message: Any) -> None:
            give_up(message, "it is not a Celery task")

        def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
            give_up(message, f"there is no such task: {exc}")

        def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
            give_up(message, f"it is not a valid task: {exc}")

    return Careful
