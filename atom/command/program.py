"""The words that may follow `python main.py`, as one typer program.

A group is a `typer.Typer` of its own file. A command of a project is `COMMAND` in
`command_report.py`, a function or a `typer.Typer`, and is called `report`.
"""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

import atom
from atom.command import serve
from atom.command.data import DATA
from atom.command.doctor import doctor_command
from atom.command.email import EMAIL
from atom.command.event import EVENT
from atom.command.policy import policy_command
from atom.command.project import Project
from atom.command.queue import QUEUE
from atom.command.schema import SCHEMA
from atom.command.user import USER
from atom.config import door

if TYPE_CHECKING:
    from fastapi import FastAPI

PLAIN: dict[str, Any] = {
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "add_completion": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
GROUPS = {
    "schema": SCHEMA,
    "data": DATA,
    "email": EMAIL,
    "event": EVENT,
    "queue": QUEUE,
    "user": USER,
}


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"atom {atom.VERSION}\n")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_version,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Without a command: serve."""


def program(
    app: "FastAPI", project: Project, commands: Mapping[str, Any]
) -> Callable[[list[str]], Any]:
    """Build the program; call it with the words. It exits: 0 done, 1 failed, 2 usage.

    `commands` are those of the project, by name.
    """
    whole = typer.Typer(**PLAIN)
    whole.callback()(_root)

    @whole.command("serve")
    def _serve() -> None:
        """Serve, as without a command."""
        serve.refuse(project.problems, project.runtime.config.remarks)
        serve.run(app, project.runtime)

    @whole.command("doors")
    def _doors() -> None:
        """List every way to extend Atom, and the files found there."""
        for line in door.report(project.runtime.root):
            sys.stdout.write(f"{line}\n")

    whole.command("policy")(policy_command)
    whole.command("doctor")(doctor_command)
    for name, group in GROUPS.items():
        whole.add_typer(group, name=name)
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            whole.add_typer(command, name=name)
        else:
            whole.command(name)(command)

    def call(words: list[str]) -> Any:
        return whole(words, prog_name="python main.py", obj=project)

    return call
