"""`python main.py email …`: templates built and shown, mails listed and sent again."""

import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from atom.command.event import Json, Limit, asked, print_rows, state_word
from atom.command.serve import refuse
from atom.event import outbox
from atom.mail import build, queue
from atom.mail.publish import Mailer, mailer
from atom.mail.template import FOLDER, MailError
from atom.postgres.database import Database

EMAIL = typer.Typer(help="Mails: templates, and those that wait, are sent or dead.")
NOTHING = "No mails.\n"


def _mailer(context: typer.Context) -> Mailer:
    """Return what writes the mails of the project; no database is needed."""
    runtime = context.obj.runtime
    refuse(context.obj.problems, runtime.config.remarks)
    return mailer(runtime.root, runtime.config)


def _fail(error: MailError) -> typer.Exit:
    sys.stderr.write(f"{error}\n")
    return typer.Exit(1)


@EMAIL.command("build")
def build_command(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(help="Where the templates are.", file_okay=False)
    ] = Path(FOLDER),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if one is stale.")
    ] = False,
) -> None:
    """Build the HTML of every .mjml of email/, next to it."""
    root: Path = context.obj.runtime.root
    place = root / folder
    folders = (place, *mailer(root, context.obj.runtime.config).templates.folders)
    try:
        found = list(build.stale(place, folders))
        for path in found:
            if not check:
                html = build.build(path, folders)
                path.with_suffix(".html").write_text(html, "utf-8")
            done = "is stale" if check else "built"
            sys.stdout.write(f"{folder / path.with_suffix('.html').name} {done}.\n")
    except MailError as error:
        raise _fail(error) from None
    if not found:
        sys.stdout.write("Nothing to build.\n")
    if found and check:
        raise typer.Exit(1)


@EMAIL.command("preview")
def preview_command(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A template. None: list them.")] = "",
    html: Annotated[bool, typer.Option("--html", help="The HTML part.")] = False,
) -> None:
    """Write a template as it reads with sample values, those of its .json."""
    templates = _mailer(context).templates
    if not name:
        sys.stdout.write("".join(f"{each}\n" for each in templates.names()))
        return
    try:
        found = templates.filled(name, templates.sample(name))
    except MailError as error:
        raise _fail(error) from None
    words = found.html if html else f"Subject: {found.subject}\n\n{found.text}"
    sys.stdout.write(words)


@EMAIL.command("list")
def list_command(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option(callback=state_word, help="pending, done or dead.")
    ] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List mails, the newest first."""

    async def found(database: Database) -> list[dict[str, Any]]:
        return await queue.listed(database, state=state, limit=limit)

    print_rows(asked(context, found), as_json, nothing=NOTHING)


@EMAIL.command("dead")
def dead_command(
    context: typer.Context, limit: Limit = 50, as_json: Json = False
) -> None:
    """List mails that were given up, with the reason."""
    list_command(context, "dead", limit, as_json)


@EMAIL.command("replay")
def replay_command(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of mails.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead mails.")] = False,
) -> None:
    """Send dead mails again. Exits with 1 if there are none."""
    if bool(ids) == everything:
        raise typer.BadParameter("Name the ids of mails, or --all.")
    try:
        chosen = None if everything else [str(UUID(each)) for each in ids or ()]
    except ValueError as error:
        raise typer.BadParameter(f"Not an id of a mail: {error}.") from None

    async def replay(database: Database) -> int:
        return await outbox.replay(database, chosen, outbox.MAIL)

    count = asked(context, replay)
    sys.stdout.write(f"{count} to be sent again.\n")
    if not count:
        raise typer.Exit(1)
