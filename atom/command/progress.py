"""The progress of an import or export: a bar on a terminal, and a last line."""

import asyncio
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from atom.transfer.request import Progress

DRAW_SECONDS = 0.2
CELLS = 20
MEGA = 1_000_000
CLEAR = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class State:
    """The progress at one moment; `total` is 0 when it is unknown."""

    done: int  # bytes
    total: int
    rows: int
    seconds: float
    is_read: bool = False


def megabytes(size: float) -> str:
    """Return a number of bytes as text.

    >>> megabytes(1_234_567)
    '1.2 MB'
    """
    return f"{size / MEGA:,.1f} MB"


def clock(seconds: float) -> str:
    """Return a span of time as text.

    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def line(state: State, width: int) -> str:
    """Return the bar, not wider than the terminal.

    >>> print(line(State(50_000_000, 100_000_000, 600_000, 2.0), 80))
    [##########----------]  50%  50.0 of 100.0 MB  600,000 rows  300,000 rows/s  0:
    """
    parts = []
    share = min(1.0, state.done / state.total) if state.total else 0.0
    if state.total:
        full = int(CELLS * share)
        parts.append(f"[{'#' * full}{'-' * (CELLS - full)}] {share:4.0%}")
        parts.append(f"{state.done / MEGA:,.1f} of {megabytes(state.total)}")
    else:
        parts.append(megabytes(state.done))
    pace = max(state.seconds, 0.001)
    if state.rows:
        parts.append(f"{state.rows:,} rows")
        parts.append(f"{state.rows / pace:,.0f} rows/s")
    else:
        parts.append(f"{megabytes(state.done / pace)}/s")
    if state.is_read:
        parts.append("applying")
    elif share:
        parts.append(f"{clock(state.seconds / share - state.seconds)} left")
    return "  ".join(parts)[: max(width - 1, 1)]


def ended(verb: str, what: str, rows: int, size: int, seconds: float) -> str:
    """Return the line at the end.

    >>> ended("Imported", "into test", 1000, 2_000_000, 0.5)
    'Imported 1,000 rows into test: 2.0 MB in 0.5 s, 2,000 rows/s.'
    """
    pace = f"{rows / max(seconds, 0.001):,.0f} rows/s"
    count = f"{rows:,} row{'s' if rows != 1 else ''}"
    return f"{verb} {count} {what}: {megabytes(size)} in {seconds:.1f} s, {pace}."


class Bar:
    """Draws on the terminal while the block runs; nothing where there is none."""

    def __init__(self, progress: Progress, done: Callable[[], int], total: int) -> None:
        self._progress = progress
        self._done = done
        self._total = total
        self._began = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Bar":
        self._began = asyncio.get_running_loop().time()
        if sys.stderr.isatty():
            self._task = asyncio.create_task(self._draw(), name="bar")
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            sys.stderr.write(CLEAR)

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return asyncio.get_running_loop().time() - self._began

    async def _draw(self) -> None:
        while True:
            await asyncio.sleep(DRAW_SECONDS)
            progress = self._progress
            state = State(
                self._done(), self._total, progress.rows, self.seconds, progress.is_read
            )
            width = shutil.get_terminal_size().columns
            sys.stderr.write(CLEAR + line(state, width))
            sys.stderr.flush()
