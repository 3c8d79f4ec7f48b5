"""`python main.py schema plan` and `schema apply`: the tables, compared and changed."""

import asyncio
import sys
from dataclasses import replace
from typing import Annotated

import typer

from atom.account.claim import triggers as claim_triggers
from atom.account.config import AccountConfig
from atom.account.root import RootLogin, ensure_root
from atom.account.upgrade import upgrade_users
from atom.command import welcome
from atom.command.rls import rls_command
from atom.config.resolve import Config
from atom.config.view import view
from atom.event.declaration import declared
from atom.event.row_event import triggers
from atom.file import triggers as file_triggers
from atom.operation import admin_api_ids
from atom.postgres import catalog
from atom.realtime.config import triggers as stream_triggers
from atom.row.audit import triggers as audit_triggers
from atom.row.rule import Policy
from atom.row.rule_check import without_index
from atom.runtime import command_database
from atom.schema import apply as schema
from atom.schema.apply import Declaration, Plan
from atom.schema.index import index_name
from atom.schema.plan import script, shown

SCHEMA = typer.Typer(help="Compare and change the tables.")
SCHEMA.command("rls")(rls_command)
Destructive = Annotated[
    bool,
    typer.Option(
        "--destructive", help="Drop columns that are not declared, change datatypes."
    ),
]


@SCHEMA.command("plan")
def plan_command(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 when anything differs.")
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print only the SQL.")] = False,
    destructive: Destructive = False,
) -> None:
    """Show what apply would do; change nothing."""
    with context.obj.database() as (config, url):
        wanted = _wanted(config)
        found = asyncio.run(_planned(config, url, wanted, destructive))
        sys.stdout.write(script(found) if sql else shown(found))
    raise typer.Exit(int(check and differs(found)))


async def _planned(
    config: Config, url: str, wanted: Declaration, destructive: bool
) -> Plan:
    """Plan, and note the columns that rules ask for without an index."""
    found = await schema.plan(url, wanted, destructive=destructive)
    async with command_database(config, url) as database:
        slow = without_index(Policy(config), database.catalog)
    made = {step.name for step in found.steps if step.kind == "index"}
    notes = (
        f"config_table asks each row for {column}, which has no index."
        for column in slow
        if _btree(column) not in made
    )
    return replace(found, notes=(*found.notes, *notes))


def _btree(column: str) -> str:
    """Return the name of an index on `table.column`."""
    table, _, name = column.partition(".")
    return index_name(table, name, "btree")


def _wanted(config: Config) -> Declaration:
    """Return what config declares, with the triggers of row events."""
    found = Declaration.parse(config["config_postgres_schema"])
    events = triggers(declared(config, []))
    more = (
        *stream_triggers(config),
        *claim_triggers(config),
        *audit_triggers(config),
        *file_triggers(config),
    )
    return replace(found, row_triggers=(*events, *more))


def differs(plan: Plan) -> bool:
    """Whether the database differs from the declaration."""
    return bool(plan.steps or plan.drift or plan.refusals)


@SCHEMA.command("apply")
def apply_command(context: typer.Context, destructive: Destructive = False) -> None:
    """Change the tables to what is declared."""
    with context.obj.database() as (config, url):
        wanted = _wanted(config)
        done, login = asyncio.run(_applied(config, url, wanted, destructive))
        sys.stdout.write(shown(done))
        if login is not None:
            welcome.print_login(config, login)


async def _applied(
    config: Config, url: str, wanted: Declaration, destructive: bool
) -> tuple[Plan, RootLogin | None]:
    """Apply, and create the root user once, as /root/postgres-init does."""
    async with command_database(config, url) as database:
        done = await schema.apply(database, wanted, destructive=destructive)
        login, account = None, view(AccountConfig, config)
        if "users" in wanted.tables:
            api_ids = admin_api_ids(config)
            login = await ensure_root(database, account, api_ids.values())
            database.catalog = await catalog.read(database)
            await upgrade_users(database, api_ids)
    return done, login
