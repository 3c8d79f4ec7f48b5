"""Processes an earlier run left in a server's folder, and how they are seen off.

A process id in a file proves nothing: it may belong to a zombie, or to a stranger who
was given the number since. Where a process lives and what it executes does.
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
BOSS_SECONDS = 60.0
ORPHAN_SECONDS = 0.5
KILL_SECONDS = 3.0
PROC = Path("/proc")


def inhabitants(folder: Path, program: str) -> list[int]:
    """Return the processes that execute a program and live in a folder."""
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


def quiet(folder: Path, program: str, *, boss: Callable[[], int | None] | None) -> bool:
    """Wait until no process of an earlier run is left; False: cannot be known here.

    `boss` names the process that the others of the program obey. It is asked to end
    and waited for; those without one are ended.

    Raises:
        ConfigError: when the boss was not started by Atom, or does not end.
    """
    if not (PROC / "self" / "cwd").exists():
        return False
    begun, asked = time.monotonic(), 0
    while living := inhabitants(folder, program):
        waited = time.monotonic() - begun
        chief = boss() if boss else None
        if chief in living:
            _only_ours(chief, folder)
            if waited > BOSS_SECONDS:
                raise ConfigError(
                    [f"Process {chief} of an earlier run does not leave {folder}."]
                )
            if not asked:
                log.warning("waiting for process %s of an earlier run", chief)
                asked = chief
                _send(chief, SIGINT)
        elif waited > KILL_SECONDS:
            for pid in living:
                _send(pid, SIGKILL)
        elif waited > ORPHAN_SECONDS:
            for pid in living:
                _send(pid, SIGQUIT)
        time.sleep(LOOK_SECONDS)
    return True


def _only_ours(pid: int, folder: Path) -> None:
    """Leave alone what somebody started by hand."""
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
