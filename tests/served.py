"""Starts `python main.py` of this checkout with keys and data of its own, and stops it.

Nothing here needs more than Python: the smoke test and the bench use it as well.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from atom.config.keys import KEYS
from atom.config.part import POSTGRES, REDIS

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_SECONDS = 60.0
STOP_SECONDS = 30.0
# A hash of a password as cheap as config allows: of what is not measured in tests.
CHEAP = {"config_password_memory_kib": "1024", "config_password_rounds": "1"}
OWN_DATA = {"config_postgres_url", "config_atom_folder"}


@dataclass(frozen=True)
class Served:
    """A running server, and what one needs to talk to it as its operator."""

    url: str
    config: Mapping[str, str]  # what it was started with, secrets included
    process: subprocess.Popen[bytes]
    log: Path
    seconds_to_first_answer: float


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on.

    A connection to it has just been closed: for a minute the system gives the port to
    nobody who does not name it, so another test cannot get it before it is used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        probe.listen(1)
        with socket.create_connection(probe.getsockname()):
            probe.accept()[0].close()  # who closes first waits (RFC 9293 3.6.1)
        return int(probe.getsockname()[1])


def is_open(host: str, port: int) -> bool:
    """Say whether anything at all listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def environment(values: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which only these values configure the server.

    Every key that is unset by default (services, secrets) is emptied, so that neither
    the caller's shell nor a `.env` lends the server a real database.
    """
    others = {"PORT", *POSTGRES.names, *REDIS.names}
    others |= {name for key in KEYS for name in key.also}
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith("config_") and name not in others
    }
    unset = {key.name: "" for key in KEYS if key.default is None}
    return {**kept, **unset, "config_env": "development", **values}


def answers(url: str, seconds: float = 2.0) -> bool:
    """Say whether GET answers 200 there."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait for the first 200.

    Raises:
        RuntimeError: when the server ended or stayed silent; with the end of its log.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not answers(url):
        if (code := process.poll()) is not None or time.monotonic() > deadline:
            said = f"ended with {code}" if code is not None else "did not answer"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            raise RuntimeError(f"the server {said}:\n{tail}")
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes], sign: int = signal.SIGTERM) -> int:
    """Ask a server to stop, by its own id. Return its exit code.

    Raises:
        RuntimeError: when it had to be killed.
    """
    if process.poll() is None:
        process.send_signal(sign)
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise RuntimeError(f"the server did not stop in {STOP_SECONDS} s") from None


@contextmanager
def serve(
    values: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    port: int | None = None,
    code: Path = ROOT,
    command: tuple[str, ...] = (sys.executable, "main.py"),
    first: bool = False,
) -> Iterator[Served]:
    """Serve this checkout until the block ends, by default on a fresh database.

    `folder` keeps the data beyond the block; without it everything is thrown away.
    `code` is where the command is run, for a copy of the checkout. In a run of tests
    the fresh database is a copy of an empty one, and passwords are hashed cheaply;
    with `first` everything is as a newcomer has it.
    """
    from tests.template import embed, is_run

    is_copy = is_run() and not first
    own = Path(tempfile.mkdtemp(prefix="atom-"))
    port = port or free_port()
    keys = {
        "config_key_root": secrets.token_hex(16),
        "config_key_jwt": secrets.token_hex(32),
        "config_root_username": "root",
        "config_root_password": secrets.token_hex(12),
        "config_host": "127.0.0.1",
        "config_port": str(port),
        "config_atom_folder": str(folder or own / "atom"),
        **(CHEAP if is_copy else {}),
        **(values or {}),
    }
    if is_copy and not (folder or OWN_DATA & {*(values or {})}):
        embed(own / "atom")
    log = own / "server.log"
    url = f"http://127.0.0.1:{port}"
    started = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=code,
            env=environment(keys),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait(process, f"{url}/", log)
        yield Served(
            url=url,
            config=keys,
            process=process,
            log=log,
            seconds_to_first_answer=time.monotonic() - started,
        )
    finally:
        try:
            stop(process)
        finally:
            shutil.rmtree(own, ignore_errors=True)
