"""Takes messages of a channel until it is stopped, and settles each once it is done.

A few are handled at once, those of one key in order. One that fails stays in hand and
is tried again later, so no broker needs to redeliver it; after the last attempt it
becomes a dead letter. While the database is away everything waits, uncounted.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from atom.backoff import Backoff
from atom.errors import ApiError
from atom.observe import metrics
from atom.observe.request_context import caused_by
from atom.queue import effect, message
from atom.queue.broker import Broker, Delivery, Subscription
from atom.queue.effect import Attempts
from atom.queue.handler import Handlers
from atom.queue.lanes import Entry, Lanes
from atom.queue.message import Rejected
from atom.task import ended

log = logging.getLogger(__name__)

DELIVERIES_MAX = 100  # of a message that ends its process each time
PURGE_SECONDS = 3600.0
MEASURE_SECONDS = 5.0
PROBE = "select 1"


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """What config sets for consumers."""

    queue_concurrency: int
    queue_prefetch: int
    queue_batch: int
    queue_retry_sec: tuple[float, ...]
    queue_timeout_sec: float
    queue_inbox_days: int
    queue_drain_sec: float

    @property
    def attempts(self) -> Attempts:
        """How often a message is tried."""
        return Attempts(self.queue_retry_sec, self.queue_timeout_sec)


class Consumer:
    """One subscription of this process, and what is in hand of it."""

    def __init__(
        self,
        app: Any,
        broker: Broker,
        channel: str,
        handlers: Handlers,
        config: QueueConfig,
    ) -> None:
        self._app = app
        self._broker = broker
        self._channel = channel
        self._labels = (broker.name, channel)
        self._handlers = handlers
        self._config = config
        self._attempts = config.attempts
        self._lanes = Lanes()
        self._subscription: Subscription
        self._stopping = asyncio.Event()
        self._is_database_up = asyncio.Event()
        self._is_database_up.set()
        self._later: set[asyncio.TimerHandle] = set()

    @property
    def in_hand(self) -> int:
        """How many messages are not settled."""
        return len(self._lanes.in_hand)

    def stop(self) -> None:
        """Take no more messages; finish those being handled, release the others."""
        self._stopping.set()

    async def run(self) -> None:
        """Take messages until `stop`.

        Raises:
            Exception: what the broker raises for good, or a fault of this file.
        """
        config = self._config
        prefetch = max(config.queue_prefetch, config.queue_concurrency)
        async with self._broker.subscribe(
            self._channel, prefetch=prefetch
        ) as subscription:
            self._subscription = subscription
            workers = [
                self._task(self._work()) for _ in range(config.queue_concurrency)
            ]
            around = [self._task(each) for each in (self._read(), self._beat())]
            around += [self._task(self._purge()), self._task(self._measure())]
            stop = self._task(self._stopping.wait())
            every = [*workers, *around, stop]
            try:
                await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
                around[0].cancel()
                await self._lanes.close()
                await asyncio.wait(workers, timeout=config.queue_drain_sec)
            finally:
                for timer in self._later:
                    timer.cancel()
                await ended(every)
                await self._release()
        for task in every:
            if not task.done() or task.cancelled():
                continue
            if (error := task.exception()) is not None:
                raise error

    def _task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.create_task(work, name=self._channel)

    async def _release(self) -> None:
        """Release what is still in hand."""
        left = [entry.delivery for entry in self._lanes.in_hand.values()]
        if left:
            await self._settled(self._subscription.release(left), left)

    async def _read(self) -> None:
        async for delivery in self._subscription:
            await self._lanes.add(self._entry(delivery))

    def _entry(self, delivery: Delivery) -> Entry:
        """Read a delivery; what is wrong with it is noted."""
        try:
            if delivery.count is not None and delivery.count > DELIVERIES_MAX:
                text = f"delivered {delivery.count} times, and never handled to the end"
                raise Rejected(text)
            found = message.parse(delivery)
            handlers = self._handlers.of(found)
        except Rejected as error:
            return Entry(delivery, fault=str(error))
        group = None
        if len(handlers) == 1 and (together := handlers[0].together) is not None:
            group = (handlers[0].name, together(found.arguments))
        return Entry(delivery, found, handlers, group)

    async def _beat(self) -> None:
        """Keep what is in hand from being delivered to others."""
        while True:
            await asyncio.sleep(self._broker.lease / 3)
            held = [entry.delivery for entry in self._lanes.in_hand.values()]
            if held:
                await self._settled(self._subscription.extend(held), held)

    async def _purge(self) -> None:
        """Remove old marks now and then."""
        ports = self._app.state.ports
        while True:
            try:
                await effect.purge(ports, self._config.queue_inbox_days)
            except ApiError as error:
                log.warning("old marks of messages were not removed: %s", error)
            await asyncio.sleep(PURGE_SECONDS)

    async def _measure(self) -> None:
        """Report how many messages wait, where anyone reads it."""
        while metrics.is_on():
            try:
                waiting = await self._broker.waiting(self._channel)
            except ApiError as error:
                log.debug("%s cannot be measured: %s", self._channel, error)
            else:
                metrics.LAG.set(waiting or 0, *self._labels)
            await asyncio.sleep(MEASURE_SECONDS)
        await self._stopping.wait()

    async def _work(self) -> None:
        """Handle entries until there are no more."""
        while entries := await self._lanes.take(self._config.queue_batch):
            await self._is_database_up.wait()
            if self._stopping.is_set():
                return
            if len(entries) > 1 and await self._handle_together(entries):
                continue
            for entry in entries:
                with caused_by(entry.cause):
                    await self._handle(entry)

    async def _handle_together(self, entries: Sequence[Entry]) -> bool:
        """Handle entries of one group in one transaction. Return False if one fails."""
        messages = [entry.message for entry in entries if entry.message is not None]
        handler = entries[0].handlers[0]
        try:
            async with asyncio.timeout(self._config.queue_timeout_sec):
                await effect.apply_together(self._app, handler, messages)
        except Exception as error:
            log.debug("%d messages are handled alone: %s", len(messages), error)
            return False
        self._count("done", len(entries))
        await self._accept(entries)
        return True

    async def _handle(self, entry: Entry) -> None:
        """Handle one entry: settle it, or try it again later."""
        if entry.message is None:
            await self._reject(entry, entry.fault, 0)
            return
        began = time.monotonic()
        failed = await self._attempts.run(self._app, entry.handlers, entry.message)
        if failed is None:
            log.debug("%s %.3f s", entry.message.name, time.monotonic() - began)
            self._count("done")
            await self._accept([entry])
        elif failed.is_away:
            await self._wait_for_database(failed.reason)
            self._try_again(entry, failed.seconds or 0.0)
        elif failed.seconds is None:
            await self._reject(entry, failed.reason, failed.attempts)
        else:
            self._count("retried")
            self._try_again(entry, failed.seconds)

    def _count(self, outcome: str, number: int = 1) -> None:
        metrics.CONSUMED.add(*self._labels, outcome, amount=number)

    def _try_again(self, entry: Entry, seconds: float) -> None:
        """Make an entry ready later; it stays in hand, and those behind it wait."""
        loop = asyncio.get_running_loop()

        def ready() -> None:
            self._later.discard(timer)
            task = self._app.state.ports.tasks
            task.spawn(self._lanes.again(entry), name=f"{self._channel} again")

        timer = loop.call_later(seconds, ready)
        self._later.add(timer)

    async def _wait_for_database(self, reason: str) -> None:
        """Wait until the database answers; the other workers wait as well."""
        if not self._is_database_up.is_set():
            await self._is_database_up.wait()
            return
        self._is_database_up.clear()
        log.warning("messages wait for the database: %s", reason)
        backoff = Backoff(0.1, 5.0)
        try:
            while not self._stopping.is_set():
                try:
                    await self._app.state.ports.database.value(PROBE, seconds=2.0)
                except ApiError:
                    await backoff.rest()
                else:
                    log.info("the database answers again")
                    return
        finally:
            self._is_database_up.set()

    async def _accept(self, entries: Sequence[Entry]) -> None:
        """Settle entries that are done."""
        deliveries = [entry.delivery for entry in entries]
        await self._settled(self._subscription.accept(deliveries), deliveries)
        await self._lanes.done(entries)

    async def _reject(self, entry: Entry, reason: str, attempts: int) -> None:
        """Make a dead letter of an entry."""
        delivery = entry.delivery
        log.error("message %s is dead: %s", delivery.message_id or "?", reason)
        work = self._subscription.reject(delivery, reason, max(attempts, 1))
        if not await self._settled(work, [delivery]):
            await self._lanes.done([entry])
            return
        self._count("dead")
        metrics.DEAD.add(*self._labels)
        if entry.message is not None:
            ports = self._app.state.ports
            try:
                await effect.forget(ports, entry.handlers, entry.message)
            except ApiError as error:
                log.warning("the failures of a dead letter are kept: %s", error)
        await self._lanes.done([entry])

    async def _settled(
        self, work: Coroutine[Any, Any, None], deliveries: Sequence[Delivery]
    ) -> bool:
        """Return whether the broker has settled it; if not, it delivers them again."""
        try:
            await work
        except Exception as error:
            log.warning(
                "%s: %d messages will be delivered again: %s: %s",
                *(self._channel, len(deliveries), type(error).__name__, error),
            )
            return False
        return True
