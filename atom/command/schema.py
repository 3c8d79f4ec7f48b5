"""`python main.py schema plan` and `schema apply`: the tables, compared and changed."""

import asyncio
import sys
from argparse import Namespace
from typing import Any

from atom.account.root import RootLogin, ensure_root
from atom.command import welcome
from atom.config.resolve import Config
from atom.operation import ROOT_API_IDS
from atom.runtime import command_database
from atom.schema import apply as schema
from atom.schema.apply import Declaration, Plan
from atom.schema.plan_text import script, shown


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
        welcome.print_login(config, login)
    return 0


async def _applied(
    config: Config, url: str, declared: Declaration, destructive: bool
) -> tuple[Plan, RootLogin | None]:
    """Apply, and create the root user once, as /root/postgres-init does."""
    async with command_database(config, url) as database:
        done = await schema.apply(database, declared, destructive=destructive)
        login = None
        if "users" in declared.tables:
            login = await ensure_root(database, config, ROOT_API_IDS)
    return done, login
