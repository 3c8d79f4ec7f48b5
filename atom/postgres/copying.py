"""Writes rows by COPY, and finds the bad ones among them."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from atom.postgres import catalog
from atom.postgres.bisect import in_halves
from atom.postgres.driver import Raw, RawPool

log = logging.getLogger(__name__)

TEXT_MAX = 10_000  # characters of one value
PLAIN = {int, float, Decimal}  # nothing in their text is escaped
ESCAPED = str.maketrans(
    {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\0": None}
)
FAILURES_MAX = 400  # COPY statements that may fail while looking for bad rows
ACQUIRE, COPY = 5.0, 30.0  # seconds

Row = tuple[Any, ...]

# PostgreSQL's classes of SQLSTATE: data exception, integrity constraint violation.
BAD_ROW = ("22", "23")
# The table, a column or the right to write it is not there.
SCHEMA = ("42", "3F")

HAS_BATCHES = "select to_regclass('atom.log_batch') is not null"
# Whoever writes a batch again waits here for the end of the first attempt, if it is
# still under way, and learns whether it was committed.
CLAIM = """
with gone as (
  delete from atom.log_batch where created_at < now() - interval '1 hour'
)
insert into atom.log_batch (id) values ($1) on conflict do nothing returning true
"""


class Unreachable(Exception):
    """The rows cannot be written now, whatever they hold."""

    def __init__(self, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.schema = str(getattr(error, "sqlstate", None) or "").startswith(SCHEMA)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows that the table refuses, and why; never with a value."""

    count: int
    reason: str


def texts(values: Sequence[Any]) -> Sequence[str]:
    r"""Return the values of one column as COPY reads them in its text form.

    A column at a time, because that costs a third of what a value at a time does. Of
    text a NUL and half of a character are left out, and what exceeds TEXT_MAX.

    >>> texts(["a\tb" + chr(0), None]), texts([7, 8])
    (['a\\tb', '\\N'], ['7', '8'])
    """
    kinds = set(map(type, values))
    if kinds <= PLAIN:
        return list(map(str, values))
    if kinds == {datetime} and {value.tzinfo for value in values} == {UTC}:
        return _moments(values)
    if kinds == {str}:
        whole = "".join(values)
        is_short = len(whole) <= TEXT_MAX or max(map(len, values)) <= TEXT_MAX
        if is_short and whole.isprintable() and "\\" not in whole:
            return values
    return [r"\N" if value is None else _escaped(str(value)) for value in values]


def _moments(values: Sequence[datetime]) -> list[str]:
    """Return moments in UTC; what is before the fraction is made once for a second."""
    first, known, found = values[0].replace(microsecond=0), None, []
    for value in values:
        past = value - first
        if (second := (past.days, past.seconds)) != known:
            known, whole = second, str(first + timedelta(*second))[:19]
        found.append(f"{whole}.{past.microseconds:06d}Z")
    return found


def _escaped(value: str) -> str:
    return value[:TEXT_MAX].translate(ESCAPED).encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Target:
    """What a log table takes now: its columns, and whether batches are recorded."""

    columns: tuple[str, ...]
    has_batches: bool


async def live_target(pool: RawPool, table: str) -> Target:
    """Return what a table of schema public takes; no columns when it is missing.

    Raises:
        Unreachable: when the database cannot be asked.
    """
    try:
        async with asyncio.timeout(ACQUIRE), pool.acquire() as raw:
            found = (await catalog.read(raw)).tables.get(table)
            has_batches = await raw.fetchval(HAS_BATCHES)
    except Exception as error:
        raise Unreachable(error) from error
    columns = found.columns.values() if found else ()
    written = tuple(each.name for each in columns if not each.generated)
    return Target(written, has_batches)


async def copy_rows(
    pool: RawPool,
    table: str,
    columns: Sequence[str],
    picked: Sequence[int],
    rows: Sequence[Row],
    batch: UUID | None = None,
) -> list[Dropped]:
    """Write these places of the rows. Return those left out because they are bad.

    With the id of a `batch`, rows that were committed under it are not written again:
    an attempt that lost its connection during COMMIT may simply be repeated.

    Raises:
        Unreachable: when nothing more can be written; then the same batch is to be
            tried again.
    """
    dropped: list[Dropped] = []
    whole = [row for row in rows if len(row) > max(picked)]
    if len(whole) < len(rows):
        dropped.append(Dropped(len(rows) - len(whole), "too few values"))
    if not whole:
        return dropped
    given = list(zip(*whole, strict=False))  # by column; more than these is left out
    lines = list(map("\t".join, zip(*(texts(given[at]) for at in picked), strict=True)))
    try:
        async with (
            pool.acquire(timeout=ACQUIRE) as connection,
            asyncio.timeout(COPY),
            connection.transaction(),
        ):
            if batch is None or await connection.fetchval(CLAIM, batch):
                dropped += await _copy(connection, table, columns, lines)
    except Exception as error:
        raise Unreachable(error) from error
    return dropped


async def _copy(
    connection: Raw, table: str, columns: Sequence[str], lines: Sequence[str]
) -> list[Dropped]:
    """Write the rows but those that are bad."""

    async def write(part: Sequence[str]) -> None:
        async with connection.transaction():
            await connection.copy_to_table(
                table,
                schema_name="public",
                columns=columns,
                source=memoryview("\n".join(part).encode()),  # bytes would be a path
            )

    def is_halved(error: Exception) -> bool:
        if not about_a_row(error):
            raise error
        return True

    refused = await in_halves(lines, write, is_halved, FAILURES_MAX)
    return [Dropped(len(part), reason(error)) for part, error in refused]


def about_a_row(error: Exception) -> bool:
    """Whether a value is the cause, by the error of PostgreSQL or asyncpg."""
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
