"""`python main.py`: check everything, start what is missing, serve, exit correctly."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import current_process, parent_process
from threading import current_thread, main_thread
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from uvicorn import Config as Settings
from uvicorn import Server
from uvicorn.supervisors.multiprocess import Multiprocess

from atom.config.view import view
from atom.errors import ConfigError
from atom.observe import metrics
from atom.observe.log import remark
from atom.postgres import pooler
from atom.postgres.replica import shared_writers
from atom.runtime import Runtime, require_database

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
WORKER_SECONDS = 60  # a worker without an answer for so long is replaced
CANCELLED_AGAIN = 0.5  # seconds
FAILED = 3  # uvicorn's own: a worker that ends with it is not started again
WORKER = "__mp_main__"  # what a spawned worker calls the main.py it was started with


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """What config sets for a server process."""

    host: str
    port: int
    workers: int
    is_prometheus: bool
    graceful_timeout_sec: int
    startup_wait_sec: float
    postgres_connect_timeout_sec: float
    postgres_url_direct: str | None
    postgres_url_read: str | None


def print_config_error(kind: type[BaseException], error: Any, trace: Any) -> None:
    """Print a ConfigError as a list of problems, anything else with its traceback."""
    if issubclass(kind, ConfigError):
        sys.stderr.write(f"{error}\n")
        return
    sys.__excepthook__(kind, error, trace)


def refuse(problems: Sequence[str], remarks: Sequence[str]) -> None:
    """Raise when there are problems; a worker exits with the code its parent knows.

    Raises:
        ConfigError: with all of them.
    """
    if not problems:
        return
    remark(remarks)  # one of them may name the cause
    if parent_process() is None:
        raise ConfigError(problems)
    sys.stderr.write(f"{ConfigError(problems)}\n")
    raise SystemExit(FAILED)


class Shutdown:
    """Turns the first SIGTERM or SIGINT into an exit with code 0.

    uvicorn handles them while it serves and raises them again once it has stopped. The
    later ones are ignored, so that they do not interrupt the shutdown.
    """

    def __init__(self) -> None:
        self._requested = False
        self._task: asyncio.Task[None] | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._requested:
            return
        self._requested = True
        if self._task is None:
            raise SystemExit(0)
        self._task.get_loop().call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        """Cancel the work until it ends: `wait_for` of Python 3.11 may lose one."""
        if self._task is not None:
            self._task.cancel()
            self._task.get_loop().call_later(CANCELLED_AGAIN, self._cancel)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine before serving; a signal cancels it."""

        async def cancellable() -> None:
            self._task = asyncio.current_task()
            try:
                await work
            finally:
                self._task = None

        try:
            asyncio.run(cancellable())
        except asyncio.CancelledError:
            raise SystemExit(0) from None
        if self._requested:  # the work was done before the cancellation reached it
            raise SystemExit(0)


@contextmanager
def at_stop(*calls: Callable[[], None]) -> Iterator[None]:
    """Call functions as soon as the server is asked to stop, until the block ends.

    uvicorn then waits for requests, and a stream is one that does not end by itself.
    """
    loop = asyncio.get_running_loop()
    before: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        for call in calls:
            loop.call_soon_threadsafe(call)
        before[number](number, frame)

    if current_thread() is main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler):
                before[number] = handler
                signal.signal(number, stop)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def require_free_port(host: str, port: int) -> None:
    """Raise now when the port is taken: workers would find out too late.

    Raises:
        ConfigError: naming the port and the key to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                [
                    f"config_port: {host}:{port} cannot be served on "
                    f"({error.strerror}). Stop what holds it, or set config_port."
                ]
            ) from None


async def require_direct_connection(url: str, seconds: float) -> None:
    """Connect, and check that a session lasts as long as its connection.

    Raises:
        ConfigError: when it does not answer, or a transaction pooler is in between.
    """
    import asyncpg

    await require_database(url, seconds)
    connect = partial(asyncpg.connect, url, timeout=seconds, statement_cache_size=0)
    if not await pooler.keeps_sessions(connect):
        raise ConfigError([pooler.SHARED])


def end_with_parent() -> None:
    """Make the kernel send SIGTERM to this worker when its parent ends.

    Source: prctl(2), PR_SET_PDEATHSIG. The parent may have ended before the call.
    """
    parent = parent_process()
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent.pid:
        os.kill(os.getpid(), signal.SIGTERM)


def is_primary(name: str) -> bool:
    """Whether this process, with this name of its main.py, prints the welcome.

    Our parent prints it before its workers start; under other parents the first worker
    does.
    """
    first = current_process().name in {"MainProcess", "SpawnProcess-1"}
    return first and name != WORKER


def run(app: "FastAPI", runtime: Runtime) -> NoReturn:
    """Serve until stopped. Exit 0 when asked to stop, non-zero if it never served."""
    given = view(ServeConfig, runtime.config)
    workers = given.workers
    shutdown = Shutdown()
    try:
        require_free_port(given.host, given.port)
        several = workers > 1
        counted = metrics.shared_folder(wanted=given.is_prometheus and several)
        noted = shared_writers(wanted=bool(given.postgres_url_read) and several)
        with counted, noted, runtime.servers(join=False, workers=workers) as found:
            url = runtime.config["config_postgres_url"]
            seconds = given.postgres_connect_timeout_sec
            wait = given.startup_wait_sec
            shutdown.run(require_database(url, seconds, wait=wait))
            if direct := given.postgres_url_direct:
                key = "config_postgres_url_direct"
                shutdown.run(require_database(direct, seconds, key, wait=wait))
            if workers > 1:
                shutdown.run(preflight(app))
                os.environ.update(found | {"config_is_postgres_init": "0"})
            code = serve_workers(given) if workers > 1 else serve_one(app, given)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    sys.exit(code)


def serve_one(app: "FastAPI", given: ServeConfig) -> int:
    """Serve in this process. Return the exit code."""
    server = Server(_settings(app, given))
    try:
        server.run()
    except SystemExit as error:
        return int(error.code or 0)
    return 0 if server.started else FAILED


async def preflight(app: "FastAPI") -> None:
    """Start and stop once: one report of a problem, one process that makes tables.

    Raises:
        ConfigError: as a worker would.
    """
    async with app.router.lifespan_context(app):
        pass


class Workers(Multiprocess):
    """uvicorn's supervisor, which replaces a worker as soon as it has ended."""

    def keep_subprocess_alive(self) -> None:
        """Ping the workers, without a hand on their end of the pipe.

        While the parent holds that end open, a worker killed before it has answered
        is waited for, and not replaced, as long as one that does not answer.
        """
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()


def serve_workers(given: ServeConfig) -> int:
    """Run the workers. Return the exit code: not 0 when one could not start."""
    settings = _settings(f"{WORKER}:app", given)
    workers = Workers(settings, [settings.bind_socket()])
    workers.run()
    failed = any(process.exitcode == FAILED for process in workers.processes)
    return FAILED if failed else 0


def _settings(app: "FastAPI | str", given: ServeConfig) -> Settings:
    return Settings(
        app,
        host=given.host,
        port=given.port,
        workers=given.workers,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_worker_healthcheck=WORKER_SECONDS,
        timeout_graceful_shutdown=given.graceful_timeout_sec,
    )
