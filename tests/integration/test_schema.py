"""config_postgres_schema on a real PostgreSQL: planned, applied, applied again."""

import asyncio
import logging
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atom.datatype.declared import INDEX_METHODS, fits
from atom.errors import Conflict, Unavailable
from atom.own.declaration import SCHEMA
from atom.postgres.database import Database
from atom.postgres.lease import reset
from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from tests.database import dumped
from tests.integration.near import connected, database_url, fresh_database

__all__ = ["database_url"]

ROOT = Path(__file__).parents[2]


def shipped():
    """Return the declaration of a fresh clone."""
    return Declaration.parse(SCHEMA)


def declare(*lines, table="test", **queries):
    """Declare one table."""
    return Declaration.parse({"table": {table: list(lines)}, "query": queries})


@pytest.fixture
async def url(database_url):
    """The address of an empty database."""
    async with fresh_database(database_url) as fresh:
        yield fresh


@pytest.fixture
async def raw(url):
    """A connection to the empty database."""
    connection = await connected(url)
    yield connection
    await connection.close()


async def columns(raw, table):
    """Return the names of a table's columns."""
    found = await raw.fetch(
        "select attname from pg_attribute where attrelid = $1::regclass"
        " and attnum > 0 and not attisdropped",
        table,
    )
    return {row["attname"] for row in found}


async def valid(raw, index):
    """Say whether an index is there and serves; None when it is not there."""
    return await raw.fetchval(
        "select indisvalid from pg_index where indexrelid = to_regclass($1)", index
    )


class TestShipped:
    """The declaration that is cloned with Atom."""

    async def test_second_plan_is_empty_and_the_database_unchanged(self, url):
        """Applying twice changes nothing, to the letter of pg_dump."""
        await schema.apply(url, shipped())
        before = dumped(url)

        planned = await schema.plan(url, shipped())
        again = await schema.apply(url, shipped())

        assert ((), (), ()) == (planned.steps, planned.drift, planned.refusals)
        assert () == again.steps
        assert before == dumped(url)

    async def test_plan_changes_nothing(self, url, raw):
        """Looking is free: not even Atom's own schema is made."""
        planned = await schema.plan(url, shipped())

        assert "create table" in " ".join(step.sql for step in planned.steps)
        assert not await raw.fetchval("select to_regnamespace('atom') is not null")

    async def test_every_index_is_named_by_the_contract_and_serves(self, url, raw):
        """index_{table}_{column}_{type}, all of them valid."""
        await schema.apply(url, shipped())
        wanted = {
            f"index_{table}_{column.name}_{method}"
            for table, inside in shipped().tables.items()
            for column in inside.values()
            for method in column.indexes
        }

        found = await raw.fetch(
            "select relname from pg_class c join pg_index i on i.indexrelid = c.oid"
            " where relname like 'index\\_%' and indisvalid"
        )

        assert wanted == {row["relname"] for row in found}

    async def test_users_of_one_type_have_names_of_their_own(self, url, raw):
        """The same name is free for another type, and nobody needs one."""
        await schema.apply(url, shipped())
        insert = "insert into users (type, username) values ($1, $2)"
        for values in ((1, "ada"), (2, "ada"), (1, None), (1, None)):
            await raw.execute(insert, *values)

        with pytest.raises(asyncpg.UniqueViolationError):
            await raw.execute(insert, 1, "ada")

    async def test_distance_uses_the_index_without_postgis(self, url, raw):
        """A search around a place does not read every row."""
        await schema.apply(url, shipped())
        await raw.execute(
            "insert into test (location) select point(i % 360 - 180, i % 180 - 90)"
            " from generate_series(1, 5000) i; analyze test"
        )

        planned = await raw.fetch(
            "explain select * from test where location <@ box '(77, 28), (78, 29)'"
        )

        assert "index_test_location_gist" in str(planned)

    async def test_role_that_owns_the_database_is_enough(self, url, raw):
        """Without a superuser what it may not do is told, and all the rest done."""
        await raw.execute("drop role if exists plain")
        await raw.execute("create role plain login")
        name = url.rpartition("/")[2]
        await raw.execute(f"alter database {name} owner to plain")
        me = await raw.fetchval("select current_user")
        mine = url.replace(f"{me}@", "plain@")

        done = await schema.apply(mine, shipped())
        again = await schema.plan(mine, shipped())

        await raw.execute(f"reassign owned by plain to {me}; drop owned by plain")
        await raw.execute("drop role plain")
        assert any("PostGIS" in note for note in done.notes)
        assert () == again.steps


class TestWorkers:
    """Several workers on one database."""

    async def test_of_four_at_once_one_applies(self, url):
        """The others wait and find nothing left to do; nobody waits for ever."""
        async with asyncio.timeout(60):
            plans = await asyncio.gather(
                *(schema.apply(url, shipped()) for _ in range(4))
            )

        assert 1 == sum(bool(plan.steps) for plan in plans)

    async def test_pool_with_short_limits_is_enough(self, url):
        """Requests' limits do not hold for a change of the schema, and come back."""
        limits = {"statement_timeout": "200", "search_path": "pg_catalog"}
        slow = declare("a-int-0-0", q="select pg_sleep(0.4)")
        pool = await asyncpg.create_pool(
            url, min_size=1, max_size=1, server_settings=limits, reset=reset
        )
        try:
            await schema.apply(Database(pool), slow)

            shown = await pool.fetchval("show statement_timeout")
            assert "200ms" == shown
            assert "pg_catalog" == await pool.fetchval("show search_path")
        finally:
            await pool.close()

    async def test_connection_handed_in_is_given_back_as_it_was(self, raw):
        """No setting and no lock of ours stays behind."""
        before = await raw.fetchval("show search_path")

        await schema.apply(raw, declare("title-text-0-0"))

        assert before == await raw.fetchval("show search_path")
        assert not await raw.fetchval(
            "select exists (select from pg_locks where locktype = 'advisory'"
            " and database = (select oid from pg_database"
            " where datname = current_database()))"
        )

    async def test_change_waits_for_a_table_in_use(self, url, raw):
        """A transaction that holds the table delays the change, no more."""
        await schema.apply(url, declare())
        other = await connected(url)
        transaction = other.transaction()
        await transaction.start()
        await other.execute("lock table test in share mode")

        change = asyncio.create_task(schema.apply(url, declare("title-text-0-0")))
        await asyncio.sleep(0.3)
        waiting = not change.done()
        await transaction.rollback()
        await other.close()
        await change

        assert waiting
        assert "title" in await columns(raw, "test")

    async def test_workers_hear_of_a_change(self, url, raw):
        """A notification goes out when something was done, and only then."""
        heard = []
        await raw.add_listener("atom", lambda *args: heard.append(args[-1]))

        await schema.apply(url, declare("title-text-0-0"))
        await schema.apply(url, declare("title-text-0-0"))
        await raw.fetchval("select 1")

        assert ['{"topic":"schema","value":""}'] == heard

    async def test_database_that_is_gone_is_unavailable(self):
        """A driver's error never leaves."""
        with pytest.raises(Unavailable):
            await schema.apply("postgresql://a@127.0.0.1:1/a", declare())


class TestIndex:
    """Indexes that broke, or cannot be built."""

    async def test_invalid_index_is_repaired(self, url, raw):
        """What an interrupted build left is built again."""
        declared = declare("title-text-0-btree")
        await schema.apply(url, declared)
        name = "index_test_title_btree"
        await raw.execute(
            "update pg_index set indisvalid = false where indexrelid = $1::regclass",
            name,
        )

        before = await valid(raw, name)
        await schema.apply(url, declared)

        assert before is False
        assert await valid(raw, name)

    async def test_index_that_cannot_be_built_is_told_and_leaves_nothing(
        self, url, raw, caplog
    ):
        """The rest is done; the message holds neither SQL nor the value."""
        await schema.apply(url, declare("title-text-0-0"))
        await raw.execute(
            "insert into test (title) select string_agg(md5(i::text), '')"
            " from generate_series(1, 1000) i"
        )
        wanted = declare("title-text-0-btree", "other-text-0-btree")

        with caplog.at_level(logging.CRITICAL), pytest.raises(Conflict) as caught:
            await schema.apply(url, wanted)

        assert "schema.incomplete" == caught.value.code
        assert (
            "The tables are changed, except: Index index_test_title_btree:"
            " a value that exists is too long for it."
        ) == caught.value.message
        assert await valid(raw, "index_test_title_btree") is None
        assert await valid(raw, "index_test_other_btree")

    async def test_index_no_longer_declared_goes(self, url, raw):
        """0 takes it away."""
        await schema.apply(url, declare("title-text-0-btree,hash"))

        await schema.apply(url, declare("title-text-0-hash"))

        assert await valid(raw, "index_test_title_btree") is None
        assert await valid(raw, "index_test_title_hash")


class TestChange:
    """A database that is otherwise than declared."""

    async def test_drift_is_told_and_nothing_is_dropped_or_changed(self, url, raw):
        """Columns, datatypes and tables that differ stay, rows and all."""
        await raw.execute(
            "create table test (id bigint generated by default as identity primary key,"
            " title text, old text); create table elsewhere (a int);"
            " insert into test (title, old) values ('a', 'b')"
        )

        done = await schema.apply(url, declare("title-varchar(9)-0-0"))

        assert (
            "test.title is text, declared character varying(9):"
            " is_destructive=1 changes it.",
            "test.old is not declared: is_destructive=1 drops it.",
            "Table elsewhere is not declared.",
        ) == done.drift
        assert ("a", "b") == tuple(await raw.fetchrow("select title, old from test"))

    async def test_destructive_drops_and_changes(self, url, raw):
        """When asked for, with indexes and triggers in the way."""
        before = declare("rating-text-0-btree,gin", "is_protected-smallint-0-0")
        await schema.apply(url, before)
        await raw.execute("insert into test (rating) values ('7')")
        after = declare("rating-int-0-btree", "updated_at-timestamptz-0-0")

        await schema.apply(url, after, destructive=True)

        assert {"id", "rating", "updated_at"} == await columns(raw, "test")
        assert 7 == await raw.fetchval("select rating from test")
        assert () == (await schema.plan(url, after)).steps

    async def test_value_that_does_not_fit_stops_the_change_whole(
        self, url, raw, caplog
    ):
        """All of the transaction is undone, and the value is not shown."""
        await schema.apply(url, declare("rating-text-0-0"))
        await raw.execute("insert into test (rating) values ('secret')")
        wanted = declare("new-text-0-0", "rating-int-0-0")

        with caplog.at_level(logging.CRITICAL), pytest.raises(Conflict) as caught:
            await schema.apply(url, wanted, destructive=True)

        assert "Table test: a value that exists does not fit." == caught.value.message
        assert {"id", "rating"} == await columns(raw, "test")

    async def test_nulls_refuse_the_change_before_it_begins(self, url, raw):
        """Nothing at all is done, and the message names the column."""
        await schema.apply(url, declare("title-text-0-0"))
        await raw.execute("insert into test (title) values (null)")

        with pytest.raises(Conflict, match=r"test\.title is declared mandatory"):
            await schema.apply(url, declare("title-text-1-0", "new-text-0-0"))

        assert {"id", "title"} == await columns(raw, "test")

    async def test_column_of_a_large_table_becomes_mandatory(self, url, raw):
        """By way of a check that is proven first and gone afterwards."""
        await schema.apply(url, declare("title-text-0-0"))
        await raw.execute(
            "insert into test (title) select 'a' from generate_series(1, 20000);"
            " analyze test"
        )

        done = await schema.apply(url, declare("title-text-1-0"))

        assert 3 == len(done.steps)
        assert () == (await schema.plan(url, declare("title-text-1-0"))).steps
        with pytest.raises(asyncpg.NotNullViolationError):
            await raw.execute("insert into test (title) values (null)")

    async def test_mandatory_is_taken_back(self, url, raw):
        """0 lets null in again."""
        await schema.apply(url, declare("title-text-1-0"))

        await schema.apply(url, declare("title-text-0-0"))

        await raw.execute("insert into test (title) values (null)")

    async def test_rows_that_break_a_flag_are_told_and_new_ones_refused(
        self, url, raw, caplog
    ):
        """The rule holds from now on; the plan keeps asking to prove the rest."""
        await raw.execute(
            "create table test (id bigint generated by default as identity primary key,"
            " is_active smallint); insert into test (is_active) values (7)"
        )
        declared = declare("is_active-smallint-0-0")

        with caplog.at_level(logging.CRITICAL), pytest.raises(Conflict) as caught:
            await schema.apply(url, declared)

        assert "rows that exist break the rule" in caught.value.message
        with pytest.raises(asyncpg.CheckViolationError):
            await raw.execute("insert into test (is_active) values (2)")
        assert 1 == len((await schema.plan(url, declared)).steps)

    async def test_table_that_was_dropped_is_made_again_with_its_constraints(
        self, url, raw
    ):
        """Atom's record of queries does not outlive what they did."""
        await schema.apply(url, shipped())
        await raw.execute("drop table report_user")

        await schema.apply(url, shipped())

        await raw.execute(
            "insert into report_user (created_by_id, user_id) values (1,2)"
        )
        with pytest.raises(asyncpg.UniqueViolationError):
            await raw.execute(
                "insert into report_user (created_by_id, user_id) values (1,2)"
            )


class TestQuery:
    """The user's own statements."""

    async def test_query_runs_once_for_each_text(self, url, raw):
        """A second apply does not run it, a changed text does."""
        for text in ("insert into test (a) values (1)",) * 2 + (
            "insert into test (a) values (2)",
        ):
            await schema.apply(url, declare("a-int-0-0", q=text))

        found = await raw.fetch("select a from test order by id")

        assert [1, 2] == [row["a"] for row in found]

    async def test_query_outside_a_transaction_runs(self, url, raw):
        """PostgreSQL refuses some statements in one."""
        text = "create index concurrently mine on test (a)"

        await schema.apply(url, declare("a-int-0-0", q=text))

        assert await valid(raw, "mine")

    async def test_failing_query_is_named_and_the_next_one_runs(self, url, raw, caplog):
        """One wrong query does not keep the others from running, nor is it recorded."""
        declared = declare(
            "a-int-0-0",
            wrong="insert into nowhere values (1)",
            right="insert into test (a) values (1)",
        )

        with caplog.at_level(logging.CRITICAL), pytest.raises(Conflict) as caught:
            await schema.apply(url, declared)

        assert (
            "The tables are changed, except:"
            " Query wrong: it names a table that does not exist."
        ) == caught.value.message
        assert 1 == await raw.fetchval("select count(*) from test")
        assert ["wrong"] == [s.name for s in (await schema.plan(url, declared)).steps]


NAMES = st.sampled_from(["a", "b_c", "order", "is_on", "created_at", "a" * 63])
WORDS = """
smallint bigint text text[] varchar(9) char(3) numeric(10,2) real float boolean date
timestamptz timestamp(3) time interval(0) uuid json jsonb bytea inet bit(4) tsvector
point int4range geography(POINT) citext bigint[] timestamptz[] char
"""
TYPES = st.sampled_from(WORDS.split())


@st.composite
def declarations(draw):
    """Draw tables that PostgreSQL can store, with indexes it can build."""
    tables = {}
    for table in draw(st.sets(st.sampled_from(["a", "a_b", "user", "t" * 63]))):
        lines = []
        for name in sorted(draw(st.sets(NAMES, max_size=4))):
            written = draw(TYPES)
            column = Declaration.parse({"table": {"t": [f"{name}-{written}-0-0"]}})
            datatype = column.tables["t"][name].datatype
            able = [m for m in INDEX_METHODS if fits(m, datatype)]
            methods = draw(st.sets(st.sampled_from(able))) if able else set()
            index = ",".join(sorted(methods)) or "0"
            lines.append(f"{name}-{written}-{draw(st.integers(0, 1))}-{index}")
        tables[table] = lines
    return {"table": tables}


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(first=declarations(), second=declarations())
async def test_any_declaration_is_whole_after_one_apply(database_url, first, second):
    """After an apply nothing is left to do, from nothing and from another state."""
    async with fresh_database(database_url) as url:
        before, after = Declaration.parse(first), Declaration.parse(second)
        await schema.apply(url, before)
        left = await schema.plan(url, before)
        try:
            await schema.apply(url, after, destructive=True)
        except Conflict as error:
            # Not every datatype can become every other, rows or none.
            assert "datatype" in error.message
            return
        second_left = await schema.plan(url, after, destructive=True)

    assert ((), ()) == (left.steps, left.drift)
    assert () == second_left.steps
