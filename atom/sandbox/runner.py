"""Runs one SQL statement of an admin: read only, bounded in time, rows and bytes.

Which functions, tables and columns it may use is proven by `transfer_proof`, whatever
rights the role of the application has: a superuser's connection reads no file either.
"""

from dataclasses import dataclass
from typing import Any

from atom.errors import Unprocessable
from atom.postgres.database import Connection, Database, affected
from atom.sandbox.judge import Bounds
from atom.sandbox.proof import Proven, prove, unreadable
from atom.transfer import statement as write

BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one statement may take."""

    timeout_ms: int = 5000
    rows: int = 1000
    role: str | None = None  # a role to become for the statement, if there is one


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows as a JSON array, or how many rows were changed."""

    rows: bytes | None
    affected: int = 0
    is_cut: bool = False  # there were more rows than the limit


async def run(
    database: Database,
    query: str,
    *,
    secret: frozenset[str],
    writes: bool = False,
    limits: Limits | None = None,
) -> Answer:
    """Run one statement; with `writes` it may also insert, update and delete.

    Raises:
        ApiError: what `prove` raises; `runner.too_large`; TimedOut.
    """
    limits = limits or Limits()
    bounds = Bounds(secret, writes=writes)
    async with database.transaction(timeout_ms=limits.timeout_ms) as connection:
        proven = await prove(connection, query, bounds)
        if not proven.writes:
            await connection.run("set transaction read only")
        if limits.role is not None:
            await connection.value("select set_config('role', $1, true)", limits.role)
        answer = await _answer(connection, proven, limits)
    for table in proven.writes:
        database.written(table)
    return answer


async def _answer(connection: Connection, proven: Proven, limits: Limits) -> Answer:
    if not proven.reads and not proven.columns:
        _, status = await _fetch(connection, proven.text)
        return Answer(None, affected(status))
    # One row more than the limit tells whether there are more.
    text = write.as_json(
        proven.text,
        proven.columns,
        reads=proven.reads,
        limit=limits.rows + 1,
        most=BYTES_MAX,
    )
    found, _ = await _fetch(connection, text)
    rows = [row[0] for row in found]
    if rows and rows[-1] is None:
        raise Unprocessable(
            f"The rows are more than {BYTES_MAX // 2**20} MiB.",
            code="runner.too_large",
            hint="Select fewer columns, or fewer rows.",
        )
    body = "[" + ",".join(rows[: limits.rows]) + "]"
    return Answer(body.encode(), is_cut=len(rows) > limits.rows)


async def _fetch(connection: Connection, text: str) -> tuple[list[Any], str]:
    """Run a statement that is not kept prepared: nobody will send it again."""
    try:
        statement = await connection.raw.prepare(text)
        rows: list[Any] = await statement.fetch()
        return rows, statement.get_statusmsg()
    except Exception as error:
        raise unreadable(error) from error
