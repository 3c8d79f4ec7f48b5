"""One transaction for everything that runs inside it, in the task that began it.

`async with database.transaction():` makes a connection ambient: every call of the same
task on that database uses it, however deep. A transaction inside another is a
savepoint. A task started inside takes other connections, unless it is how
`asyncio.wait_for` does its work.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from atom.postgres.driver import Raw, RawTransaction

if TYPE_CHECKING:
    from atom.postgres.database import Database

log = logging.getLogger(__name__)

LIMITS = """
select set_config(name, value, true)
from unnest($1::text[], $2::text[]) as setting (name, value)
"""
CURRENT = """
select current_setting(name) as value from unnest($1::text[]) as setting (name)
"""
READ_ONLY = "transaction_read_only"  # PostgreSQL restores it after a savepoint itself
PROBE = "select 1"
RELEASE = getattr(asyncio.tasks, "_release_waiter", None)  # called when a wait_for ends

After = Callable[[], None]


class Unit:
    """The connection of a transaction in progress, and what runs after its commit."""

    __slots__ = ("after", "is_open", "may_have_failed", "raw", "task")

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.task = asyncio.current_task()
        self.after: list[list[After]] = []  # one list for each savepoint inside
        self.may_have_failed = False  # a statement has; PostgreSQL may refuse the rest
        self.is_open = True


class Transaction:
    """`async with`, or start, commit and rollback by hand. Inside another: a savepoint.

    `options` are asyncpg's (isolation, readonly, deferrable); `limits` are settings of
    PostgreSQL that hold inside.
    """

    def __init__(
        self, database: "Database", options: dict[str, Any], limits: Mapping[str, str]
    ) -> None:
        self._database = database
        self._options = options
        self._limits = dict(limits)
        self._unit: Unit | None = None
        self._inner: RawTransaction
        self._before: dict[str, str] = {}  # the limits around a savepoint
        self._is_committed = False
        self.is_outermost = False

    @property
    def unit(self) -> Unit:
        """What this transaction holds.

        Raises:
            RuntimeError: before it has begun, or after its end.
        """
        if self._unit is None:
            raise RuntimeError("this transaction has not begun, or has ended")
        return self._unit

    def __await__(self) -> Generator[Any, None, Self]:
        return self.start().__await__()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            return await self.commit()
        try:
            await self.rollback()
        except Exception:
            # A lost connection has rolled back; the first error is the one to raise.
            log.warning("rollback failed; the connection is closed", exc_info=True)

    async def start(self) -> Self:
        """Begin.

        Raises:
            ApiError: when no connection can be had.
        """
        unit, leases = self._database.current(), self._database.leases
        self.is_outermost = unit is None
        if unit is None:
            unit = Unit(await leases.take())
        self._inner = self._begin(unit)
        is_begun = False
        try:
            await self._inner.start()
            is_begun = True
            await self._limit(unit)
        except BaseException as error:
            if self.is_outermost:
                await leases.release(unit.raw)
            elif is_begun:
                await self._inner.rollback()
            if isinstance(error, Exception):
                raise self._database.translate(error) from error
            raise
        unit.after.append([])
        self._unit = unit
        if self.is_outermost:
            self._database.bind(unit)
        return self

    def _begin(self, unit: Unit) -> RawTransaction:
        if self.is_outermost:
            self._limits = {**self._database.local, **self._limits}
            return unit.raw.transaction(**self._options)
        options = dict(self._options)
        if options.pop("readonly", False):  # asyncpg passes it over in a savepoint
            self._limits[READ_ONLY] = "on"
        return unit.raw.transaction(**options)

    async def _limit(self, unit: Unit) -> None:
        if not self._limits:
            return
        names = list(self._limits)
        if not self.is_outermost:
            kept = [name for name in names if name != READ_ONLY]
            now = await unit.raw.fetch(CURRENT, kept) if kept else []
            self._before = {n: row["value"] for n, row in zip(kept, now, strict=True)}
        await unit.raw.fetch(LIMITS, names, list(self._limits.values()))

    async def commit(self) -> None:
        """Keep what was done; of the outermost, then run what waits for its commit.

        A cancellation during COMMIT takes effect after it: what is committed is
        followed by everything that belongs to it.

        Raises:
            ApiError: when PostgreSQL does not commit, or a statement failed before.
        """
        unit, waiting = self._leave()
        try:
            await _to_its_end(self._commit(unit))
        except Exception as error:
            raise self._database.translate(error) from error
        finally:
            if self._is_committed:
                self._follow(unit, waiting)

    async def rollback(self) -> None:
        """Undo what was done, and forget what waited for the commit."""
        unit, _ = self._leave()
        unit.may_have_failed = False
        try:
            await self._inner.rollback()
        finally:
            await self._close(unit)

    def _leave(self) -> tuple[Unit, list[After]]:
        unit, self._unit = self.unit, None
        return unit, unit.after.pop()

    async def _commit(self, unit: Unit) -> None:
        try:
            if unit.may_have_failed:
                await self._probe(unit)
            if self._before:
                names, values = list(self._before), list(self._before.values())
                await unit.raw.fetch(LIMITS, names, values)
            await self._inner.commit()
            self._is_committed = True
        finally:
            await self._close(unit)

    async def _probe(self, unit: Unit) -> None:
        """Raise if a statement failed: COMMIT would roll back and report success."""
        try:
            await unit.raw.fetchval(PROBE)
        except Exception:
            if not self.is_outermost:
                await self._inner.rollback()  # what is around it goes on
                unit.may_have_failed = False
            raise

    async def _close(self, unit: Unit) -> None:
        if self.is_outermost:
            unit.is_open = False
            await self._database.leases.release(unit.raw)

    def _follow(self, unit: Unit, waiting: list[After]) -> None:
        """Run what waited for this commit, or leave it to the transaction around."""
        if not self.is_outermost:
            unit.after[-1] += waiting
            return
        self._database.bind(None)
        for each in waiting:
            try:
                each()
            except Exception:
                log.exception("work after a commit failed")


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Await work that no cancellation of the caller stops halfway, however many."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as caught:
            cancelled = caught
    if cancelled is None:
        return task.result()
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("the transaction of a cancelled caller failed", exc_info=error)
    raise cancelled


def waits_for(task: "asyncio.Task[Any]") -> "asyncio.Task[Any] | None":
    """Return the task that is suspended in `asyncio.wait_for` on this one, or None.

    Python 3.11 runs the work of wait_for in a task of its own; later ones do not.
    """
    if sys.version_info >= (3, 12):
        return None
    waiters = [
        each.args[0]
        for each, _ in task._callbacks or ()
        if isinstance(each, partial) and each.func is RELEASE
    ]
    if not waiters:
        return None
    every = asyncio.all_tasks()
    return next((t for t in every if getattr(t, "_fut_waiter", None) in waiters), None)
