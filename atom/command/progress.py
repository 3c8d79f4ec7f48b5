"""The progress of an import or export: a bar on a terminal, and a last line."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress

from atom.transfer.request import Progress

DRAW_SECONDS = 0.2
CELLS = 20
MEGA = 1_000_000


def ended(verb: str, what: str, rows: int, size: int, seconds: float) -> str:
    """Return the line at the end.

    >>> ended("Imported", "into test", 1000, 2_000_000, 0.5)
    'Imported 1,000 rows into test: 2.0 MB in 0.5 s, 2,000 rows/s.'
    """
    pace = f"{rows / max(seconds, 0.001):,.0f} rows/s"
    count = f"{rows:,} row{'s' if rows != 1 else ''}"
    return f"{verb} {count} {what}: {size / MEGA:,.1f} MB in {seconds:.1f} s, {pace}."


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

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return asyncio.get_running_loop().time() - self._began

    async def _draw(self) -> None:
        from rich import progress as bar
        from rich.console import Console

        columns = (
            bar.BarColumn(CELLS),
            bar.TaskProgressColumn(),
            bar.DownloadColumn(),
            bar.TextColumn("{task.fields[rows]}"),
            bar.TimeRemainingColumn(compact=True),
        )
        with bar.Progress(
            *columns,
            console=Console(stderr=True),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
        ) as shown:
            task = shown.add_task("", total=self._total or None, rows="")
            while True:
                await asyncio.sleep(DRAW_SECONDS)
                done, rows, seconds = self._done(), self._progress.rows, self.seconds
                text = f"{rows:,} rows  {rows / seconds:,.0f} rows/s"
                if not rows:  # an export counts them at its end
                    text = f"{done / MEGA / seconds:,.1f} MB/s"
                text += "  applying" * self._progress.is_read
                shown.update(task, completed=done, rows=text, refresh=True)
