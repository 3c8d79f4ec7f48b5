"""A streaming replica of a test's PostgreSQL: paused, killed, started again."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from embedded.run_as import choose
from embedded.server import environment
from tests.database import BIN, postgres, wait_for_port
from tests.served import free_port

PRIMARY = ("wal_level=replica", "max_wal_senders=8", "hot_standby=on")


@dataclass
class Streaming:
    """A replica, which may be killed and started again."""

    url: str
    port: int
    command: Any
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(self.command, env=environment(BIN), **quiet)
        wait_for_port(self.port)

    def stop(self) -> None:
        """Stop it at once."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None


@contextmanager
def streaming(primary: str) -> Iterator[Streaming]:
    """Copy a running server and follow it until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="atom-replica-")).resolve()
    data, port = folder / "data", free_port()
    programs = (BIN / "pg_basebackup", BIN / "postgres")
    way = choose(folder, programs)
    way.own(folder)
    copy = [programs[0], "-D", data, "-d", primary, "-R", "-X", "stream", "-c", "fast"]
    made = subprocess.run(
        way.command(copy, folder=folder, signal=signal.SIGKILL),
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(BIN),
    )
    assert made.returncode == 0, made.stderr
    words = [programs[1], "-D", data, "-p", str(port), "-k", "", "-h", "127.0.0.1"]
    words += ["-c", "fsync=off"]
    command = way.command(words, folder=data, signal=signal.SIGINT)
    parts = urlsplit(primary)
    url = f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
    found = Streaming(url, port, command)
    try:
        found.start()
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def primary() -> Iterator[str]:
    """Run a PostgreSQL that replicas can follow."""
    with postgres(settings=PRIMARY) as url:
        yield url
