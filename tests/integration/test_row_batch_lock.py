"""Writes that meet a lock of somebody else: an end in time, and a clear word."""

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest

from atom.client.postgres import open_pool, opened_database
from atom.config import keys
from atom.config import resolve as settings
from atom.errors import Conflict
from atom.postgres.database import Database
from atom.row.batch import Batches, batch
from tests.integration.row_world import ADA, database_url, row_url, world

__all__ = ["database_url", "row_url", "world"]

SECONDS = 0.3  # that a lock is waited for


class Patient:
    """The ports of a batch on a pool as the server opens it."""

    def __init__(self, world, pool, config):
        self.database = opened_database(config, pool)
        self.database.catalog = world.database.catalog
        self.batches = Batches(
            self.database, rows=1000, wait_ms=50, lock_seconds=SECONDS
        )

    def make(self, world, table, **columns):
        """Begin to create one row."""
        work = batch(self, world.reach(ADA), table, columns)
        return asyncio.ensure_future(work)


@pytest.fixture(params=[1024, 0], ids=["session", "pooled"])
async def ports(request, world, row_url):
    """Both ways to bound a wait: the session's own limit, and one of a transaction."""
    config = dict(settings.resolve(keys.KEYS, [])) | {
        "config_postgres_url": row_url,
        "config_postgres_lock_timeout_sec": SECONDS,
        "config_postgres_statement_cache_size": request.param,
    }
    pool = await open_pool(row_url, config)
    try:
        yield Patient(world, pool, config)
    finally:
        pool.terminate()


@asynccontextmanager
async def held(url, statement):
    """Run a statement in a transaction that stays open."""
    other = await asyncpg.connect(url)
    try:
        await other.execute("begin")
        await other.execute(statement)
        yield
    finally:
        await other.close()


async def test_row_that_waits_for_another_hurts_nobody_else(world, row_url, ports):
    """Its key is in an open transaction: it is told so, the others are written."""
    taken = "insert into report_user (created_by_id, user_id) values (11, 500)"
    async with held(row_url, taken), asyncio.timeout(60):
        asked = [ports.make(world, "report_user", user_id=500 + n) for n in range(9)]
        first, *others = await asyncio.gather(*asked, return_exceptions=True)

    assert isinstance(first, Conflict) and "row.busy" == first.code
    assert [int] * 8 == [type(other) for other in others], others


async def test_locked_table_is_told_to_all_in_time(world, row_url, ports):
    """Two hundred wait together, not one after the other; then it goes on."""
    lock = "lock table test in exclusive mode"
    async with held(row_url, lock), asyncio.timeout(30):
        asked = [ports.make(world, "test", title=f"{n}") for n in range(200)]
        ends = await asyncio.gather(*asked, return_exceptions=True)

    assert {"row.busy"} == {getattr(end, "code", end) for end in ends}
    assert isinstance(await ports.make(world, "test", title="after"), int)


async def test_single_write_does_not_wait_for_the_end_of_its_statement(world, row_url):
    """config_postgres_lock_timeout_sec holds for every statement of the pool."""
    config = dict(settings.resolve(keys.KEYS, [])) | {
        "config_postgres_lock_timeout_sec": SECONDS
    }
    pool = await open_pool(row_url, config)
    row_id = await world.database.value(
        "insert into test (title) values ('a') returning id"
    )
    try:
        async with held(row_url, f"update test set title = 'b' where id = {row_id}"):
            with pytest.raises(Conflict) as caught:
                change = "update test set title = 'c' where id = $1"
                await Database(pool).run(change, row_id)
    finally:
        pool.terminate()
    assert "row.busy" == caught.value.code
