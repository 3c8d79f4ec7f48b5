"""`python main.py data import` and `data export`: whole tables in and out of files."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Annotated, Any, BinaryIO, cast

import typer

from atom.adapter.redis import RedisStore
from atom.assembly import open_sandbox
from atom.client import Live
from atom.client.redis import CACHE
from atom.command.file import Feed, Stopped, fed, written
from atom.command.progress import Bar, ended
from atom.config.resolve import Config
from atom.config.view import view
from atom.errors import ApiError
from atom.postgres.database import Database
from atom.row.scope import RowConfig, RowScope
from atom.runtime import Runtime, command_database
from atom.transfer import statement as write
from atom.transfer.export import Export
from atom.transfer.load import import_file
from atom.transfer.request import (
    EXISTING,
    FORMATS,
    MODES,
    Progress,
    format_of,
    unzipped,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PIPE_CLOSED = 128 + signal.SIGPIPE  # as a shell reports a closed pipe
IMPORT = """\
Applies all rows of FILE, or none. A fault is named by line, column and value.

  create   add rows; id may be given
  update   change the rows with these ids, only in the columns of the file
  upsert   add rows, or change those with the same --on-conflict columns
  delete   delete the rows with these ids

CSV has a header; an empty cell is NULL, "" the empty text. JSON lines are one object
a line; what one leaves out is the column's default, or stays as it is. Values are read
as in the API. Passwords are taken only as Argon2id hashes.

  python main.py data import test.csv --table test
  python main.py data import users.jsonl.gz --table users \\
    --mode upsert --on-conflict type,username
  some-command | python main.py data import - --table test --format jsonl

Exit code 0: all is in. 1: nothing is, and why. 2: wrong words.
130, 143: ended by Ctrl-C or SIGTERM, nothing is in.
"""
EXPORT = """\
Writes the rows of one reading statement, or of a table without its secret and computed
columns. A file gets its name when it is whole, and only its owner may read it.

  python main.py data export --table test --output test.csv
  python main.py data export --query 'select id, title from test' --format jsonl | head
"""


@dataclass(frozen=True, slots=True)
class DataConfig:
    """What config sets for imports and exports."""

    redis_url: str | None
    transfer_timeout_sec: float


def _paragraphs(text: str) -> str:
    """Return a help text with its line breaks kept."""
    return "\n\n".join(f"\b\n{part}" for part in text.strip().split("\n\n"))


def _one_of(words: Sequence[str]) -> Callable[[str], str]:
    """Return a parser of one of these words, or nothing."""

    def parse(value: str) -> str:
        if value and value not in words:
            raise typer.BadParameter(f"expected one of {', '.join(words)}")
        return value

    return parse


DATA = typer.Typer(help="Whole tables in and out of files.")
Format = Annotated[
    str,
    typer.Option(
        parser=_one_of(FORMATS),
        metavar="|".join(FORMATS),
        help="Default: as FILE ends, or csv.",
    ),
]


@dataclass(frozen=True)
class Import:
    """The words of one `data import`."""

    file: str
    table: str
    mode: str
    on_conflict: str
    existing: str
    format: str
    hooks: bool


@dataclass(frozen=True)
class Output:
    """The words of one `data export`."""

    query: str | None
    table: str
    output: str
    formula_safe: bool
    format: str


@DATA.command("import", help=_paragraphs(IMPORT), short_help="A file into a table.")
def import_command(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="- is standard input; .gz is read.")
    ],
    table: Annotated[str, typer.Option(help="The table.")],
    mode: Annotated[
        str, typer.Option(parser=_one_of(MODES), metavar="|".join(MODES))
    ] = "create",
    on_conflict: Annotated[
        str,
        typer.Option(
            metavar="A,B", help="upsert: the columns of a unique rule that match rows."
        ),
    ] = "",
    existing: Annotated[
        str,
        typer.Option(
            parser=_one_of(EXISTING),
            metavar="|".join(EXISTING),
            help="upsert: change existing rows (merge, the default) or leave them.",
        ),
    ] = "",
    format: Format = "",
    hooks: Annotated[
        bool, typer.Option("--hooks", help="The hooks of the table run.")
    ] = False,
) -> None:
    """Import a file."""
    words = Import(file, table, mode, on_conflict, existing, format, hooks)
    with context.obj.database() as (config, url):
        code = _import(words, config, url, context.obj.runtime)
    raise typer.Exit(code)


@DATA.command("export", help=_paragraphs(EXPORT), short_help="Rows into a file.")
def export_command(
    context: typer.Context,
    query: Annotated[
        str | None, typer.Option(metavar="SQL", help="One statement that reads.")
    ] = None,
    table: Annotated[str, typer.Option(help="Or a whole table.")] = "",
    output: Annotated[
        str, typer.Option(metavar="FILE", help="Default: standard output.")
    ] = "-",
    formula_safe: Annotated[
        bool,
        typer.Option(
            "--formula-safe", help="CSV: put ' before values a spreadsheet would run."
        ),
    ] = False,
    format: Format = "",
) -> None:
    """Export to a file."""
    if (query is None) is not bool(table):
        raise typer.BadParameter("give one of --query --table")
    words = Output(query, table, output, formula_safe, format)
    with context.obj.database() as (config, url):
        code = _export(words, config, url)
    raise typer.Exit(code)


def _import(words: Import, config: Config, url: str, runtime: Runtime) -> int:
    keep = words.hooks or words.mode != "create"
    try:
        with fed(words.file, keep=keep) as feed:
            return _run(_imported(words, config, url, runtime, feed))
    except OSError as error:
        return _no_file(error)


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine that handles signals; afterwards they are handled as before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        return asyncio.run(work)
    finally:
        for number, handler in before.items():  # the loop has dropped them
            signal.signal(number, handler)


def _no_file(error: OSError) -> int:
    sys.stderr.write(f"{error.filename or 'The file'}: {error.strerror}\n")
    return 1


@asynccontextmanager
async def _opened(
    words: Import, config: Config, url: str, runtime: Runtime
) -> AsyncIterator[tuple[Database, RowScope | None]]:
    """Open a database; for hooks all that they may use."""
    if not words.hooks:
        async with command_database(config, url) as database:
            yield database, None
        return
    async with runtime:
        yield runtime.ports.database, runtime.ports.rules.trusted(None)


async def _imported(
    words: Import, config: Config, url: str, runtime: Runtime, feed: Feed
) -> int:
    """Import, until a signal comes; one that comes with the commit comes too late.

    The database is opened in any case: a driver loses a connection half made.
    """
    progress, ending, is_open = Progress(), [0], False
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def end(number: int) -> None:
        if not progress.is_closing and not ending[0]:
            ending[0] = number
            feed.stop()
            if is_open:
                task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, end, number)
    try:
        opened = _opened(words, config, url, runtime)
        async with opened as (database, hooked_by):
            is_open = True
            if ending[0]:
                raise asyncio.CancelledError
            bar = Bar(progress, lambda: feed.done, feed.total)
            async with bar:
                rows = await import_file(
                    database,
                    words.mode,
                    words.table,
                    unzipped(cast(BinaryIO, feed), words.file),
                    file_format=format_of(words.format, words.file),
                    on_conflict=words.on_conflict,
                    existing=words.existing,
                    seconds=view(DataConfig, config).transfer_timeout_sec,
                    progress=progress,
                    hooked_by=hooked_by,
                )
            took = bar.seconds
            changed = database.catalog.changed_with(words.table)
            await _forget(config, words.table, changed)
    except (asyncio.CancelledError, Stopped):
        name = signal.Signals(ending[0] or signal.SIGINT).name
        sys.stderr.write(f"Ended by {name}: nothing was imported.\n")
        return 128 + (ending[0] or signal.SIGINT)
    into = f"into {words.table}"
    sys.stderr.write(ended("Imported", into, rows, feed.done, took) + "\n")
    return 0


async def _forget(config: Config, table: str, changed: Iterable[str]) -> None:
    """Drop what servers keep of a table in Redis; their memories hear by the bus."""
    if not view(DataConfig, config).redis_url:
        return
    try:
        client = await CACHE.open(config, Live())
    except Exception as error:
        sys.stderr.write(
            f"Redis does not answer ({type(error).__name__}): answers cached there"
            f" of {table} may be stale for as long as their cache_sec.\n"
        )
        return
    try:
        for each in changed:
            await RedisStore(client).drop(each)
    finally:
        await client.aclose()


def _export(words: Output, config: Config, url: str) -> int:
    ending = [0]
    try:
        with written(words.output) as out:
            return _run(_exported(words, config, url, out, ending))
    except BrokenPipeError:
        # What is flushed at exit cannot be written to the closed pipe either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (asyncio.CancelledError, SystemExit) as error:
        code = error.code if isinstance(error, SystemExit) else 128 + ending[0]
        name = signal.Signals(int(code or 0) - 128).name
        whole = "" if words.output == "-" else f": {words.output} was not written"
        sys.stderr.write(f"Ended by {name}{whole}.\n")
        raise SystemExit(code) from None
    except OSError as error:
        return _no_file(error)


async def _exported(
    words: Output, config: Config, url: str, out: IO[bytes], ending: list[int]
) -> int:
    """Export, until a signal comes; `ending` then holds its number."""
    progress, size, is_open = Progress(), 0, False
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def end(number: int) -> None:
        ending[0] = ending[0] or number
        if is_open:
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, end, number)
    rules = RowConfig(config)
    async with command_database(config, url) as database:
        is_open = True
        if ending[0]:
            raise asyncio.CancelledError
        query = words.query
        if query is None:
            query = _whole(database, words.table, rules)
        sandbox = open_sandbox(database, config, url)
        export = Export(
            sandbox,
            query,
            is_own=words.query is None,
            seconds=view(DataConfig, config).transfer_timeout_sec,
            is_formula_safe=words.formula_safe,
            file_format=format_of(words.format, words.output),
            progress=progress,
        )
        async with Bar(progress, lambda: size, 0) as bar:
            try:
                await export.start()
                async for chunk in export:
                    out.write(chunk)
                    size += len(chunk)
                out.flush()
            finally:
                await export.close()
                await sandbox.close()
            took = bar.seconds
    what = f"of {words.table}" if words.table else "of the query"
    sys.stderr.write(ended("Exported", what, progress.rows, size, took) + "\n")
    return 0


def _whole(database: Database, name: str, rules: RowConfig) -> str:
    """Return the query for a table; report the columns it leaves out.

    Raises:
        ApiError: when there is no such table, or nothing of it may leave.
    """
    columns = database.catalog.table(name).columns.values()
    hidden = [c.name for c in columns if c.name.casefold() in rules.secret]
    kept = [
        c.name
        for c in columns
        if c.name not in hidden and (c.identity or not c.generated)
    ]
    if not kept:
        raise ApiError(f"Table '{name}' has no column that may leave.")
    if hidden:
        sys.stderr.write(f"Left out, being secret: {', '.join(hidden)}.\n")
    return write.whole(name, kept)
