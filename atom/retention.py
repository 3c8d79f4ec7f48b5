"""Own tables that are kept for some days: what is older is deleted, a few at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from typing import Any

from atom.config.view import view
from atom.errors import ApiError
from atom.postgres.database import Database
from atom.task import ended

log = logging.getLogger(__name__)

TABLES = (
    "row_audit",
    "notification",
    "security_event",
)  # in the order of the keys below
# Before `schema apply`, at the first start of all, there is no such table yet.
IS_KEPT = "select to_regclass('atom.' || $1::text) is not null"
PRUNE = """
delete from atom.{} where ctid = any(array(
  select ctid from atom.{} where created_at < now() - make_interval(days => $1)
  limit 5000
))
"""
AT_ONCE = 5000
SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """The days that each table is kept; 0: for ever."""

    audit_retention_day: int
    notification_retention_day: int
    security_event_retention_day: int


@asynccontextmanager
async def kept_short(
    database: Database, config: Mapping[str, Any]
) -> AsyncIterator[None]:
    """Delete what is older than config has it, now and every hour."""
    days = dict(zip(TABLES, astuple(view(RetentionConfig, config)), strict=True))
    if not any(days.values()):
        yield
        return
    task = asyncio.create_task(_prune(database, days), name="retention")
    try:
        yield
    finally:
        await ended([task])


async def _prune(database: Database, days: Mapping[str, int]) -> None:
    while True:
        for table, count in days.items():
            if not count:
                continue
            text = PRUNE.format(table, table)
            try:
                is_kept = await database.value(IS_KEPT, table)
                while is_kept and await database.run(text, count) == AT_ONCE:
                    pass
            except ApiError as error:
                log.warning("%s: not pruned: %s", table, error.message)
        await asyncio.sleep(SECONDS)
