"""Writes rows by COPY, and finds the bad ones among them."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from uuid import UUID

from atom.postgres import catalog
from atom.postgres.bisect import in_halves
from atom.postgres.driver import Raw, RawPool

log = logging.getLogger(__name__)

TEXT_MAX = 10_000  # characters of one value
FAILURES_MAX = 200  # COPY statements that may fail while looking for bad rows
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
    last = max(picked)
    pick = itemgetter(*picked, last)  # one more, so that it is always a tuple
    kept = [
        tuple([clean(v) if type(v) is str else v for v in pick(row)[:-1]])
        for row in rows
        if len(row) > last
    ]
    if len(kept) < len(rows):
        dropped.append(Dropped(len(rows) - len(kept), "too few values"))
    try:
        async with (
            pool.acquire(timeout=ACQUIRE) as connection,
            asyncio.timeout(COPY),
            connection.transaction(),
        ):
            if batch is None or await connection.fetchval(CLAIM, batch):
                dropped += await _copy(connection, table, columns, kept)
    except Exception as error:
        raise Unreachable(error) from error
    return dropped


async def _copy(
    connection: Raw, table: str, columns: Sequence[str], rows: Sequence[Row]
) -> list[Dropped]:
    """Write the rows but those that are bad."""

    async def write(part: Sequence[Row]) -> None:
        async with connection.transaction():
            await connection.copy_records_to_table(
                table, schema_name="public", columns=columns, records=part
            )

    def is_halved(error: Exception) -> bool:
        if not about_a_row(error):
            raise error
        return True

    refused = await in_halves(rows, write, is_halved, FAILURES_MAX)
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
