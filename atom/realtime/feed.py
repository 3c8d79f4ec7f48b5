"""Changes on their way from the bus to the readers of this process.

A trigger notes each statement in `atom.change` and notifies every worker. Here the
notes that came meanwhile are taken together, and one statement for each kind of reader
asks which of the changed rows each caller may read. A reader is sent rows as they are
now; one that a caller could read before and cannot any more is sent as deleted, with
its key.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from atom.backoff import Backoff
from atom.errors import ApiError, RateLimited, Unavailable
from atom.postgres.database import Database
from atom.postgres.notify import Bus
from atom.realtime import statement
from atom.realtime.audience import Audience, Callers, Reader, alone
from atom.realtime.config import StreamConfig
from atom.realtime.request import fitted
from atom.realtime.subscriber import Batch, Subscriber
from atom.row.scope import RowScope

log = logging.getLogger(__name__)

GATHER, GATHER_MAX = 0.05, 0.25  # seconds in which changes are gathered
TOGETHER = 500  # changes of one batch
WAITING_MAX = 20_000  # changes; beyond that all readers are asked to read again
KEYS_MAX = 5_000  # of one batch; more rows are read again by those who want them
RESUMED_MAX = 2_000  # changes that are sent to a reader who comes back
RESUMING = 4  # readers who are, at once
BEAT = 15.0  # seconds between two signs of life
ROW, DELETE, RESET, READY = "row", "delete", "reset", "ready"
NOTHING = "{}"


@dataclass
class Changed:
    """What changed in one table: keys, and rows as they were; or too much to send."""

    keys: dict[str, None] = field(default_factory=dict)
    old: list[str] = field(default_factory=list)
    is_whole: bool = True  # False: read again


class Feed:
    """The readers of this process, and the changes that are on their way to them."""

    def __init__(self, database: Database, bus: Bus, config: StreamConfig) -> None:
        self.database = database
        self.config = config
        self.stopping = False
        self._bus = bus
        self._readers: dict[str, Audience] = {}
        self._callers: Counter[str] = Counter()
        self._waiting: dict[int, str] = {}  # tables by the number of a change
        self._position = ""
        self._catalog = database.catalog
        self._wake = asyncio.Event()
        self._resuming = asyncio.Semaphore(RESUMING)
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        bus.on("change", self._heard)
        bus.regained.append(self._regained)

    def _heard(self, value: str) -> None:
        """Note a change, or a position that every change before has arrived at."""
        table, _, number = value.rpartition(":")
        if not self._readers:
            return
        if not table:
            self._waiting[-int(number)] = ""
        elif table in self._readers:
            self._waiting[int(number)] = table
        else:
            return
        if len(self._waiting) > WAITING_MAX:
            self._start_over()
        self._wake.set()

    def _regained(self) -> None:
        """Ask readers to read again: changes may have been missed."""
        if self._readers:
            self._start_over()

    def _start_over(self) -> None:
        self._waiting.clear()
        for table in self._readers:
            self._reset(table)

    def _reset(self, table: str) -> None:
        batch = Batch(table, [(RESET, NOTHING)], self._position)
        for reader in self._readers.get(table, ()):
            reader.subscriber.push(batch)

    # Readers

    @asynccontextmanager
    async def following(
        self,
        subscriber: Subscriber,
        scope: RowScope,
        raw: bytes,
        after: str = "",
    ) -> AsyncIterator[Reader]:
        """Send changes to a subscriber until the end of the block.

        `after` is the position that the reader has reached.

        Raises:
            ApiError: for a table or a filter that cannot be followed.
            RateLimited, Unavailable: when there are too many readers.
        """
        tables = self.config.stream_table_list
        asked = fitted(self.database.catalog, scope, raw, tables)
        self._admit(subscriber.caller)
        reader = Reader(subscriber, scope, raw, asked)
        try:
            await self._rows(statement.live(asked.followed), [], alone(reader))
            self._add(reader)
            await self._begin(reader, after)
            yield reader
        finally:
            self._remove(reader)

    def _admit(self, caller: str) -> None:
        if self.stopping or self._callers.total() >= self.config.stream_max:
            raise Unavailable("There are too many streams.", code="stream.busy")
        if self._callers[caller] >= self.config.stream_caller_max:
            raise RateLimited("You have too many streams.", seconds=10)
        self._callers[caller] += 1

    def start(self) -> None:
        """Begin to send changes, and to remove old ones, where tables are followed."""
        if self.config.stream_table_list and not self._tasks:
            self._catalog = self.database.catalog
            self._tasks = (
                asyncio.create_task(self._run(), name="stream"),
                asyncio.create_task(self._beat(), name="stream beat"),
            )

    def _add(self, reader: Reader) -> None:
        self._readers.setdefault(reader.table, Audience()).add(reader)

    def _remove(self, reader: Reader) -> None:
        caller = reader.subscriber.caller
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]
        readers = self._readers.get(reader.table, Audience())
        readers.discard(reader)
        if not readers:
            self._readers.pop(reader.table, None)

    async def _begin(self, reader: Reader, after: str) -> None:
        """Send what happened since `after`, and that the reader misses nothing now."""
        subscriber = reader.subscriber
        subscriber.held = True
        found = await self.database.row(statement.POSITION)
        assert found is not None
        batches = []
        if after:
            async with self._resuming:
                batches = await self._past(reader, after, found)
        ready = Batch(reader.table, [(READY, NOTHING)], found["now"])
        subscriber.push_first([*batches, ready])

    async def _past(
        self, reader: Reader, after: str, found: Mapping[str, Any]
    ) -> list[Batch]:
        """Return what happened since a position; a reset where that is not kept."""
        horizon, following = int(found["horizon"] or 0), int(found["next"])
        table, position = reader.table, found["now"]
        reset = [Batch(table, [(RESET, NOTHING)], position)]
        known = after.isascii() and after.isdecimal() and len(after) < 20
        if not known or not horizon < int(after) <= following:
            return reset
        notes = await self.database.rows(statement.SINCE, table, after, RESUMED_MAX + 1)
        changed = _gathered(notes).get(table, Changed())
        if max(len(notes), len(changed.keys)) > RESUMED_MAX or not changed.is_whole:
            return reset
        if not changed.keys:
            return []
        events = await self._events(changed, alone(reader))
        return [Batch(table, events[1], position)] if events else []

    def stop(self) -> None:
        """End all streams: the server stops."""
        self.stopping = True
        for reader in self._all():
            reader.subscriber.end("server.stopping")

    async def close(self) -> None:
        """End what is left."""
        self.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    def _all(self) -> list[Reader]:
        return [reader for readers in self._readers.values() for reader in readers]

    # Changes

    async def _run(self) -> None:
        """Send batch after batch; while the database is away they wait."""
        backoff = Backoff(0.1, 2.0)
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(GATHER)
            while self._waiting:
                began = monotonic()
                taken = dict(list(self._waiting.items())[:TOGETHER])
                try:
                    await self._send(taken)
                except Unavailable as error:
                    log.warning("streams wait: %s", error.message)
                    await backoff.rest()
                    continue
                except Exception:
                    log.exception("changes cannot be sent: readers read again")
                    for table in set(taken.values()):
                        self._reset(table)
                backoff.succeeded()
                for number in taken:
                    self._waiting.pop(number, None)
                if len(self._waiting) < TOGETHER:
                    await self._gather(began)

    async def _gather(self, began: float) -> None:
        """Let changes come together for as long as the last ones kept this process.

        The more readers there are, the fewer and larger are the batches, and half of
        the time is left to others.
        """
        await asyncio.sleep(0)  # those who were sent something write it first
        took = monotonic() - began
        await asyncio.sleep(min(max(GATHER, took), GATHER_MAX))

    async def _beat(self) -> None:
        """Show readers that the connection lives, with the position of now."""
        while True:
            await asyncio.sleep(min(BEAT, self.config.stream_keep_sec))
            try:
                await self.database.run(statement.PRUNE, self.config.stream_keep_sec)
                if self._readers:
                    await self.database.run(statement.MARK)
            except ApiError as error:
                log.warning("streams: no position (%s)", error.message)
            if self._position:
                for table, readers in self._readers.items():
                    batch = Batch(table, (), self._position)
                    for reader in readers:
                        reader.subscriber.push(batch)

    async def _send(self, taken: dict[int, str]) -> None:
        """Send changes to those who may read them."""
        numbers = [number for number in taken if number > 0]
        notes = await self.database.rows(statement.CHANGES, numbers) if numbers else []
        by_number = {note["id"]: note for note in notes}
        ordered = [by_number[each] for each in numbers if each in by_number]
        changes = _gathered(ordered)
        for number in numbers:
            if number not in by_number:  # removed already
                changes.setdefault(taken[number], Changed()).is_whole = False
        position = self._position
        for number in taken:
            if number < 0:
                position = str(-number)
            elif number in by_number:
                position = by_number[number]["floor"]
        self._refit()
        for table, changed in changes.items():
            if not changed.is_whole or len(changed.keys) > KEYS_MAX:
                self._reset(table)
                continue
            await self._spread(table, changed, position)
        self._position = position

    def _refit(self) -> None:
        """Fit readers to tables that were changed."""
        if self.database.catalog is self._catalog:
            return
        self._catalog = self.database.catalog
        for reader in self._all():
            self._fit(reader)

    def refit(self, user_id: int) -> None:
        """Fit the readers of a user with other claims; they are asked to read again."""
        for reader in self._all():
            if reader.scope.user_id == user_id:
                self._fit(reader)
                batch = Batch(reader.table, [(RESET, NOTHING)], self._position)
                reader.subscriber.push(batch)

    def _fit(self, reader: Reader) -> None:
        """Fit a reader to its table and its rule; end one that does not fit."""
        tables, live = self.config.stream_table_list, self.database.catalog
        try:
            asked = fitted(live, reader.scope, reader.raw, tables)
        except ApiError as error:
            return reader.subscriber.end(error.code)
        if asked != reader.asked:
            self._readers[reader.table].discard(reader)
            reader.asked = asked
            self._add(reader)

    async def _spread(self, table: str, changed: Changed, position: str) -> None:
        """Send the changes of one table."""
        for callers in self._readers.get(table, Audience()).callers():
            made: dict[tuple[tuple[str, str], ...], Batch] = {}
            for place, events in (await self._events(changed, callers)).items():
                same = tuple(events)
                batch = made.get(same)
                if batch is None:
                    batch = made[same] = Batch(table, events, position)
                for reader in callers.readers[place - 1]:
                    reader.subscriber.push(batch)

    async def _events(
        self, changed: Changed, callers: Callers
    ) -> dict[int, list[tuple[str, str]]]:
        """Return the events of each caller, by its place, from 1."""
        key = callers.followed.row_set.table.key
        found: dict[int, list[tuple[str, str]]] = defaultdict(list)
        before: Sequence[Any] = ()
        if changed.old:
            text = statement.gone(callers.followed)
            before = await self._rows(text, changed.old, callers)
        there: dict[str, set[int]] = {}
        text = statement.live(callers.followed)
        for row in await self._rows(text, list(changed.keys), callers):
            there[row["key"]] = set(row["callers"])
            event = (ROW, row["body"])
            for place in row["callers"]:
                found[place].append(event)
        for row in before:
            event = (DELETE, f'{{"{key}":{row["key"]}}}')
            for place in row["callers"]:
                if place not in there.get(row["key"], ()):
                    found[place].append(event)
        return found

    async def _rows(self, text: str, first: list[str], callers: Callers) -> list[Any]:
        """Run a statement for callers."""
        return await self.database.rows(text, first, *callers.columns)


def _gathered(notes: Iterable[Mapping[str, Any]]) -> dict[str, Changed]:
    """Return what changed, by table."""
    changes: dict[str, Changed] = {}
    for note in notes:
        changed = changes.setdefault(note["table_name"], Changed())
        if note["keys"] is None:
            changed.is_whole = False
            continue
        changed.keys |= dict.fromkeys(note["keys"])
        changed.old += note["old"] or []
    return changes
