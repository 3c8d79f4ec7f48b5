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
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from fastapi import FastAPI

from atom import embedded, serve
from atom.client.pooler import direct_url
from atom.client.postgres import open_pool
from atom.command_data import FEW, add_data
from atom.errors import ApiError, ConfigError
from atom.feature import schema
from atom.feature.account_root import RootLogin, ensure_root
from atom.feature.operator import ROOT_API_IDS
from atom.feature.schema import Declaration, Plan
from atom.settings import Config
from atom.sql.plan_text import script, shown
from atom.sql.run import Database

# Takes what was asked for, the config and the database's URL; returns the exit code.
Work = Callable[[Namespace, Config, str], int]


def run(words: Sequence[str], app: FastAPI, config: Config, root: Path) -> NoReturn:
    """Serve when nothing is asked for; otherwise do that and exit with its code."""
    if not words:
        serve.run(app, config, root)
    sys.exit(worked(parser().parse_args(words), config, root))


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


def worked(asked: Namespace, config: Config, root: Path) -> int:
    """Do what is asked on the configured database, or on the private one."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        with embedded.provided(config, root, join=True, workers=1) as found:
            config.update(found)
            work: Work = asked.run
            url = direct_url(config)
            seconds = config["config_postgres_connect_timeout_sec"]
            asyncio.run(serve.lasting(url, seconds))
            return work(asked, config, url)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
    except ApiError as error:
        sys.stderr.write(f"{error.message} {error.hint}".strip() + "\n")
    return 1


def _end(number: int, frame: FrameType | None) -> None:
    """Leave in good order, and not as if all were done."""
    raise SystemExit(128 + number)


def add_schema(commands: Any) -> None:
    """Add `schema plan` and `schema apply`."""
    group = commands.add_parser("schema", help="compare and change the tables")
    acts = group.add_subparsers(metavar="act", required=True)
    plan = acts.add_parser(
        "plan", help="say what apply would do; change nothing", allow_abbrev=False
    )
    plan.add_argument(
        "--check", action="store_true", help="exit with 1 when anything differs"
    )
    plan.add_argument("--sql", action="store_true", help="only the SQL, to be read")
    plan.set_defaults(run=_plan)
    apply = acts.add_parser(
        "apply", help="bring the tables to what is declared", allow_abbrev=False
    )
    apply.set_defaults(run=_apply)
    for act in (plan, apply):
        act.add_argument(
            "--destructive",
            action="store_true",
            help="drop columns that are not declared, change datatypes",
        )


def _plan(asked: Namespace, config: Config, url: str) -> int:
    declared = Declaration.parse(config["config_postgres_schema"])
    found = asyncio.run(schema.plan(url, declared, destructive=asked.destructive))
    sys.stdout.write(script(found) if asked.sql else shown(found))
    return int(asked.check and differs(found))


def differs(plan: Plan) -> bool:
    """Say whether the database is otherwise than declared."""
    return bool(plan.steps or plan.drift or plan.refusals)


def _apply(asked: Namespace, config: Config, url: str) -> int:
    declared = Declaration.parse(config["config_postgres_schema"])
    done, login = asyncio.run(_applied(config, url, declared, asked.destructive))
    sys.stdout.write(shown(done))
    if login is not None:
        password = "as set in config_root_password"
        if not config["config_root_password"]:
            password = f"{login.password}   (told this once)"
        sys.stdout.write(f"Root user {login.username}, password {password}\n")
    return 0


async def _applied(
    config: Config, url: str, declared: Declaration, destructive: bool
) -> tuple[Plan, RootLogin | None]:
    """Apply, and make the root user once, as /root/postgres-init does."""
    await serve.reachable(url, config["config_postgres_connect_timeout_sec"])
    pool = await open_pool(url, {**config, **FEW})
    try:
        database = Database(pool)
        done = await schema.apply(database, declared, destructive=destructive)
        login = None
        if "users" in declared.tables:
            login = await ensure_root(database, config, ROOT_API_IDS)
    finally:
        await pool.close()
    return done, login
