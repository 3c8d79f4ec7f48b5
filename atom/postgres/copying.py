"""Writes rows by COPY, and finds the bad ones among them."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

TEXT_MAX = 10_000  # characters of one value
FAILURES_MAX = 200  # COPY statements that may fail while looking for bad rows
ACQUIRE, COPY = 5.0, 30.0  # seconds

Row = tuple[Any, ...]

# PostgreSQL's classes of SQLSTATE: data exception, integrity constraint violation.
BAD_ROW = ("22", "23")
# The table, a column or the right to write it is not there.
SCHEMA = ("42", "3F")

LIVE = """
select a.attname from pg_attribute a
where a.attrelid = to_regclass('public.' || quote_ident($1))
  and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
"""


class Unreachable(Exception):
    """The rows cannot be written now, through no fault of theirs."""

    def __init__(self, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.schema = str(getattr(error, "sqlstate", None) or "").startswith(SCHEMA)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows that no table would take, and why: never with a value of theirs."""

    count: int
    reason: str


def clean(value: Any) -> Any:
    """Make text fit for PostgreSQL: no NUL, no half of a character, not endless.

    >>> clean("a" + chr(0) + "b"), clean(7)
    ('ab', 7)
    """
    if type(value) is not str:
        return value
    if len(value) > TEXT_MAX:
        value = value[:TEXT_MAX]
    if value.isascii():
        return value.replace("\0", "") if "\0" in value else value
    return value.replace("\0", "").encode("utf-8", "replace").decode()


async def live_columns(pool: Any, table: str) -> list[str]:
    """Return the columns a table of schema public has now; none when it is missing.

    Raises:
        Unreachable: when the database cannot be asked.
    """
    try:
        async with pool.acquire(timeout=ACQUIRE) as connection:
            found = await connection.fetch(LIVE, table, timeout=ACQUIRE)
    except Exception as error:
        raise Unreachable(error) from error
    return [row["attname"] for row in found]


async def copy_rows(
    pool: Any,
    table: str,
    columns: Sequence[str],
    picked: Sequence[int],
    rows: Sequence[Row],
) -> list[Dropped]:
    """Write these places of the rows. Return those left out because they are bad.

    Raises:
        Unreachable: when nothing more can be written; then none counts as written.
    """
    dropped: list[Dropped] = []
    last = max(picked)
    kept = [tuple(clean(row[at]) for at in picked) for row in rows if len(row) > last]
    if len(kept) < len(rows):
        dropped.append(Dropped(len(rows) - len(kept), "too few values"))
    try:
        async with (
            pool.acquire(timeout=ACQUIRE) as connection,
            asyncio.timeout(COPY),
        ):
            try:
                await _copy(connection, table, columns, kept)
            except Exception as error:
                if not about_a_row(error):
                    raise
                async with connection.transaction():
                    await _halve(connection, table, columns, kept, dropped)
    except Exception as error:
        raise Unreachable(error) from error
    return dropped


async def _copy(
    connection: Any, table: str, columns: Sequence[str], rows: list[Row]
) -> None:
    await connection.copy_records_to_table(
        table, schema_name="public", columns=columns, records=rows
    )


async def _halve(
    connection: Any,
    table: str,
    columns: Sequence[str],
    rows: list[Row],
    dropped: list[Dropped],
) -> None:
    """Write the rows; while that fails because of one of them, write halves of them."""
    failures = 0
    waiting = [rows]
    while waiting:
        part = waiting.pop()
        try:
            async with connection.transaction():
                await _copy(connection, table, columns, part)
        except Exception as error:
            if not about_a_row(error):
                raise
            failures += 1
            if len(part) == 1 or failures > FAILURES_MAX:
                dropped.append(Dropped(len(part), reason(error)))
                continue
            middle = len(part) // 2
            waiting += [part[middle:], part[:middle]]


def about_a_row(error: Exception) -> bool:
    """Return whether a value is to blame, by what PostgreSQL or asyncpg says of it."""
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state).startswith(BAD_ROW)
    if any(kind.__module__.startswith("asyncpg") for kind in type(error).__mro__):
        return "DataError" in {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, TypeError | ValueError | ArithmeticError | AttributeError)


def reason(error: Exception) -> str:
    """Name what was wrong with a row, without the value.

    >>> reason(ValueError("secret"))
    'ValueError'
    """
    words = [type(error).__name__]
    for name in ("column_name", "constraint_name"):
        if found := getattr(error, name, None):
            words.append(f"{name.partition('_')[0]} {found}")
    return " ".join(words)
