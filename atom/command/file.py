"""The files of a command: counted, stoppable, and never left half written."""

import gzip
import os
import select
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from atom.transfer.request import GZIP

STANDARD = "-"
ENDING = (signal.SIGINT, signal.SIGTERM)
LOOK_SECONDS = 0.1  # how often a wait for a silent pipe looks whether to stop


class Stopped(Exception):
    """A stop was requested while waiting for a pipe."""


class Feed:
    """A file read once, and again from its beginning to find a line.

    A pipe cannot be read twice: with `keep` its bytes are copied to the disk. Read it
    in a thread; `stop` may be called from another.
    """

    def __init__(self, file: BinaryIO, *, keep: bool) -> None:
        self._file = file
        about = os.fstat(file.fileno())
        self._is_file = stat.S_ISREG(about.st_mode)
        self._again = False
        self._stopped = False
        self._kept: IO[bytes] | None = None
        if keep and not self._is_file:
            self._kept = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.total = about.st_size if self._is_file else 0  # 0: unknown
        self.done = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size`.

        Raises:
            Stopped: when `stop` was called while waiting.
        """
        if self._again:
            assert self._kept is not None
            return self._kept.read(size)
        while not self._is_file and not self._is_readable():
            if self._stopped:
                raise Stopped
        found = self._file.read(size)
        self.done += len(found)
        if self._kept is not None:
            self._kept.write(found)
        return found

    def _is_readable(self) -> bool:
        return bool(select.select([self._file], [], [], LOOK_SECONDS)[0])

    def seek(self, place: int) -> int:
        """Go back to the beginning; no other position is asked for."""
        if self._kept is not None:
            self._again = True
            return self._kept.seek(place)
        return self._file.seek(place)

    def stop(self) -> None:
        """Stop waiting for a pipe."""
        self._stopped = True

    def close(self) -> None:
        """Remove the copy of a pipe."""
        if self._kept is not None:
            self._kept.close()


@contextmanager
def fed(name: str, *, keep: bool) -> Iterator[Feed]:
    """Open a file, or standard input for `-`; unbuffered, so that bytes are counted."""
    number = sys.stdin.fileno() if name == STANDARD else name
    with open(number, "rb", buffering=0, closefd=name != STANDARD) as file:
        feed = Feed(file, keep=keep)
        try:
            yield feed
        finally:
            feed.close()


@contextmanager
def written(name: str) -> Iterator[IO[bytes]]:
    """Open a file to write, or standard output for `-`.

    A regular file gets its name only when all is written, and only its owner may read
    it. A name that ends with .gz is compressed.
    """
    if name == STANDARD:
        with open(sys.stdout.fileno(), "wb", closefd=False) as out:
            yield out
        return
    path = Path(name)
    if path.exists() and not path.is_file():  # a device, a named pipe
        with path.open("wb") as out:
            yield out
        return
    # A signal that ends the command must not come between the file and its removal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    temporary = ""
    try:
        number, temporary = _temporary(path)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with open(number, "wb") as out:
            if name.lower().endswith(GZIP):
                with gzip.GzipFile("", "wb", 1, out) as zipped:
                    yield cast(IO[bytes], zipped)
            else:
                yield out
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path.resolve())
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise


def _temporary(path: Path) -> tuple[int, str]:
    try:
        return tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        error.filename = str(path)  # the name given, not the temporary one
        raise
