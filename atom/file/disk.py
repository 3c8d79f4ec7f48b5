"""Files in a folder: written whole or not at all, and never over another.

A name on disk is a digest of the key, below a folder for each user: nothing that a
user wrote is part of a path. No symbolic link below the folder is followed.
"""

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

OWNER = re.compile(r"([a-z]+_\d+)/")
NEW = "new"  # where files are until they are whole
BROKEN_SECONDS = 86_400.0  # a file that is being written has less
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
MODE, FOLDER_MODE = 0o600, 0o700


@dataclass(frozen=True, slots=True)
class Disk:
    """The folder of local files. Its methods block: call them in a thread."""

    folder: Path

    def _place(self, bucket: str, key: str) -> tuple[tuple[str, str], str]:
        """Return the folders and the name of a file."""
        found = OWNER.match(key)
        if found is None:
            raise ValueError("the key is not in the folder of a user")
        digest = sha256(f"{bucket}\0{key}".encode()).hexdigest()
        return (found[1], digest[:2]), digest

    @contextmanager
    def _opened(self, parts: tuple[str, ...], *, make: bool) -> Iterator[int]:
        """Open a folder below the root, one part after the other."""
        if make:
            self.folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        here = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parts:
                if make:
                    _make(part, here)
                inner = os.open(part, DIRECTORY, dir_fd=here)
                os.close(here)
                here = inner
            yield here
        finally:
            os.close(here)

    def write(self, bucket: str, key: str, source: BinaryIO) -> None:
        """Store a file; it gets its name once it is on the disk.

        Raises:
            FileExistsError: when there is one with this key.
        """
        parts, name = self._place(bucket, key)
        temporary = secrets.token_hex(16)
        with self._opened((NEW,), make=True) as new:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            number = os.open(temporary, flags, MODE, dir_fd=new)
            try:
                with open(number, "wb") as file:
                    shutil.copyfileobj(source, file, 256 * 1024)
                    file.flush()
                    os.fsync(file.fileno())
                with self._opened(parts, make=True) as folder:
                    # Of several, one makes the name; not each disk has hard links.
                    os.close(os.open(name, flags, MODE, dir_fd=folder))
                    os.replace(temporary, name, src_dir_fd=new, dst_dir_fd=folder)
                    os.fsync(folder)
            except BaseException:
                os.unlink(temporary, dir_fd=new)
                raise

    def open(self, bucket: str, key: str) -> int:
        """Open a file to read. Return its descriptor.

        Raises:
            FileNotFoundError: when there is none.
        """
        parts, name = self._place(bucket, key)
        try:
            with self._opened(parts, make=False) as folder:
                return os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:  # a symbolic link
                raise FileNotFoundError(error.errno, "not a file of Atom") from error
            raise

    def delete(self, bucket: str, key: str) -> None:
        """Delete a file, if it is there."""
        parts, name = self._place(bucket, key)
        try:
            with self._opened(parts, make=False) as folder:
                os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return

    def clear(self) -> int:
        """Delete what writers that died have left. Return how many files."""
        until, count = time.time() - BROKEN_SECONDS, 0
        if not (self.folder / NEW).is_dir():
            return 0
        with self._opened((NEW,), make=False) as new:
            for name in os.listdir(new):
                if os.stat(name, dir_fd=new, follow_symlinks=False).st_mtime < until:
                    os.unlink(name, dir_fd=new)
                    count += 1
        return count


def _make(part: str, here: int) -> None:
    try:
        os.mkdir(part, FOLDER_MODE, dir_fd=here)
    except FileExistsError:
        return
    os.fsync(here)
