"""What a caller's own SQL does, proven by PostgreSQL's parser before any of it runs.

The text becomes the body of a temporary function that is never called and rolled back
at once. PostgreSQL has then resolved every name, and what it stored is looked at: the
kind of statement, each function, each relation with the columns that are read of it.
So neither comments, quotes, search paths nor spelling can make the statement look like
another one, and what is not known to be harmless is refused. Needs PostgreSQL 14.
"""

from dataclasses import dataclass

from atom.errors import ApiError
from atom.postgres.database import Connection
from atom.postgres.errors import translate
from atom.sandbox.judge import COMMAND, SELECT, Bounds, judge, refused
from atom.transfer import statement as write

TREE = """
select prosqlbody::text from pg_proc
where oid = to_regprocedure('pg_temp.atom_proof()')
"""


@dataclass(frozen=True, slots=True)
class Proven:
    """One statement that may run, and what its rows are made of."""

    text: str
    columns: tuple[tuple[str, str], ...]  # name and datatype
    reads: bool
    writes: tuple[str, ...] = ()  # tables


async def prove(connection: Connection, query: str, bounds: Bounds) -> Proven:
    """Return the statement, proven harmless; the transaction is as it was before.

    Call it in a transaction that may write: nothing it makes stays.

    Raises:
        ApiError: `transfer.unreadable`, `transfer.one_statement` or
            `transfer.not_read_only`.
        Forbidden: `transfer.function`, `transfer.relation` or `transfer.secret`.
    """
    text = query.strip().rstrip("; \t\r\n")
    if not text:
        raise ApiError("The query is empty.", code="transfer.unreadable")
    if "\0" in text or (not text.isascii() and _is_broken(text)):
        raise ApiError(
            "The query holds what is no character.", code="transfer.unreadable"
        )
    columns = await _prepare(connection, text)
    savepoint = connection.raw.transaction()
    await savepoint.start()
    try:
        tree = await _tree(connection, text)
        tables = await judge(connection, tree, bounds)
    finally:
        await savepoint.rollback()
    command = COMMAND.search(tree)
    reads = command is not None and int(command[1]) == SELECT
    return Proven(text, columns, reads, tables)


def _is_broken(text: str) -> bool:
    """Tell whether half of a surrogate pair stands in a text."""
    return any("\ud800" <= character <= "\udfff" for character in text)


async def _prepare(connection: Connection, text: str) -> tuple[tuple[str, str], ...]:
    """Have the text parsed alone: the protocol takes one statement, and faults are
    told at their true place.
    """
    try:
        statement = await connection.raw.prepare(text)
    except Exception as error:
        raise unreadable(error, text) from error
    if statement.get_parameters():
        raise ApiError(
            "The query has a parameter such as $1.",
            code="transfer.unreadable",
            hint="Write the value itself.",
        )
    return tuple((a.name, a.type.name) for a in statement.get_attributes())


async def _tree(connection: Connection, text: str) -> str:
    """Return the statement as PostgreSQL understood it."""
    try:
        made = await connection.raw.prepare(write.proof(text))
        await made.fetch()
    except Exception as error:
        if getattr(error, "sqlstate", "") == "0A000":
            raise refused() from error
        raise unreadable(error) from error
    found = await connection.value(TREE)
    if not found or ":commandType" not in found:
        raise ApiError("The query is empty.", code="transfer.unreadable")
    return str(found)


def unreadable(error: Exception, text: str = "") -> ApiError:
    """Say what PostgreSQL has against the statement: it is the caller's own."""
    state = str(getattr(error, "sqlstate", None) or "")
    if type(error).__name__ == "InternalClientError" and "resolve" in str(error):
        return ApiError(
            "The query has a column whose datatype cannot be sent.",
            code="transfer.unreadable",
            hint="Cast it to text.",
        )
    if state == "42601" and (
        getattr(error, "server_source_function", "") == "exec_parse_message"
    ):
        return ApiError("Send one statement.", code="transfer.one_statement")
    known = state[:2] in {"42", "22", "21", "0A", "54"} or state == "55000"
    if state == "42501" or not known:
        return translate(error)
    said = shown_line(str(getattr(error, "message", "")))
    return ApiError(
        f"The query cannot be run: {said}{place(error, text)}.",
        code="transfer.unreadable",
    )


def shown_line(text: str) -> str:
    """Return the first line of a message, cut to a readable length."""
    line = text.partition("\n")[0][:200]
    return "".join(c if c.isprintable() else "?" for c in line)


def place(error: Exception, text: str) -> str:
    """Return where in the caller's text the fault is, "" when that is not known."""
    position = str(getattr(error, "position", None) or "")
    if not text or not position.isdigit():
        return ""
    before = text[: int(position) - 1]
    line = before.count("\n") + 1
    return f" (line {line}, column {len(before) - before.rfind(chr(10))})"
