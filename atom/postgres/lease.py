"""Takes connections out of a pool and returns them; a few are kept for a moment.

Taking a connection from asyncpg's pool and giving it back costs about twice as much as
a short statement. One that has just finished is therefore kept here for the next
statement, and goes back to the pool as soon as it has not been needed for a moment. At
most half of the pool is ever kept, so that whoever uses the pool itself finds the rest.

`Plans`: which statements a connection keeps prepared, so that many of one caller push
out none of the others. A caller of a request adds an eighth of them in ten minutes, a
tier half; what they ask beyond is planned each time, and changes nothing for others.
"""

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from contextvars import ContextVar
from typing import Any

from atom.backoff import Backoff
from atom.errors import ApiError, Unavailable
from atom.postgres.driver import Raw, RawPool
from atom.postgres.errors import exhausted, translate, unavailable
from atom.postgres.share import CALLER, Caller, Pace, Shares

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.02
PAUSES = (0.1, 5.0)  # seconds until a pool is asked again: the first, the longest
PROCESS = "select pg_backend_pid()"
WINDOW_SECONDS = 600.0  # in which what a caller adds is counted

# The task of work without a caller, which waits for a connection without limit; the
# tasks it starts do not, since callers may share them.
UNHURRIED: ContextVar[object] = ContextVar("unhurried", default=None)
# Connections that run a single statement of Atom. Known by their
# settings object, which a connection and the pool's proxy of it share.
_lent: set[int] = set()


async def reset(raw: Raw) -> None:
    """Clean a connection on its way back to the pool (`create_pool(reset=…)`).

    One that was lent for a single statement of Atom has nothing to clean; that
    saves a round trip for every statement.
    """
    if id(raw.get_settings()) not in _lent and (query := raw.get_reset_query()):
        await raw.execute(query)


async def reset_pooled(raw: Raw) -> None:
    """Clean a connection that may lead to a pooler in transaction mode.

    There no session is ours to clean. But a statement that was prepared and never run,
    for a value that does not fit, keeps the process of the server: any further
    statement lets go of it.
    """
    if id(raw.get_settings()) in _lent:
        return
    if await raw.fetchval(PROCESS) == raw.get_server_pid():
        await reset(raw)


def is_open(raw: Raw) -> bool:
    """Whether a connection can be used; a lost one is back in the pool."""
    try:
        return not raw.is_closed()
    except Exception:  # InterfaceError: it is the pool's again
        return False


class Leases:
    """The connections of a pool; for one, a caller waits at most so many seconds."""

    def __init__(self, pool: RawPool, seconds: float, long_max: int) -> None:
        self._pool = pool
        self._seconds = seconds
        self._kept_max = pool.get_max_size() // 2
        self._shares = Shares(pool.get_max_size(), long_max)
        self._lent_to: dict[int, Caller] = {}  # by the id of the connection
        self._kept: list[Raw] = []
        self._unused = 0  # how many were not needed since the last look
        self._looking = False
        self._waiting = 0  # callers who wait for a connection now
        self._returning: set[asyncio.Task[None]] = set()

    async def take(self, pace: Pace | None = None) -> Raw:
        """Take a connection: one at hand, or one of the pool.

        `pace` is that of the statement it is for, where there is a single one.

        Raises:
            Unavailable: `pool.exhausted` when none becomes free in time, `pool.share`
                when the caller has too many.
        """
        caller = CALLER.get() if self._shares.is_divided else None
        if caller is None or caller.task() is not (task := asyncio.current_task()):
            return self._at_hand() or await self._acquire()
        if not caller.held and not self._shares.enter(caller, pace):
            unhurried = UNHURRIED.get() is task
            await self._shares.wait(caller, None if unhurried else self._seconds)
        caller.held += 1
        try:
            raw = self._at_hand() or await self._acquire()
        except BaseException:
            self._leave(caller)
            raise
        self._lent_to[id(raw)] = caller
        return raw

    def _leave(self, caller: Caller) -> None:
        caller.held -= 1
        if not caller.held:
            self._shares.leave(caller)

    def _returned(self, raw: Raw) -> None:
        if (caller := self._lent_to.pop(id(raw), None)) is not None:
            self._leave(caller)

    def _at_hand(self) -> Raw | None:
        while self._kept:
            raw = self._kept.pop()
            if len(self._kept) < self._unused:
                self._unused = len(self._kept)
            if is_open(raw):
                return raw
            self._give_back_soon(raw)
        return None

    async def _acquire(self) -> Raw:
        """Take a connection out of the pool."""
        if UNHURRIED.get() is not asyncio.current_task():
            return await self._acquire_in_time()
        backoff = Backoff(*PAUSES)
        while True:
            try:
                return await self._acquire_in_time()
            except Unavailable as error:
                log.info("waiting for a connection: %s", error)
            await backoff.rest()

    async def _acquire_in_time(self) -> Raw:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                return await self._pool.acquire()
        except TimeoutError as error:
            raise self._none_in_time() from error
        except Exception as error:
            raise translate(error) from error
        finally:
            self._waiting -= 1

    def _none_in_time(self) -> ApiError:
        """Return the error for a pool without a free connection, or a silent server."""
        size = self._pool.get_max_size()
        full = self._pool.get_size() >= size
        return exhausted(size, self._seconds) if full else unavailable()

    def keep(self, raw: Raw) -> bool:
        """Keep a connection for the next statement, if there is room."""
        if self._waiting or len(self._kept) >= self._kept_max:
            return False
        self._returned(raw)
        self._kept.append(raw)
        if not self._looking:
            self._looking = True
            self._unused = 0
            asyncio.get_running_loop().call_later(IDLE_SECONDS, self._look)
        return True

    def _look(self) -> None:
        """Return to the pool the connections not needed since the last look."""
        for raw in self._kept[: self._unused]:
            self._give_back_soon(raw)
        del self._kept[: self._unused]
        self._unused = len(self._kept)
        self._looking = bool(self._kept)
        if self._looking:
            asyncio.get_running_loop().call_later(IDLE_SECONDS, self._look)

    async def release(self, raw: Raw) -> None:
        """Return a connection to the pool, which cleans it."""
        self._returned(raw)
        try:
            await self._pool.release(raw)
        except Exception:
            # asyncpg has closed it already; its statements are done or have raised.
            log.warning("a connection could not be cleaned", exc_info=True)

    async def give_back(self, raw: Raw) -> None:
        """Release a connection that ran only single statements of Atom."""
        mark = id(raw.get_settings()) if is_open(raw) else 0
        _lent.add(mark)
        await self.release(raw)
        _lent.discard(mark)

    def _give_back_soon(self, raw: Raw) -> None:
        task = asyncio.create_task(self.give_back(raw))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)


class Plans:
    """The statements that the connections of a pool keep prepared."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._of_caller = max(1, size // 8)
        self._of_tier = max(1, size // 2)
        self._kept: OrderedDict[str, Pace] = OrderedDict()
        self._added: Counter[tuple[str, ...]] = Counter()
        self._until = 0.0

    def kept(self, text: str) -> Pace | None:
        """Return the pace of a statement that is to stay prepared, None of another."""
        if (pace := self._kept.get(text)) is not None:
            self._kept.move_to_end(text)
            return pace
        if not self._admits():
            return None
        pace = self._kept[text] = Pace()
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return pace

    def _admits(self) -> bool:
        """Count a statement that is new, unless its caller or tier has added enough."""
        if not self._size:
            return True  # the driver keeps nothing
        if (caller := CALLER.get()) is None:
            return True
        if (now := time.monotonic()) > self._until:
            self._added.clear()
            self._until = now + WINDOW_SECONDS
        one, tier = (caller.tier, caller.name), (caller.tier,)
        if self._added[one] >= self._of_caller or self._added[tier] >= self._of_tier:
            return False
        self._added[one] += 1
        self._added[tier] += 1
        return True

    async def run(
        self,
        raw: Raw,
        verb: str,
        text: str,
        values: tuple[Any, ...],
        seconds: float | None,
    ) -> Any:
        """Run a statement by one of asyncpg's four verbs."""
        if self.kept(text) is not None:
            return await getattr(raw, verb)(text, *values, timeout=seconds)
        statement = await raw.prepare(text, name="", timeout=seconds)
        if verb != "execute":
            return await getattr(statement, verb)(*values, timeout=seconds)
        await statement.fetch(*values, timeout=seconds)
        return statement.get_statusmsg()
