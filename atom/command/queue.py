"""`python main.py queue`: the channels of the brokers, and their dead letters."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from atom.errors import ApiError, ConfigError
from atom.queue.all import NAMES
from atom.queue.broker import Broker, DeadLetter
from atom.runtime import Runtime

QUEUE = typer.Typer(help="Messages, and those that were given up.")
BODY_MAX = 200  # characters of a body that a person is shown

Name = Annotated[str, typer.Argument(help=f"One of {', '.join(NAMES)}.")]
Channel = Annotated[
    str | None, typer.Option("--channel", help="Unset: the one of config_channel.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@QUEUE.callback()
def _group() -> None:
    """Messages, and those that were given up."""


@QUEUE.command("setup")
def setup_command(
    context: typer.Context, broker: Name, channel: Channel = None
) -> None:
    """Create what a channel needs; do nothing where it is there."""
    created = _ask(context, broker, channel, lambda b, c: b.setup(c))
    for each in created:
        sys.stdout.write(f"created {each}\n")
    if not created:
        sys.stdout.write("nothing to create\n")


@QUEUE.command("list")
def list_command(
    context: typer.Context, channel: Channel = None, as_json: AsJson = False
) -> None:
    """Count the messages of a channel, at every broker that is configured."""

    async def states(runtime: Runtime) -> list[dict[str, Any]]:
        found = []
        for name in NAMES:
            try:
                broker = runtime.ports.brokers.get(name)
                state = await broker.state(_channel(runtime, channel))
            except ApiError as error:
                if error.code == "client.silent":
                    found.append({"broker": name, "error": error.message})
                continue
            found.append({"broker": name, **asdict(state)})
        return found

    for each in _run(context, states):
        if as_json:
            sys.stdout.write(json.dumps(each) + "\n")
            continue
        words = (f"{name} {_shown(value)}" for name, value in each.items())
        sys.stdout.write("  ".join(words) + "\n")


@QUEUE.command("dead")
def dead_command(
    context: typer.Context,
    broker: Name,
    channel: Channel = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the oldest first: why each was given up, and its body."""
    for each in _ask(context, broker, channel, lambda b, c: b.dead(c, limit)):
        sys.stdout.write(_line(each, as_json=as_json) + "\n")


@QUEUE.command("replay")
def replay_command(
    context: typer.Context,
    broker: Name,
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids that `dead` lists.")
    ] = None,
    channel: Channel = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
) -> None:
    """Send dead letters to their channel again; they keep their ids."""
    if bool(ids) is every:
        raise typer.BadParameter("name the ids, or write --all")
    count = _ask(context, broker, channel, lambda b, c: b.replay(c, ids or None))
    sys.stdout.write(f"{count} sent again\n")


@QUEUE.command("purge")
def purge_command(
    context: typer.Context,
    broker: Name,
    channel: Channel = None,
    dead: Annotated[
        bool, typer.Option("--dead", help="The dead letters, not those that wait.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Delete the messages that wait, or the dead letters."""
    if not yes:
        what = "all dead letters" if dead else "every message that waits"
        if not sys.stdin.isatty():
            raise typer.BadParameter("without a terminal, --yes is needed")
        typer.confirm(f"Delete {what} of {broker}?", abort=True)
    count = _ask(context, broker, channel, lambda b, c: b.purge(c, dead=dead))
    sys.stdout.write(f"{count} deleted\n")


def _shown(value: Any) -> str:
    return "?" if value is None else str(value)


def _line(letter: DeadLetter, *, as_json: bool) -> str:
    body = letter.body.decode(errors="replace")
    if as_json:
        given = {**asdict(letter), "body": body, "died_at": letter.died_at.isoformat()}
        return json.dumps(given)
    short = body if len(body) <= BODY_MAX else f"{body[:BODY_MAX]}…"
    return (
        f"{letter.id}  {letter.died_at:%Y-%m-%d %H:%M:%S}  attempts {letter.attempts}"
        f"  {letter.reason}\n    {short}"
    )


def _channel(runtime: Runtime, channel: str | None) -> str:
    return channel or runtime.ports.brokers.channel


def _ask(
    context: typer.Context,
    name: str,
    channel: str | None,
    question: Callable[[Broker, str], Awaitable[Any]],
) -> Any:
    """Ask one broker about a channel."""

    async def asked(runtime: Runtime) -> Any:
        broker = runtime.ports.brokers.get(name)
        return await question(broker, _channel(runtime, channel))

    if name not in NAMES:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(NAMES)}")
    return _run(context, asked)


def _run(context: typer.Context, work: Callable[[Runtime], Awaitable[Any]]) -> Any:
    """Run something with everything open; exit with 1 and the reason if it fails."""
    runtime: Runtime = context.obj.runtime

    async def opened() -> Any:
        async with runtime:
            return await work(runtime)

    with context.obj.database():
        try:
            return asyncio.run(opened())
        except ImportError as error:
            raise ConfigError([f"install the package {error.name}"]) from error
