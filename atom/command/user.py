"""`python main.py user clash`: names that several users have in normal form."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from atom.account.upgrade import Clash, find_clashes
from atom.config.resolve import Config
from atom.runtime import command_database

USER = typer.Typer(help="Users.")


@USER.callback()
def _group() -> None:
    """Users."""


@USER.command("clash")
def clash_command(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line.")
    ] = False,
) -> None:
    """List users of one type with the same name, e-mail or mobile in normal form.

    An older version let `Ada` and `ada` be two users. Rename all but one of each, with
    /admin/object-update; the next start stores the normal form of the one that is left.
    """
    with context.obj.database() as (config, url):
        for clash in asyncio.run(_found(config, url)):
            line = json.dumps(asdict(clash)) if as_json else str(clash)
            sys.stdout.write(f"{line}\n")


async def _found(config: Config, url: str) -> list[Clash]:
    async with command_database(config, url) as database:
        table = database.catalog.tables.get("users")
        if table is None:
            return []
        async with database.connection() as connection:
            return await find_clashes(connection, table)
