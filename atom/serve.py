"""`python main.py`: check everything first, bring what is missing, serve, exit right."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from fastapi import FastAPI

from atom import embedded
from atom.errors import ConfigError
from atom.settings import Config, flag

log = logging.getLogger(__name__)

STARTED = "atom_started_file"  # variable that names the file workers report in
PR_SET_PDEATHSIG = 1
FAILED = 3


def told_plainly(kind: type[BaseException], error: Any, trace: Any) -> None:
    """Print a ConfigError as the list it is; anything else with its traceback."""
    if issubclass(kind, ConfigError):
        sys.stderr.write(f"{error}\n")
        return
    sys.__excepthook__(kind, error, trace)


@contextmanager
def stopped_by_signals() -> Iterator[dict[str, bool]]:
    """Turn SIGTERM and SIGINT into a clean end, before and after uvicorn serves.

    uvicorn raises the signal again once it has stopped; by then there is nothing left
    to interrupt, and what was brought up here is still to be put away.
    """
    state = {"serving": False}

    def stop(number: int, frame: FrameType | None) -> None:
        if not state["serving"]:
            raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    yield state


def bound(host: str, port: int) -> None:
    """Find out now whether the port is free: workers could only say so too late.

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


async def reachable(url: str, seconds: float) -> None:
    """Connect to the primary database once.

    Raises:
        ConfigError: with the cause, without the password.
    """
    import asyncpg

    try:
        connection = await asyncpg.connect(url, timeout=seconds)
    except (OSError, ValueError, asyncpg.PostgresError, TimeoutError) as error:
        cause = str(error) or type(error).__name__
        raise ConfigError(
            [f"config_postgres_url: the database does not answer: {cause}"]
        ) from None
    await connection.close()


def started() -> None:
    """Report that a worker serves; and end with the parent that started it."""
    if (name := os.environ.get(STARTED)) is None:
        return
    Path(name).write_text("started")
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt(config: Config, found: dict[str, str]) -> None:
    """Take over what the embedded servers are called; their schema is ours to apply."""
    if found.get("config_postgres_url"):
        found |= {"config_is_postgres_init": "1", "config_is_embedded": "1"}
    config.update(found)
    config["config_is_postgres_init"] = flag(config["config_is_postgres_init"])


def run(app: FastAPI, config: Config, root: Path) -> None:
    """Serve until told to stop. Exit 0 when asked to, non-zero when it never served."""
    workers = config["config_workers"]
    with stopped_by_signals() as state:
        try:
            bound(config["config_host"], config["config_port"])
            with embedded.provided(config, root, join=False, workers=workers) as found:
                adopt(config, found)
                url = config["config_postgres_url"]
                seconds = config["config_postgres_connect_timeout_sec"]
                asyncio.run(reachable(url, seconds))
                state["serving"] = True
                served = _serve(app, config, workers, found)
        except ConfigError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)
    sys.exit(0 if served else FAILED)


def _serve(app: FastAPI, config: Config, workers: int, found: dict[str, str]) -> bool:
    """Run uvicorn; tell whether any worker has served."""
    import uvicorn

    with tempfile.TemporaryDirectory(prefix="atom") as folder:
        report = Path(folder) / "started"
        if workers > 1:
            os.environ[STARTED] = str(report)
            os.environ.update(found)
        try:
            uvicorn.run(
                "main:app" if workers > 1 else app,
                host=config["config_host"],
                port=config["config_port"],
                workers=workers,
                loop="uvloop",
                http="httptools",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=config["config_graceful_timeout_sec"],
            )
        except SystemExit as error:
            return not error.code
        return workers == 1 or report.exists()
