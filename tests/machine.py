"""What this machine has, and what tests do without: never failed, always listed."""

import functools
import os
import pty
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import psutil

ABSENT = "absent: "
PROC = Path("/proc/self/stat")
MEMINFO = Path("/proc/meminfo")
MEMORY = Path("/dev/shm")  # a folder in memory, where Linux has one
MEMORY_BYTES = 4 << 30  # of it, and as much again for the programs


def absent(what: str) -> None:
    """End the test here: the machine lacks something, which the last lines list."""
    pytest.skip(f"{ABSENT}{what}")


def need(*programs: str) -> None:
    """End the test here unless the machine has these programs."""
    if lacking := [name for name in programs if shutil.which(name) is None]:
        absent(", ".join(lacking))


def as_root() -> pytest.MarkDecorator:
    """Return a mark for tests about being root."""
    return pytest.mark.skipif(os.geteuid() != 0, reason=f"{ABSENT}root")


def proc(path: object = "") -> Path:
    """Return a path of /proc; end the test where processes cannot be looked at."""
    if not PROC.exists():
        absent("/proc")
    return Path("/proc", str(path))


def with_proc() -> pytest.MarkDecorator:
    """Return a mark for tests that look at processes from their first line on."""
    return pytest.mark.skipif(not PROC.exists(), reason=f"{ABSENT}/proc")


def terminal() -> tuple[int, int]:
    """Return the two ends of a terminal; end the test where there is none."""
    try:
        return pty.openpty()
    except OSError:
        absent("terminals (/dev/pts)")
        raise


def process(pid: int) -> "psutil.Process":
    """Return a process to look at; end the test where that cannot be done."""
    proc()
    import psutil

    return psutil.Process(pid)


def with_namespaces() -> pytest.MarkDecorator:
    """Return a mark for tests about user namespaces."""
    return pytest.mark.skipif(not namespaces(), reason=f"{ABSENT}user namespaces")


def old_server() -> None:
    """End the test here unless version 0.1.0 serves: it wants namespaces of root."""
    if os.geteuid() == 0 and not namespaces():
        absent("user namespaces")


def memory() -> Path | None:
    """Return a folder in memory with room for a run's databases, or None.

    A run makes and removes files by the hundred thousand; where they go to a disk, the
    system is busy with that for longer than with the tests.
    """
    try:
        found = os.statvfs(MEMORY)
        known = dict(line.split(":") for line in MEMINFO.read_text().splitlines())
    except OSError:
        return None
    free = int(known["MemAvailable"].removesuffix("kB")) << 10
    closed = found.f_flag & os.ST_NOEXEC or not os.access(MEMORY, os.W_OK | os.X_OK)
    room = min(found.f_bavail * found.f_frsize, free - MEMORY_BYTES)
    return None if closed or room < MEMORY_BYTES else MEMORY


@functools.cache
def private_mounts() -> bool:
    """Whether a process may have mounts of its own; which a chroot does not have."""
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    return tried.returncode == 0


@functools.cache
def namespaces() -> bool:
    """Whether root may enter user namespaces; a chroot and most containers refuse."""
    return (
        subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode == 0
    )
