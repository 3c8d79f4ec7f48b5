"""Plans and applies `config_postgres_schema`, one worker at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any

from atom.backoff import Backoff
from atom.errors import Conflict, Unavailable
from atom.postgres.errors import translate
from atom.schema import migration
from atom.schema.declaration import Declaration
from atom.schema.live import read
from atom.schema.plan import UPDATE_EXCLUSIVE, Plan, Step, described, reason

log = logging.getLogger(__name__)

__all__ = ["Declaration", "Plan", "apply", "described", "plan"]

# Held while a schema changes; "atom" as a number. One per database.
LOCK = 0x61746F6D
POLL_SECONDS = 0.1
POLLS = 9_000
# A change that cannot have its lock at once lets others pass and comes again.
ATTEMPTS = 20
RESTS = (0.2, 4.0)  # seconds between two attempts: the first, the longest
# What a request may lose at a time by waiting behind a change that waits itself.
WAIT = "1s"
# Longer than any change takes: the pool's own limit is meant for requests.
STATEMENT_SECONDS = 86_400.0

SESSION = """
select set_config('search_path', 'public', false),
       set_config('statement_timeout', '0', false),
       set_config('datestyle', 'ISO', false),
       set_config('standard_conforming_strings', 'on', false),
       set_config('idle_in_transaction_session_timeout', '0', false)
"""
# For a connection that is not ours to keep.
AFTER = (
    "reset search_path; reset statement_timeout; reset lock_timeout;"
    " reset idle_in_transaction_session_timeout; reset datestyle;"
    " reset standard_conforming_strings"
)
RECORD = """
insert into atom.applied_query (label, mark) values ($1, $2)
on conflict (label) do update set mark = excluded.mark, applied_at = now()
"""
CHANGED = '{"topic":"schema","value":""}'

# Failures of data, not of the connection: reported, and the rest goes on.
PATIENT = frozenset({"index", "constraint", "query", "view", "function"})
BUSY = frozenset({"55P03", "40P01"})


@asynccontextmanager
async def _session(database: Any) -> AsyncIterator[Any]:
    """Yield one asyncpg connection, free of the limits requests run under.

    `database` is a `Database`, an asyncpg pool or connection, or a URL.
    """
    import asyncpg

    try:
        if isinstance(database, str):
            raw = await asyncpg.connect(database, timeout=10)
            try:
                yield await _prepared(raw)
            finally:
                await raw.close()
            return
        if hasattr(database, "connection"):
            async with database.connection(separate=True) as held:
                yield await _prepared(held.raw)
            return
        if hasattr(database, "acquire"):
            async with database.acquire() as raw:
                yield await _prepared(raw)
            return
        try:
            yield await _prepared(database)
        finally:
            await database.execute(AFTER)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise translate(error) from error


async def _prepared(raw: Any) -> Any:
    await raw.fetchrow(SESSION)
    return raw


async def _compare(raw: Any, declaration: Declaration, destructive: bool) -> Plan:
    live = await read(raw, declaration)
    return migration.plan(declaration, live, destructive=destructive)


async def plan(
    database: Any, declaration: Declaration, *, destructive: bool = False
) -> Plan:
    """Return what `apply` would do, and change nothing."""
    async with _session(database) as raw:
        return await _compare(raw, declaration, destructive)


async def apply(
    database: Any, declaration: Declaration, *, destructive: bool = False
) -> Plan:
    """Bring a database to what is declared. Return the plan that was carried out.

    Whoever comes while another worker is at it waits, and finds nothing left to do.

    Raises:
        Conflict: `schema.refused` before anything is changed, when rows forbid it;
            `schema.incomplete` when single steps failed and the rest is done.
        Unavailable: when another worker does not come to an end.
    """
    async with _session(database) as raw:
        await _take_lock(raw)
        try:
            return await _apply(raw, declaration, destructive)
        finally:
            if not raw.is_closed():
                await raw.fetchval("select pg_advisory_unlock($1)", LOCK)


async def _take_lock(raw: Any) -> None:
    """Wait for the lock without a statement that waits.

    A session waiting inside pg_advisory_lock holds a snapshot; building an index
    concurrently waits for every snapshot: the two would wait for each other.
    """
    for _ in range(POLLS):
        if await raw.fetchval("select pg_try_advisory_lock($1)", LOCK):
            return
        await asyncio.sleep(POLL_SECONDS)
    raise Unavailable("Another worker is changing the tables.", code="schema.busy")


async def _apply(raw: Any, declaration: Declaration, destructive: bool) -> Plan:
    found = await _compare(raw, declaration, destructive)
    if found.refusals:
        raise Conflict(
            "The tables cannot be changed. " + " ".join(found.refusals),
            code="schema.refused",
        )
    failures: list[str] = []
    try:
        for group in _groups(found.steps):
            failures.extend(await _run(raw, group))
    finally:
        if found.steps and not raw.is_closed():
            await raw.execute("select pg_notify('atom', $1)", CHANGED)
    if failures:
        raise Conflict(
            "The tables are changed, except: " + " ".join(failures),
            code="schema.incomplete",
            hint="Put that right and apply again.",
        )
    return found


def _groups(steps: tuple[Step, ...]) -> Iterator[list[Step]]:
    """Join what belongs in one transaction; a query of the user's is run alone."""

    def together(step: Step) -> bool:
        return step.transactional and step.kind != "query"

    for joined, group in groupby(steps, together):
        if joined:
            yield list(group)
            continue
        for step in group:
            yield [step]


async def _run(raw: Any, group: list[Step]) -> list[str]:
    """Run the steps of a group. Return what failed and may be left for later.

    Raises:
        ApiError: when the plan cannot go on.
    """
    import asyncpg

    at = [group[0]]
    backoff = Backoff(*RESTS)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await _execute(raw, group, at)
        except asyncpg.PostgresError as error:
            if raw.is_closed():
                raise
            step = at[-1]
            if step.kind == "index" and not step.transactional:
                await _clear(raw, step)
            if error.sqlstate in BUSY and attempt < ATTEMPTS:
                await backoff.rest()
                continue
            log.warning("%s %s failed: %s", step.kind, step.name or step.table, error)
            if step.kind in PATIENT and len(group) == 1:
                return [reason(step, error.sqlstate)]
            raise Conflict(
                reason(step, error.sqlstate), code="schema.failed"
            ) from error
        break
    return []


async def _execute(raw: Any, group: list[Step], at: list[Step]) -> None:
    step = group[0]
    # A lock that lets others read and write may be waited for; others queue behind
    # any stronger one.
    patient = step.lock == UPDATE_EXCLUSIVE and not step.transactional
    await raw.fetchval(
        "select set_config('lock_timeout', $1, false)", "300s" if patient else WAIT
    )
    if not step.transactional:
        at.append(step)
        await raw.execute(step.sql, timeout=STATEMENT_SECONDS)
        await _record(raw, step)
        return
    async with raw.transaction():
        for step in group:
            at.append(step)
            await raw.execute(step.sql, timeout=STATEMENT_SECONDS)
            await _record(raw, step)


async def _record(raw: Any, step: Step) -> None:
    if step.kind == "query":
        await raw.execute(RECORD, step.name, step.mark)


async def _clear(raw: Any, step: Step) -> None:
    """Drop what a failed build left behind: an index that costs and never serves."""
    if step.undo:
        await raw.execute(step.undo, timeout=STATEMENT_SECONDS)
