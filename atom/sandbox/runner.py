"""Runs one SQL statement of an admin, limited in time, rows and bytes.

A statement that reads runs as the reader, in a read-only transaction that is rolled
back. User 1 may also insert, update and delete, as the writer. Both have no rights but
on columns that are not secret, whatever Atom's own role may do.
"""

from dataclasses import dataclass
from typing import Any

from atom.errors import ApiError, Unprocessable
from atom.postgres.database import affected
from atom.sandbox import statement as sql
from atom.sandbox.role import READER, WRITER, Role
from atom.sandbox.session import Sandbox

BYTES_MAX = 16 * 1024 * 1024
CHANGED = {"INSERT", "UPDATE", "DELETE"}
# The tables the transaction has written, its triggers included.
WRITTEN = """
select c.relname from pg_locks l join pg_class c on c.oid = l.relation
join pg_namespace n on n.oid = c.relnamespace
where l.pid = pg_backend_pid() and l.locktype = 'relation'
  and l.mode = 'RowExclusiveLock' and c.relkind in ('r', 'p') and n.nspname = 'public'
  and l.database = (select oid from pg_database where datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one statement may take."""

    timeout_ms: int = 5000
    rows: int = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows as a JSON array, or the number of rows that were changed."""

    rows: bytes | None
    affected: int = 0
    is_cut: bool = False  # there were more rows than the limit


async def run_statement(
    sandbox: Sandbox, query: str, *, writes: bool = False, limits: Limits | None = None
) -> Answer:
    """Run one statement; with `writes` it may also insert, update and delete.

    Raises:
        ApiError: `query.unreadable`, `query.one_statement`, `query.not_read_only`.
        Forbidden: `query.secret`, `query.forbidden`.
        ApiError: `query.too_large`; TimedOut; what `Sandbox.transaction` raises.
    """
    limits = limits or Limits()
    text = sql.trimmed(query)
    try:
        return await _run(sandbox, READER, text, limits)
    except ApiError as error:
        is_writing = writes and sql.WRITING.match(text)
        if error.code != "query.not_read_only" or not is_writing:
            raise
    return await _run(sandbox, WRITER, text, limits)


async def _run(sandbox: Sandbox, role: Role, text: str, limits: Limits) -> Answer:
    written: list[str] = []
    try:
        async with sandbox.transaction(role, timeout_ms=limits.timeout_ms) as raw:
            if role is READER:
                query = await sql.parse_reading(raw, text)
            else:
                query = await sql.parse(raw, text)
            answer = await _answer(raw, query, limits, reads=role is READER)
            if role is WRITER:
                written = [row[0] for row in await raw.fetch(WRITTEN)]
    except ApiError:
        raise
    except Exception as error:
        raise sql.explained(
            error, catalog=sandbox.database.catalog, secret=sandbox.secret
        ) from error
    for table in written:
        sandbox.database.written(table)
    return answer


async def _answer(raw: Any, query: sql.Query, limits: Limits, *, reads: bool) -> Answer:
    if not reads and not query.columns:
        statement = await raw.prepare(query.text)
        await statement.fetch()
        status = str(statement.get_statusmsg())
        if status.partition(" ")[0] not in CHANGED:
            raise sql.not_read_only()
        return Answer(None, affected(status))
    # One row more than the limit shows whether there are more.
    text = sql.as_json(query, reads=reads, limit=limits.rows + 1, most=BYTES_MAX)
    rows = [row[0] for row in await raw.fetch(text)]
    if rows and rows[-1] is None:
        raise Unprocessable(
            f"The rows are more than {BYTES_MAX // 2**20} MiB.",
            code="query.too_large",
            hint="Select fewer columns, or fewer rows.",
        )
    body = "[" + ",".join(rows[: limits.rows]) + "]"
    return Answer(body.encode(), is_cut=len(rows) > limits.rows)
