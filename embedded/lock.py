"""Who holds the private servers of a project, and how others find them.

The holder keeps a lock on `.atom/lock` which the kernel frees however the holder ends.
`.atom/run.json` says where the servers are while they are up.
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
    """What came of asking for the servers: they are ours, or another's to be used."""

    folder: Path
    ours: bool
    urls: Mapping[str, str]

    def publish(self, urls: Mapping[str, str]) -> None:
        """Tell the others where the servers are."""
        write(self.folder / "run.json", {"pid": os.getpid(), "urls": dict(urls)})

    def withdraw(self) -> None:
        """Say that they are no longer there."""
        (self.folder / "run.json").unlink(missing_ok=True)

    def wait_for_others(self) -> None:
        """Let those who use the servers finish; they were told to end as we were."""
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
    """Become the holder, or with `join` use what another process holds.

    A holder that is just starting or stopping is waited for.

    Raises:
        ConfigError: when another process holds them and `join` is not wanted, or when
            its servers do not get ready.
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
    """Let the holder see that its servers are in use."""
    file = _open(folder / "joined")
    try:
        _locked(file, fcntl.LOCK_SH)
        yield
    finally:
        os.close(file)


def _locked(file: int, how: int) -> bool:
    """Take a lock if nobody is in the way."""
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
    """Return None once the lock is ours, or the URLs of the one who has it."""
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
            raise ConfigError([_told(folder, holder)])
        time.sleep(LOOK_SECONDS)


def _sign(file: int) -> None:
    """Write who we are into the lock, for the message others get."""
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


def _told(folder: Path, holder: Mapping[str, Any]) -> str:
    pid = holder.get("pid", "unknown")
    return (
        f"The private database in {folder} is held by process {pid} "
        f"({holder.get('command', 'unknown command')}), running since "
        f"{holder.get('started_at', 'an unknown time')}. Use that server, or stop it "
        f"(kill {pid}), or set config_postgres_url to a database of its own."
    )


def answers(url: str) -> bool:
    """Tell whether somebody listens where a URL points to."""
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
