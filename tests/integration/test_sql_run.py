"""The one place that sends statements: its answers, its errors, what it cleans up."""

import asyncio
import contextlib

import asyncpg
import pytest

from atom.errors import (
    ApiError,
    Conflict,
    Forbidden,
    TimedOut,
    Unavailable,
    Unprocessable,
)
from atom.postgres.catalog import Catalog
from atom.postgres.database import Database
from atom.postgres.lease import UNHURRIED, reset
from tests.integration.near import Wire, connected, database_url

__all__ = ["database_url"]


@pytest.fixture
async def pool(database_url):
    """A pool as the server makes it, with the table `thing`."""
    await (await connected(database_url)).close()  # it may still be starting
    made = await asyncpg.create_pool(
        database_url, min_size=1, max_size=2, reset=reset, command_timeout=5
    )
    await made.execute(
        """
        drop table if exists thing_part; drop table if exists thing;
        create table thing (
          id int primary key, name text not null unique, small smallint
          constraint small_is_small check (small < 10), short varchar(3));
        create table thing_part (
          thing_id int references thing deferrable initially deferred);
        create or replace function refuse() returns trigger language plpgsql as
          $$ begin raise exception 'thing % stays', old.id; end $$;
        create trigger keep before delete on thing for each row
          when (old.name = 'kept') execute function refuse();
        """
    )
    yield made
    made.terminate()


@pytest.fixture
def database(pool):
    return Database(pool, acquire_seconds=0.3)


class TestOneStatement:
    async def test_value_row_rows_and_run(self, database):
        """Each verb returns what its name says."""
        assert 2 == await database.run("insert into thing values (1, 'a'), (2, 'b')")
        assert 2 == await database.value("select count(*) from thing")
        assert (
            "b" == (await database.row("select * from thing where id = $1", 2))["name"]
        )
        assert [1, 2] == [r["id"] for r in await database.rows("select * from thing")]

    async def test_nothing_is_none(self, database):
        """No row is None, no rows an empty list, no change 0."""
        assert await database.value("select 1 where false") is None
        assert await database.row("select 1 where false") is None
        assert [] == await database.rows("select 1 where false")
        assert 0 == await database.run("update thing set small = 1")

    async def test_connections_come_back(self, database):
        """More statements at once than connections are all answered."""
        found = await asyncio.gather(
            *(database.value("select $1::int", n) for n in range(20))
        )

        assert list(range(20)) == found
        assert 2 >= database.pool.get_size()

    async def test_a_cancelled_statement_gives_its_connection_back(self, database):
        """Whoever stops waiting does not take a connection along."""
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await database.value("select pg_sleep(30)")
        assert [1, 1] == await asyncio.gather(
            database.value("select 1"), database.value("select 1")
        )


class TestReset:
    async def test_our_own_statement_costs_no_reset(self, database):
        """A connection lent for one statement goes back without another round trip."""
        sent = []
        connection_class = asyncpg.connection.Connection
        original = connection_class.execute

        async def execute(self, query, *arguments, **options):
            sent.append(query)
            return await original(self, query, *arguments, **options)

        connection_class.execute = execute
        try:
            await database.value("select 1")
            await database.rows("select 1")
            assert [] == sent
            async with database.pool.acquire():
                pass
            assert 1 == len(sent)
            assert "RESET ALL" in sent[0]
        finally:
            connection_class.execute = original

    async def test_what_others_set_is_gone(self, database):
        """A setting made on a borrowed connection does not reach the next borrower."""
        async with database.connection() as first, database.connection() as second:
            for each in (first, second):
                await each.raw.execute("set application_name = 'left behind'")
        names = [await database.value("show application_name") for _ in range(4)]

        assert "left behind" not in names

    async def test_a_pool_used_directly_is_reset(self, database):
        """Users' code that takes the pool itself is cleaned up after as ever."""
        async with database.pool.acquire() as connection:
            await connection.execute("set application_name = 'left behind'")

        assert "left behind" != await database.value("show application_name")


class TestLease:
    """Between single statements a connection is kept at hand, for a moment."""

    async def test_the_next_statement_finds_it(self, database):
        """Statements one after another run on one connection."""
        pids = {await database.value("select pg_backend_pid()") for _ in range(5)}

        assert 1 == len(pids)
        assert 0 == database.pool.get_idle_size()

    async def test_it_goes_back_when_it_is_not_needed(self, database):
        """A moment later the pool has it again."""
        await database.value("select 1")
        async with asyncio.timeout(30):
            while 1 != database.pool.get_idle_size():
                await asyncio.sleep(0.01)

    async def test_who_uses_the_pool_itself_gets_all_of_it(self, database):
        """At once, or as soon as what is kept has gone back."""
        await asyncio.gather(database.value("select 1"), database.value("select 1"))
        async with asyncio.timeout(10):
            first, second = [await database.pool.acquire() for _ in range(2)]
        await database.pool.release(first)
        await database.pool.release(second)

    async def test_only_the_task_without_a_caller_waits_without_limit(self, database):
        """What it starts may be shared with callers, who wait no longer than usual."""
        async with database.pool.acquire(), database.pool.acquire() as held:
            token = UNHURRIED.set(asyncio.current_task())
            shared = asyncio.create_task(database.value("select 1"))
            with pytest.raises(Unavailable, match="busy"):
                await shared
            asyncio.get_running_loop().call_later(
                1, asyncio.create_task, database.pool.release(held)
            )
            assert 1 == await database.value("select 1")
            UNHURRIED.reset(token)

    async def test_one_that_the_server_ended_is_not_handed_out(self, database):
        """The next statement is answered by another connection."""
        pid = await database.value("select pg_backend_pid()")
        async with database.pool.acquire() as other:
            # Waits until it is gone; then the loop has to hear of it.
            await other.execute("select pg_terminate_backend($1, 5000)", pid)
            await asyncio.sleep(0.05)
        async with asyncio.timeout(10):
            assert pid != await database.value("select pg_backend_pid()")

    async def test_closing_the_pool_does_not_wait_for_it(self, database):
        """What is kept goes back in time for the end."""
        await database.value("select 1")
        async with asyncio.timeout(10):
            await database.pool.close()


class TestTransaction:
    async def test_commits_at_the_end(self, database):
        """What was done stays."""
        async with database.transaction() as transaction:
            await transaction.run("insert into thing values (1, 'a')")

        assert 1 == await database.value("select count(*) from thing")

    async def test_rolls_back_on_any_error(self, database):
        """An error of the block undoes it, and reaches the caller as it was."""
        with pytest.raises(KeyError):
            async with database.transaction() as transaction:
                await transaction.run("insert into thing values (1, 'a')")
                raise KeyError("mine")

        assert 0 == await database.value("select count(*) from thing")

    async def test_rolls_back_when_cancelled(self, database):
        """A route that runs out of time leaves nothing behind."""

        async def work():
            async with database.transaction() as transaction:
                await transaction.run("insert into thing values (1, 'a')")
                await transaction.value("select pg_sleep(30)")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await work()
        assert 0 == await database.value("select count(*) from thing")

    async def test_cancelled_again_and_again_during_commit(self, database, pool):
        """What is committed is followed by all that belongs to it; then the caller is
        cancelled, and its connection is free."""
        await pool.execute(
            """
            create or replace function slowly() returns trigger language plpgsql as
              $$ begin perform pg_sleep(0.5); return null; end $$;
            create constraint trigger slow after insert on thing
              deferrable initially deferred for each row execute function slowly();
            """
        )
        followed, committing = [], asyncio.Event()

        async def work():
            async with database.transaction() as transaction:
                await transaction.run("insert into thing values (1, 'a')")
                database.after_commit(lambda: followed.append("dropped"))
                committing.set()

        task = asyncio.create_task(work())
        await committing.wait()
        for _ in range(3):
            await asyncio.sleep(0.1)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert 1 == await database.value("select count(*) from thing")
        assert ["dropped"] == followed
        await asyncio.sleep(0.2)  # a connection is kept at hand for a moment
        assert pool.get_size() == pool.get_idle_size()

    async def test_wait_for_is_inside_and_other_tasks_are_not(self, database):
        """However deep; on Python 3.11 each wait_for is a task."""

        async def count():
            return await database.value("select count(*) from thing")

        async def waited():
            return await asyncio.wait_for(count(), 5)

        async with database.transaction() as connection:
            await connection.run("insert into thing values (1, 'a')")
            assert 1 == await asyncio.wait_for(waited(), 5)
            assert [0, 0] == await asyncio.gather(count(), waited())
            assert 0 == await asyncio.wait_for(asyncio.shield(count()), 5)
            assert 1 == await waited()

    async def test_readonly_cannot_write(self, database):
        """A transaction that only reads refuses everything else."""
        with pytest.raises(Forbidden):
            async with database.transaction(readonly=True) as transaction:
                await transaction.run("insert into thing values (1, 'a')")

    async def test_timeout_ends_a_statement_and_the_setting(self, database):
        """`timeout_ms` holds inside, and not for the next borrower."""
        with pytest.raises(TimedOut):
            async with database.transaction(timeout_ms=50) as transaction:
                await transaction.value("select pg_sleep(3)")
        assert "0" == await database.value("show statement_timeout")

    async def test_commit_that_fails_is_told(self, database):
        """A deferred rule that breaks at commit is the caller's error."""
        with pytest.raises(Conflict) as caught:
            async with database.transaction() as transaction:
                await transaction.run("insert into thing_part values (99)")
        assert "row.referenced" == caught.value.code


TOLD = [
    ("insert into thing values (1, 'a'), (2, 'a')", Conflict, "row.exists", "name"),
    ("insert into thing values (1, null)", Unprocessable, "value.refused", "name"),
    ("insert into thing values (1,'a',10)", Unprocessable, "value.refused", "small_is"),
    (
        "insert into thing values (1,'a',1,'long')",
        Unprocessable,
        "value.refused",
        "text",
    ),
    ("select 'x'::int", ApiError, "value.unreadable", "value"),
    ("select 99999::smallint", Unprocessable, "value.refused", "number"),
    ("select 'a' ~ '('", ApiError, "filter.unreadable", "regular"),
    ("insert into thing_part values (9); ", Conflict, "row.referenced", "thing_part"),
    ("select nope from thing", Unavailable, "sql.changed", "tables"),
    (
        "select pg_cancel_backend(pg_backend_pid())",
        TimedOut,
        "timeout.exceeded",
        "long",
    ),
    (
        "do $$ begin raise exception 'no' using errcode = '42501'; end $$",
        Forbidden,
        "row.refused",
        "no",
    ),
    (
        "with a as (insert into thing values (5,'kept')) select 1; delete from thing",
        Conflict,
        "row.refused",
        "thing 5 stays",
    ),
]


@pytest.mark.parametrize(
    ("text", "kind", "code", "word"), TOLD, ids=[t[0] for t in TOLD]
)
async def test_errors_are_told_without_sql(database, text, kind, code, word):
    """Each error has its status and code, names the thing, shows no SQL or value."""
    with pytest.raises(ApiError) as caught:
        await database.run(text)

    assert isinstance(caught.value, kind)
    assert code == caught.value.code
    assert word in caught.value.message
    for leak in ("select", "insert", "DETAIL", "Key (", "Failing row", "\n"):
        assert leak not in caught.value.message


async def test_a_value_of_the_wrong_python_type_is_told(database):
    """What asyncpg refuses before it is sent is the same 400."""
    with pytest.raises(ApiError) as caught:
        await database.value("select $1::int", "x")

    assert "value.unreadable" == caught.value.code
    assert "$1" not in caught.value.message


class TestSilence:
    async def test_no_free_connection_in_time(self, database):
        """A caller waits for a connection so long and no longer."""
        async with database.connection(), database.connection():
            with pytest.raises(Unavailable) as caught:
                await database.value("select 1")
        assert "pool.exhausted" == caught.value.code
        assert 1 == await database.value("select 1")

    async def test_a_lost_server_is_told_and_found_again(self, database_url, pool):
        """While the wire is cut: 503. Once it is mended: answers."""
        host, _, name = database_url.rpartition("@")[2].rpartition("/")
        wire = Wire(int(host.rpartition(":")[2]))
        user = database_url.partition("://")[2].partition("@")[0]
        await wire.mend()
        async with asyncpg.create_pool(
            f"postgresql://{user}@127.0.0.1:{wire.port}/{name}",
            min_size=1,
            max_size=2,
            reset=reset,
            ssl=False,
        ) as far:
            database = Database(far, acquire_seconds=1)
            assert 1 == await database.value("select 1")
            await wire.cut()
            for _ in range(3):
                with pytest.raises(Unavailable) as caught:
                    await database.value("select 1")
                assert "client.silent" == caught.value.code
            await wire.mend()
            assert 1 == await database.value("select 1")
            await wire.cut()

    async def test_a_backend_killed_in_a_transaction_is_told(self, database):
        """Who loses the connection inside a transaction hears 503, once."""
        with pytest.raises(Unavailable):
            async with database.transaction() as transaction:
                await transaction.value("select pg_terminate_backend(pg_backend_pid())")
        assert 1 == await database.value("select 1")

    async def test_a_closed_pool_is_told(self, database):
        """After the pool is closed callers hear 503."""
        await database.pool.close()

        with pytest.raises(Unavailable):
            await database.value("select 1")


class TestInside:
    """A transaction of Atom inside another one: its limits end with it."""

    async def test_limits_of_a_savepoint_end_with_it(self, database):
        """Kept or undone, the transaction around has its own again, and may write."""
        ask = "select current_setting('statement_timeout')"
        async with database.transaction(timeout_ms=7000) as outer:
            for fails in (False, True):
                with contextlib.suppress(KeyError):
                    async with database.transaction(
                        readonly=True, timeout_ms=3000
                    ) as inner:
                        assert "3s" == await inner.value(ask)
                        assert "on" == await inner.value("show transaction_read_only")
                        if fails:
                            raise KeyError
                assert "7s" == await outer.value(ask)
                await outer.run("create temp table kept (n int) on commit drop")
                await outer.run("drop table kept")

    async def test_what_waits_for_the_commit_follows_its_savepoint(self, database):
        """Undone with it; else after the outermost commit, in order."""
        called = []
        async with database.transaction():
            database.after_commit(lambda: called.append("first"))
            with contextlib.suppress(KeyError):
                async with database.transaction():
                    database.after_commit(lambda: called.append("undone"))
                    raise KeyError
            async with database.transaction():
                database.after_commit(lambda: called.append("second"))
            assert [] == called
        assert ["first", "second"] == called
        database.after_commit(lambda: called.append("at once"))
        assert "at once" == called[-1]


async def test_many_callers_share_one_reading_of_the_tables(database):
    """However many meet a change at once; a failing one leaves the callers alone."""
    calls = []

    async def reread(at_once):
        calls.append(database.current())
        await asyncio.sleep(0.05)
        if len(calls) > 1:
            raise Unavailable("away")

    database.reread = reread
    before = database.catalog

    def heal(*, at_once):
        return database.heal(before, at_once=at_once)

    async with database.transaction():
        shared = await asyncio.gather(*(heal(at_once=True) for _ in range(50)))
    assert [None] == calls  # outside of the transaction that asks
    # What another caller has begun may not have seen the change: one more try.
    assert [False] + [True] * 49 == shared
    assert not await heal(at_once=False)
    assert [None] == calls  # it was a moment ago
    assert not await heal(at_once=True)
    assert [None, None] == calls
    database.catalog = Catalog()
    assert await heal(at_once=True)
    assert [None, None] == calls  # it has been read meanwhile
