"""One server program, kept running for as long as this process lives."""

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from signal import SIGKILL, SIGQUIT, Signals

from atom.errors import ConfigError
from embedded.run_as import RunAs

log = logging.getLogger(__name__)

LOG_BYTES_MAX = 10 * 1024 * 1024
READY_SECONDS = 120.0
NOTICE_SECONDS = 5.0
LOOK_SECONDS = 0.005
PAUSE_SECONDS_MAX = 5.0


class Server:
    """Starts a program, starts it again when it dies, ends it with this process.

    The kernel ends the program when the *thread* that started it ends. So every start
    is made by one thread that does not return before `stop`.
    """

    def __init__(
        self,
        name: str,
        program: Sequence[str | Path],
        *,
        run_as: RunAs,
        folder: Path,
        journal: Path,
        stop_signal: Signals,
        clear: Callable[[], object],
        ready: Callable[[int], bool],
    ) -> None:
        self.name = name
        self._program = program
        self._run_as = run_as
        self._folder = folder
        self._journal = journal
        self._stop_signal = stop_signal
        self._clear = clear
        self._ready = ready
        self._started: Future[None] = Future()
        self._stopping = threading.Event()
        self._change = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(
            target=self._keep, name=f"keep-{name}", daemon=True
        )

    @property
    def pid(self) -> int | None:
        """The id of the process that runs now."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the program and wait until it answers.

        Raises:
            ConfigError: when it ends before it answers, with the end of its log.
        """
        shorten(self._journal)
        self._thread.start()
        try:
            self._started.result(NOTICE_SECONDS)
        except TimeoutError:
            log.warning("%s is still starting; see %s", self.name, self._journal)
        else:
            return
        try:
            self._started.result(READY_SECONDS - NOTICE_SECONDS)
        except TimeoutError as error:
            self.stop()
            raise ConfigError([self._failure("did not get ready")]) from error

    def stop(self) -> None:
        """End the program, with its own signal first, and do not start it again."""
        with self._change:
            self._stopping.set()
        if self._thread.ident is None:
            return
        for signal, seconds in ((self._stop_signal, 30), (SIGQUIT, 5), (SIGKILL, 5)):
            process = self._process
            if process is not None:
                process.send_signal(signal)
            self._thread.join(seconds)
            if not self._thread.is_alive():
                return
        log.error("%s (pid %s) does not end", self.name, self.pid)

    def _keep(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            begun = time.monotonic()
            try:
                how = self._run()
            except Exception as error:
                how = str(error)
                log.debug("%s could not be run", self.name, exc_info=True)
                if not self._started.done():
                    self._started.set_exception(error)
                    return
            if self._stopping.is_set():
                return
            if not self._started.done():
                failure = ConfigError([self._failure(how)])
                self._started.set_exception(failure)
                return
            lived = time.monotonic() - begun
            pause = 0.0 if lived > 5 else min(pause * 2 + 0.1, PAUSE_SECONDS_MAX)
            log.error("%s %s; it is started again", self.name, how)

    def _run(self) -> str:
        """Run the program once, to its end. Return how it ended."""
        self._clear()
        with self._change:
            if self._stopping.is_set():
                return "is no longer needed"
            process = self._process = self._spawn()
        while (code := process.poll()) is None:
            if self._ready(process.pid):
                if self._started.done():
                    log.warning("%s answers again", self.name)
                else:
                    self._started.set_result(None)
                code = process.wait()
                break
            time.sleep(LOOK_SECONDS)
        if code < 0:
            return f"was ended by {Signals(-code).name}"
        return f"ended with exit code {code}"

    def _spawn(self) -> subprocess.Popen[bytes]:
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
        with os.fdopen(os.open(self._journal, flags, 0o600), "ab") as journal:
            return subprocess.Popen(
                self._run_as.command(
                    self._program, folder=self._folder, signal=self._stop_signal
                ),
                stdin=subprocess.DEVNULL,
                stdout=journal,
                stderr=journal,
                cwd="/",
                env=environment(Path(self._program[0]).parent),
                start_new_session=True,
            )

    def _failure(self, how: str) -> str:
        return (
            f"The private {self.name} {how}. The end of {self._journal}:\n"
            f"{end_of(self._journal)}"
        )


def environment(programs: Path) -> dict[str, str]:
    """Return the environment of a server: no PG… settings and no secrets.

    Without /proc, programs find the libraries next to them by LD_ORIGIN_PATH. Source:
    glibc, sysdeps/unix/sysv/linux/dl-origin.c.
    """
    kept = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
    made = {"LC_ALL": "C", "LD_ORIGIN_PATH": str(programs)}
    return made | {k: os.environ[k] for k in kept if k in os.environ}


def shorten(journal: Path) -> None:
    """Empty a log that has grown too long."""
    if journal.exists() and journal.stat().st_size > LOG_BYTES_MAX:
        os.truncate(journal, 0)


def end_of(journal: Path) -> str:
    """Return the last lines of a log, for a message."""
    try:
        with journal.open("rb") as file:
            file.seek(max(0, journal.stat().st_size - 1500))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return "(no log)"
