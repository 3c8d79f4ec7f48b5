"""`python main.py event list`, `dead` and `replay`: the outbox."""

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import typer

from atom.config.resolve import Config
from atom.event import outbox
from atom.postgres.database import Database
from atom.reply import dump
from atom.runtime import command_database

EVENT = typer.Typer(help="Events that wait, are delivered, or are dead.")
STATES = ("pending", "done", "dead")
NOTHING = "No events.\n"
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Most lines.")]
OfType = Annotated[str | None, typer.Option("--type", help="Only this type.")]


def state_word(value: str | None) -> str | None:
    """Check the state that is asked for.

    Raises:
        BadParameter: when there is no such state.
    """
    if value is not None and value not in STATES:
        raise typer.BadParameter(f"Use {', '.join(STATES)}.")
    return value


@EVENT.command("list")
def list_command(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option(callback=state_word, help="pending, done or dead.")
    ] = None,
    event_type: OfType = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List events, the newest first: a line for each target of an event."""

    async def found(database: Database) -> list[dict[str, Any]]:
        return await outbox.listed(
            database, state=state, event_type=event_type, limit=limit
        )

    print_rows(asked(context, found), as_json)


@EVENT.command("dead")
def dead_command(
    context: typer.Context,
    event_type: OfType = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List events that were given up, with the reason."""
    list_command(context, "dead", event_type, limit, as_json)


@EVENT.command("state")
def state_command(context: typer.Context, as_json: Json = False) -> None:
    """Count by target what waits and what is dead; the age of the oldest in seconds."""
    found = asked(context, outbox.state)
    print_rows(({"target": name, **counts} for name, counts in found.items()), as_json)


@EVENT.command("replay")
def replay_command(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of events.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead events.")] = False,
    target: Annotated[
        str | None, typer.Option(help="Only for this target, such as webhook:crm.")
    ] = None,
) -> None:
    """Deliver dead events again, with the same ids. Exits with 1 if there are none."""
    if bool(ids) == everything:
        raise typer.BadParameter("Name the ids of events, or --all.")
    try:
        chosen = [str(UUID(each)) for each in ids or ()]
    except ValueError as error:
        raise typer.BadParameter(f"Not an id of an event: {error}.") from None

    async def replay(database: Database) -> int:
        return await outbox.replay(database, None if everything else chosen, target)

    count = asked(context, replay)
    sys.stdout.write(f"{count} to be delivered again.\n")
    if not count:
        raise typer.Exit(1)


def asked(context: typer.Context, work: Any) -> Any:
    """Return what a coroutine function makes of the database of the project."""

    async def run(config: Config, url: str) -> Any:
        async with command_database(config, url) as database:
            return await work(database)

    with context.obj.database() as (config, url):
        return asyncio.run(run(config, url))
    raise AssertionError("unreachable")


def print_rows(
    found: Iterable[Mapping[str, Any]], as_json: bool, *, nothing: str = NOTHING
) -> None:
    """Write rows as a table, or as one JSON object a line."""
    rows = list(found)
    if as_json:
        for row in rows:
            sys.stdout.write(dump(row).decode() + "\n")
        return
    sys.stdout.write(_table(rows) if rows else nothing)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows below one another; what is empty in all of them is left out."""
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(names))]
    return "".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        + "\n"
        for line in cells
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = value.isoformat(timespec="seconds") if hasattr(value, "isoformat") else value
    return str(text).replace("\n", " ")
