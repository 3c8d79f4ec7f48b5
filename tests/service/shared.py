"""One server a test run, shared by its processes, and gone when the last one is.

The first process that asks starts a keeper, which starts the server and waits for a
lock that every user of the server holds. The system releases a lock when its holder
ends, however it ends, so no server outlives a run.
"""

import fcntl
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.served import ROOT
from tests.service.server import AbsentError, Server

RUN = "ATOM_TESTS_RUN"  # the folder of the run, for all of its processes


@dataclass(frozen=True)
class Note:
    """How a run had a service: "real", "stood in" or "absent"; and why not real."""

    name: str
    state: str
    what: str
    why: str = ""
    url: str = ""


_held: dict[str, tuple[Note, int]] = {}  # with the file whose lock is held


def begin() -> Path | None:
    """Make the folder of a run, unless this process is part of one."""
    if RUN in os.environ:
        return None
    folder = Path(tempfile.mkdtemp(prefix="atom-tests-"))
    folder.chmod(0o711)  # root's PostgreSQL is another user, who passes through
    os.environ[RUN] = str(folder)
    return folder


def end(folder: Path) -> None:
    """Wait until the servers of a run are gone, and remove its folder."""
    while _held:
        os.close(_held.popitem()[1][1])
    for kept in folder.glob("*/kept"):
        with alone(kept):
            pass  # its keeper has ended
    shutil.rmtree(folder, ignore_errors=True)
    del os.environ[RUN]


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Admit one process at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def opened(name: str, folder: Path) -> Iterator[Server]:
    """Run a server until the end of the block.

    Raises:
        AbsentError: when this machine cannot have it.
    """
    module = importlib.import_module(f"tests.service.{name}")
    with ExitStack() as stack:
        try:
            server = stack.enter_context(getattr(module, name)(folder))
        except AbsentError as error:
            record(Note(name, "absent", "", str(error)))
            raise
        server.start()
        stack.callback(server.kill)  # its data goes with it
        record(Note(name, server.state, server.what, server.why))
        yield server


def home(name: str) -> Path:
    """Return the folder of the run's server of a name."""
    return Path(os.environ[RUN], name)


def shared(name: str) -> Note:
    """Return the run's server of a name; start it if this is the first to ask."""
    if name in _held:
        return _held[name][0]
    place = home(name)
    place.mkdir(exist_ok=True)
    found = place / "note"
    with alone(place / "lock"):
        users = os.open(place / "users", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(users, fcntl.LOCK_SH)
        if not found.exists():
            words = [sys.executable, "-m", "tests.service", name, str(place)]
            subprocess.run(words, cwd=ROOT, start_new_session=True)
        if not found.exists():
            raise RuntimeError(f"{name} did not start: see the lines above")
    note = Note(**json.loads(found.read_text()))
    _held[name] = note, users
    return note


def keep(name: str, home: Path) -> None:
    """Leave a process that keeps a server; return once that has written its note."""
    ready, written = os.pipe()
    if os.fork():
        os.close(written)
        os.read(ready, 1)  # or nothing, when it has ended
        return
    os.close(ready)
    try:
        with (
            alone(home / "kept"),
            (home / "users").open("w") as users,
            opened(name, home / "server") as server,
        ):
            note = Note(name, server.state, server.what, server.why, server.url)
            write(home, note)
            os.close(written)
            fcntl.flock(users, fcntl.LOCK_EX)
            (home / "note").unlink()  # who comes now starts another
    except AbsentError as error:
        write(home, Note(name, "absent", "", str(error)))


def write(home: Path, note: Note) -> None:
    """Write the note of a server that is ready, or absent."""
    made = home / "note.new"
    made.write_text(json.dumps(asdict(note)))
    made.rename(home / "note")


def record(note: Note) -> None:
    """Keep for the end of the run how it had a service."""
    if RUN not in os.environ:
        return  # a bench has no run
    notes = Path(os.environ[RUN], "notes")
    notes.mkdir(exist_ok=True)
    (notes / note.name).write_text(json.dumps(asdict(note)))


def notes(folder: Path) -> list[Note]:
    """Return how a run had each of its services, by name."""
    files = sorted((folder / "notes").glob("*"))
    return [Note(**json.loads(file.read_text())) for file in files]
