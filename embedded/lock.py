"""The process that holds the private servers of a project, and how others find them.

The holder keeps a lock on `.atom/lock`, which the kernel frees however the holder ends.
`.atom/run.json` has the URLs of the servers while they are up.
"""

import fcntl
import json
import logging
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from atom.errors import ConfigError
from embedded.folder import read, write

log = logging.getLogger(__name__)

JOIN_SECONDS = 130.0
CHANGE_SECONDS = 10.0
LEAVE_SECONDS = 10.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Held:
    """The outcome of `hold`: this process runs the servers, or uses another's."""

    folder: Path
    ours: bool
    urls: Mapping[str, str]

    def publish(self, urls: Mapping[str, str]) -> None:
        """Write the URLs of the servers for the processes that join."""
        write(self.folder / "run.json", {"pid": os.getpid(), "urls": dict(urls)})

    def withdraw(self) -> None:
        """Remove the URLs: the servers are no longer there."""
        (self.folder / "run.json").unlink(missing_ok=True)

    def wait_for_others(self) -> None:
        """Wait for the processes that joined; they got the same signal to end."""
        file = _open(self.folder / "joined")
        try:
            begun = time.monotonic()
            while not _locked(file, fcntl.LOCK_EX):
                if time.monotonic() - begun > LEAVE_SECONDS:
                    log.warning("other processes lose the database in %s", self.folder)
                    return
                time.sleep(LOOK_SECONDS)
        finally:
            os.close(file)


@contextmanager
def hold(folder: Path, *, join: bool) -> Iterator[Held]:
    """Become the holder, or with `join` use the servers of another process.

    A holder that is starting or stopping is waited for.

    Raises:
        ConfigError: when another process holds the servers and `join` is not set, or
            when its servers do not get ready.
    """
    file = _open(folder / "lock")
    try:
        urls = _wait(folder, file, join=join)
        if urls is not None:
            with _joined(folder):
                yield Held(folder, False, urls)
            return
        held = Held(folder, True, {})
        held.withdraw()
        _sign(file)
        try:
            yield held
        finally:
            held.withdraw()
    finally:
        os.close(file)


@contextmanager
def _joined(folder: Path) -> Iterator[None]:
    """Show the holder that its servers are in use."""
    file = _open(folder / "joined")
    try:
        _locked(file, fcntl.LOCK_SH)
        yield
    finally:
        os.close(file)


def _locked(file: int, how: int) -> bool:
    """Take a lock, and return whether it was free."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)
    return file


def _wait(folder: Path, file: int, *, join: bool) -> dict[str, str] | None:
    """Return None once this process has the lock, else the URLs of its holder."""
    begun = time.monotonic()
    while True:
        if _locked(file, fcntl.LOCK_EX):
            return None
        holder, running = _signature(file), read(folder / "run.json") or {}
        up = bool(holder) and running.get("pid") == holder.get("pid")
        waited = time.monotonic() - begun
        if join and up and all(map(answers, running["urls"].values())):
            return dict(running["urls"])
        if (up and not join) or waited > (JOIN_SECONDS if join else CHANGE_SECONDS):
            raise ConfigError([_is_held(folder, holder)])
        time.sleep(LOOK_SECONDS)


def _sign(file: int) -> None:
    """Write this process into the lock, for the message that others get."""
    who = {
        "pid": os.getpid(),
        "command": shlex.join(sys.orig_argv),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(who).encode(), 0)


def _signature(file: int) -> dict[str, Any]:
    try:
        who = json.loads(os.pread(file, 65536, 0))
    except ValueError:
        return {}
    return who if isinstance(who, dict) else {}


def _is_held(folder: Path, holder: Mapping[str, Any]) -> str:
    pid = holder.get("pid", "unknown")
    return (
        f"The private database in {folder} is held by process {pid} "
        f"({holder.get('command', 'unknown command')}), running since "
        f"{holder.get('started_at', 'an unknown time')}. Use that server, or stop it "
        f"(kill {pid}), or set config_postgres_url to a database of its own."
    )


def answers(url: str) -> bool:
    """Whether a server listens at the address of a URL."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    try:
        if "host" in query:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(2)
                line.connect(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}")
            return True
        with socket.create_connection((parts.hostname or "", parts.port or 0), 2):
            return True
    except OSError:
        return False
