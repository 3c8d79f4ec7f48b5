"""`python main.py` and the words that may follow it: serve, or work on the database.

A further command is one more function that takes the subparsers and sets `run`, with
`allow_abbrev=False`: half an option is no option.
"""

import argparse
import asyncio
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from atom.command import serve
from atom.command.data import add_data
from atom.command.schema import add_schema
from atom.config.resolve import Config
from atom.errors import ApiError, ConfigError
from atom.postgres.pooler import direct_url
from atom.runtime import Runtime

if TYPE_CHECKING:
    from fastapi import FastAPI

# Takes what was asked for, the config and the database's URL; returns the exit code.
Work = Callable[[Namespace, Config, str], int]


def run(words: Sequence[str], app: "FastAPI", runtime: Runtime) -> NoReturn:
    """Serve when nothing is asked for; otherwise do that and exit with its code."""
    if not words:
        serve.run(app, runtime)
    sys.exit(worked(parser().parse_args(words), runtime))


def parser() -> argparse.ArgumentParser:
    """Return what reads the words; it exits with 2 and the usage when it cannot."""
    whole = argparse.ArgumentParser(
        prog="python main.py",
        description="Without a command: serve.",
        allow_abbrev=False,
    )
    commands = whole.add_subparsers(metavar="command", required=True)
    add_schema(commands)
    add_data(commands)
    return whole


def worked(asked: Namespace, runtime: Runtime) -> int:
    """Do what is asked on the configured database, or on the private one."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        with runtime.servers(join=True, workers=1):
            config = runtime.config
            work: Work = asked.run
            url = direct_url(config)
            seconds = config["config_postgres_connect_timeout_sec"]
            asyncio.run(serve.require_direct_connection(url, seconds))
            return work(asked, config, url)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
    except ApiError as error:
        sys.stderr.write(f"{error.message} {error.hint}".strip() + "\n")
    return 1


def _end(number: int, frame: FrameType | None) -> None:
    """Leave in good order, and not as if all were done."""
    raise SystemExit(128 + number)
