"""One caller with many shapes of statements leaves the others theirs prepared."""

import contextlib

import asyncpg
import pytest

from atom.errors import Conflict
from atom.postgres.database import Database
from atom.postgres.share import CALLER, Caller
from tests.integration.near import database_url, fresh_database

__all__ = ["database_url"]
SIZE = 32
KEPT = "select statement from pg_prepared_statements"


@contextlib.contextmanager
def asking(name, tier="my"):
    """Ask as a caller of a request."""
    token = CALLER.set(Caller(tier, name, lambda: None))
    try:
        yield
    finally:
        CALLER.reset(token)


@contextlib.asynccontextmanager
async def one_connection(url, size=SIZE):
    """Open a database of a single connection that keeps so many statements."""
    async with fresh_database(url) as fresh:
        settings = {"statement_cache_size": size}
        async with asyncpg.create_pool(
            fresh, min_size=1, max_size=1, **settings
        ) as pool:
            yield Database(pool, statements_max=size)


def shapes(count, start=0):
    return [f"select {number}" for number in range(start, start + count)]


async def kept(database):
    return {row["statement"] for row in await database.rows(KEPT)} - {KEPT}


async def test_many_shapes_of_one_caller_push_out_no_other(database_url):
    """Ten thousand of them, each asked for twice."""
    async with one_connection(database_url) as database:
        with asking("bob"):
            assert 7 == await database.value("select 7 as of_bob")
        with asking("ada"):
            for text in shapes(10_000):
                assert int(text.split()[1]) == await database.value(text)
                await database.value(text)

        found = await kept(database)

        assert "select 7 as of_bob" in found
        assert shapes(SIZE // 8) == sorted(found - {"select 7 as of_bob"})


async def test_all_of_a_tier_leave_half(database_url):
    """However many callers it has."""
    async with one_connection(database_url) as database:
        with asking("bob", "admin"):
            await database.value("select 7 as of_bob")
        for number in range(20):
            with asking(f"stranger {number}", "public"):
                for text in shapes(10, number * 10):
                    await database.value(text)

        found = await kept(database)

        assert "select 7 as of_bob" in found
        assert SIZE // 2 == len(found) - 1


async def test_what_is_not_kept_works_all_the_same(database_url):
    """Each verb, in a transaction and without one; also an error."""
    async with one_connection(database_url, size=8) as database:
        await database.run("create table it (id int primary key, word text)")
        with asking("ada"):
            await database.value("select 'the only one that is kept'")
            assert 2 == await database.run(
                "insert into it values (1, $1), (2, $2)", "a", "b"
            )
            row = await database.row("select * from it where id = $1", 2)
            assert (2, "b") == tuple(row)
            assert 2 == len(await database.rows("select * from it"))
            async with database.transaction() as connection:
                assert 1 == await connection.run("delete from it where id = 1")
                assert 1 == await database.value("select count(*) from it")
            with pytest.raises(Conflict):
                await database.run("insert into it values (2, 'again')")
            assert 1 == await database.value("select count(*)::int from it")

        assert {"select 'the only one that is kept'"} == await kept(database)


async def test_what_others_keep_anyone_runs_prepared(database_url):
    """A plan belongs to nobody: only adding one is counted."""
    async with one_connection(database_url) as database:
        with asking("ada"):
            for text in shapes(SIZE // 8 + 1):
                await database.value(text)
        with asking("bob"):
            await database.value(shapes(SIZE // 8 + 1)[-1])

        assert shapes(SIZE // 8 + 1)[-1] in await kept(database)
