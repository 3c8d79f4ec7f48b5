"""The rows of a query as CSV or JSON lines, streamed at the speed of COPY.

CSV is that of RFC 4180: lines end with CR LF, a cell with a comma, a quote or a line
break is quoted. NULL is an empty cell, the empty text is `""`. JSON lines are one
object a line, each value as row routes answer it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from atom.errors import ApiError
from atom.postgres.database import affected
from atom.postgres.lease import PROCESS
from atom.sandbox import statement as sql
from atom.sandbox.role import EXPORTER
from atom.sandbox.session import Sandbox
from atom.transfer.request import Progress

# Chunks on their way to a slow caller. COPY waits while there are that many.
WAITING_MAX = 8
CLOSE_SECONDS = 5.0
CANCEL = "select pg_cancel_backend($1)"
CSV = {"format": "csv", "header": True}
# Characters that JSON never holds as they are: so COPY finds nothing to quote.
LINES = {"format": "csv", "quote": "\x01", "delimiter": "\x02"}


class LineEnds:
    """Turns the line feeds that end records into CR LF, and leaves those in quotes."""

    def __init__(self) -> None:
        self._quoted = 0

    def convert(self, chunk: bytes) -> bytes:
        """Convert the next part of the stream, cut anywhere.

        >>> LineEnds().convert(b'a\\n"x\\ny"\\n')
        b'a\\r\\n"x\\ny"\\r\\n'
        """
        if b'"' not in chunk:
            return chunk if self._quoted else chunk.replace(b"\n", b"\r\n")
        if not self._quoted:
            # A quote that opens mostly closes on its line; then no feed is inside.
            lines = chunk.split(b"\n")
            last = lines.pop()
            if not any(line.count(b'"') & 1 for line in lines):
                self._quoted = last.count(b'"') & 1
                return b"\r\n".join([*lines, last])
        # Every other part is in quotes; a doubled quote only makes an empty part.
        parts = chunk.split(b'"')
        parts[self._quoted :: 2] = [
            part.replace(b"\n", b"\r\n") for part in parts[self._quoted :: 2]
        ]
        self._quoted = (self._quoted + len(parts) - 1) % 2
        return b'"'.join(parts)


class Left(Exception):
    """The reader of the export is gone."""


def _retrieve(work: asyncio.Task[None]) -> None:
    """Retrieve the exception, so that asyncio does not log it as unhandled."""
    if not work.cancelled():
        work.exception()


class Export:
    """One query on its way out. Call `start`, then iterate, then always `close`."""

    def __init__(
        self,
        sandbox: Sandbox,
        query: str,
        *,
        is_own: bool = False,
        seconds: float = 600.0,
        is_formula_safe: bool = False,
        file_format: str = "csv",
        progress: Progress | None = None,
    ) -> None:
        if is_formula_safe and file_format != "csv":
            raise ApiError("Cells are made safe for spreadsheets in CSV alone.")
        self.progress = progress or Progress()
        self._is_csv = file_format == "csv"
        self._sandbox = sandbox
        self._query = query
        self._is_own = is_own  # written by Atom, not by a caller
        self._seconds = seconds
        self._is_formula_safe = is_formula_safe
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_MAX)
        self._first: bytes | None = None
        self._work: asyncio.Task[None] | None = None
        self._left = False
        self._pid: int | None = None  # of the server's process, while it copies
        self._ending = asyncio.Lock()  # so that no other statement is cancelled

    async def start(self) -> None:
        """Return once there is a first chunk to send.

        Raises:
            ApiError: `query.*`, and all that goes wrong before the first chunk.
        """
        self._work = asyncio.create_task(self._copy(), name="export")
        self._work.add_done_callback(_retrieve)
        try:
            self._first = await self._next()
        except BaseException:
            await self.close()
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks. What goes wrong in the middle is raised in the middle."""
        while self._first is not None:
            yield self._first
            self._first = await self._next()

    async def close(self) -> None:
        """Stop the query if it still runs, and give its connection back.

        The driver loses a connection with a COPY that is cancelled while it waits for
        the server. So the next chunk is refused, and the query cancelled on the server.
        """
        if self._work is None or self._work.done():
            return
        self._left = True
        while not self._chunks.empty():
            self._chunks.get_nowait()
        async with self._ending:
            if self._pid is not None:
                await self._sandbox.database.value(CANCEL, self._pid)
        await asyncio.wait([self._work], timeout=CLOSE_SECONDS)
        if not self._work.done():
            self._work.cancel()
            await asyncio.wait([self._work])

    async def _next(self) -> bytes | None:
        assert self._work is not None
        got = asyncio.ensure_future(self._chunks.get())
        try:
            await asyncio.wait((got, self._work), return_when=asyncio.FIRST_COMPLETED)
            if not got.done():
                # Ended without a chunk: it has failed, and raises why.
                self._work.result()
            return await got
        finally:
            got.cancel()

    async def _copy(self) -> None:
        text = sql.trimmed(self._query)
        async with self._transaction() as raw:
            query = await sql.parse_reading(raw, text)
            # The driver knows another number when a pooler is in between.
            process = await raw.fetchval(PROCESS)
            as_text = sql.formula_safe if self._is_formula_safe else sql.as_cells
            written = as_text(query) if self._is_csv else sql.as_lines(query)
            await self._stream(raw, written, process)
        await self._chunks.put(None)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        limit = int(self._seconds * 1000)
        if not self._is_own:
            async with self._sandbox.transaction(EXPORTER, timeout_ms=limit) as raw:
                yield raw
            return
        database = self._sandbox.database
        async with database.transaction(readonly=True, timeout_ms=limit) as held:
            yield held.raw

    async def _stream(self, raw: Any, text: str, process: int) -> None:
        ends = LineEnds()

        async def take(chunk: bytes) -> None:
            if self._left:
                raise Left
            made = ends.convert(bytes(chunk)) if self._is_csv else bytes(chunk)
            await self._chunks.put(made)

        self._pid = process
        try:
            status = await raw.copy_from_query(
                # A line comment at the end must not swallow what COPY adds.
                f"\n{text}\n",
                output=take,
                encoding="utf8",
                timeout=self._seconds,
                **(CSV if self._is_csv else LINES),
            )
            self.progress.rows = affected(status)
        except Left:
            raise
        except Exception as error:
            raise sql.explained(
                error,
                catalog=self._sandbox.database.catalog,
                secret=self._sandbox.secret,
            ) from error
        finally:
            async with self._ending:
                self._pid = None
