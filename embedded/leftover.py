"""Processes that an earlier run left in a server's folder, and how they are ended.

A process id in a file proves nothing: it may belong to a zombie, or to an unrelated
process that got the number later. The working folder and the program do.
"""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT

from atom.errors import ConfigError

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.02
LEADER_SECONDS = 60.0
ORPHAN_SECONDS = 0.5
KILL_SECONDS = 3.0
UNSEEN_SECONDS = 10.0
PROC = Path("/proc")


def processes_in(folder: Path, program: str) -> list[int]:
    """Return the processes that execute a program with this working folder."""
    found = []
    for entry in PROC.glob("[0-9]*"):
        try:
            home = os.readlink(entry / "cwd")
            name = os.path.basename(os.readlink(entry / "exe"))
        except OSError:
            continue
        if home == str(folder) and name.startswith(program):
            found.append(int(entry.name))
    return found


def end_all(
    folder: Path, program: str, *, leader: Callable[[], int | None] | None
) -> bool:
    """End the processes of an earlier run; False when they cannot be seen (no /proc).

    `leader` returns the process that the others end with: it is asked to end and waited
    for. Processes without a leader are ended one by one.

    Raises:
        ConfigError: when the leader was not started by Atom, or does not end.
    """
    if not (PROC / "self" / "cwd").exists():
        _wait_unseen(leader)
        return False
    begun, asked = time.monotonic(), 0
    while living := processes_in(folder, program):
        waited = time.monotonic() - begun
        first = leader() if leader else None
        if first in living:
            _require_started_by_atom(first, folder)
            if waited > LEADER_SECONDS:
                raise ConfigError(
                    [f"Process {first} of an earlier run does not leave {folder}."]
                )
            if not asked:
                log.warning("waiting for process %s of an earlier run", first)
                asked = first
                _send(first, SIGINT)
        elif waited > KILL_SECONDS:
            for pid in living:
                _send(pid, SIGKILL)
        elif waited > ORPHAN_SECONDS:
            for pid in living:
                _send(pid, SIGQUIT)
        time.sleep(LOOK_SECONDS)
    return True


def _wait_unseen(leader: Callable[[], int | None] | None) -> None:
    """Without /proc, wait for a moment while a process has the id of the leader."""
    begun = time.monotonic()
    while leader and (pid := leader()) and time.monotonic() - begun < UNSEEN_SECONDS:
        try:
            os.kill(pid, 0)
        except OSError:
            return
        time.sleep(LOOK_SECONDS)


def _require_started_by_atom(pid: int, folder: Path) -> None:
    """Refuse to end a process that was started by hand."""
    with suppress(OSError):
        words = (PROC / str(pid) / "cmdline").read_bytes()
        if words and b"cluster_name=atom" not in words:
            raise ConfigError(
                [
                    f"Process {pid}, not started by Atom, serves {folder}. "
                    "Stop it, or set config_postgres_url."
                ]
            )


def _send(pid: int, signal: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal)
