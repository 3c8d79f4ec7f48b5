"""One program on loopback: started, killed, started again on the same port and data."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.served import is_open

START_SECONDS = 180.0
STOP_SECONDS = 20.0


class AbsentError(Exception):
    """The machine cannot have a service; the text is why."""


def listens(server: "Server") -> bool:
    """Whether a server accepts connections."""
    return is_open("127.0.0.1", server.port)


@dataclass
class Server:
    """A service: `url` is where it answers, `what` its name and version.

    Without a command it is one that runs already, and is left alone.
    """

    what: str
    url: str
    command: Sequence[object]
    folder: Path
    port: int
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    ready: Callable[["Server"], bool] = listens
    state: str = "real"  # or "stood in"
    why: str = ""  # nothing better is there
    process: subprocess.Popen[bytes] | None = None
    guard: subprocess.Popen[bytes] | None = None  # kills what outlives this process

    @property
    def log(self) -> Path:
        """What the program prints."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start it, on the data that it left; return when it answers.

        Raises:
            RuntimeError: when it ended or was not ready in time; with its last words.
        """
        if not self.command:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [str(word) for word in self.command],
                cwd=self.folder,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own: killed with its children
            )
        words = ["sh", "-c", 'read _; kill -9 -"$0"', str(self.process.pid)]
        self.guard = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,  # closed when this process ends, however it does
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + START_SECONDS
        while not self.ready(self):
            if self.process.poll() is not None or time.monotonic() > until:
                self.kill()
                last = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.what} did not start:\n{last}")
            time.sleep(0.05)

    def signal(self, sign: int) -> bool:
        """Send a signal to the program and its children; return whether there are any.

        SIGSTOP freezes a server, SIGCONT thaws it.
        """
        if self.process is None:
            return False
        try:
            os.killpg(self.process.pid, sign)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """End it as a power failure does; return when all of it has ended."""
        until = time.monotonic() + STOP_SECONDS
        while self.signal(signal.SIGKILL):
            self.process.poll()  # it counts as alive until it is asked for its end
            if time.monotonic() > until:
                raise RuntimeError(f"{self.what} cannot be killed")
            time.sleep(0.01)
        if self.guard is not None:
            self.guard.communicate()
            self.guard = None

    def stop(self) -> None:
        """Ask it to end; kill what is left of it."""
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"{self.what} did not stop in time\n")
        self.kill()
