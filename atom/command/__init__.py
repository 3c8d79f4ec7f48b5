"""`python main.py` and the words that may follow it.

In reading order:

    serve     check everything, serve, exit with the right code
    welcome   what is printed at the start
    project   the config and the database of a command
    rls       `schema rls`
    schema    `schema plan`, `schema apply`
    policy    `policy`
    doctor    `doctor`
    file      files read and written by a command
    progress  the progress bar
    data      `data import`, `data export`
    event     `event list`, `event dead`, `event replay`
    email     `email build`, `preview`, `list`, `dead`, `replay`
    user      `user clash`
    queue     `queue setup`, `list`, `dead`, `replay`, `purge`
    program   all commands
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from fastapi import FastAPI

    from atom.runtime import Runtime


def run(
    words: Sequence[str],
    app: "FastAPI",
    runtime: "Runtime",
    problems: Sequence[str],
    commands: Mapping[str, Any],
) -> NoReturn:
    """Serve when there are no words; else run the command they name, and exit.

    `commands` are those of the project, by name.

    Commands are imported only then, so that serving does not wait for them.
    """
    from atom.command import serve

    if not words:
        serve.refuse(problems, runtime.config.remarks)
        serve.run(app, runtime)
    from atom.command.program import program
    from atom.command.project import Project

    program(app, Project(runtime, problems), commands)(list(words))
    raise SystemExit(0)
