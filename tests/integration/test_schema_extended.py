"""The long form of a declaration on a real PostgreSQL: kept, replaced, taken away."""

import logging
import re

import asyncpg
import pytest

from atom.errors import Conflict
from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from tests.database import dumped
from tests.integration.near import connected, database_url, fresh_database

__all__ = ["database_url"]

ORDER = {
    "order": [
        {
            "name": "user_id",
            "datatype": "bigint",
            "is_mandatory": 1,
            "index": "btree",
            "references": "users.id",
            "on_delete": "cascade",
        },
        {
            "name": "state",
            "datatype": "text",
            "is_mandatory": 1,
            "default": "new",
            "in": ["new", "it's paid", "sent"],
        },
        {
            "name": "code",
            "datatype": "text",
            "unique": 1,
            "regex": r"^[A-Z]{2}\d+$",
        },
        {"name": "amount", "datatype": "numeric(12,2)", "default": 0},
        {"name": "paid", "datatype": "numeric(12,2)", "check": "paid <= amount"},
        {"name": "made_at", "datatype": "timestamptz", "default": "now()"},
        {"name": "token", "datatype": "uuid", "default": "gen_random_uuid()"},
        {"name": "tag", "datatype": "text[]", "default": ["a b", 'q"\\']},
        {"name": "extra", "datatype": "jsonb", "default": {"b": 1.0, "a": [None]}},
        {"name": "rate", "datatype": "real", "default": 0.1, "in": [0.1, 2]},
        {"name": "since", "datatype": "timestamp(3)", "default": "2026-01-02T03:04:05"},
        {"name": "is_on", "datatype": "smallint", "default": 1, "in": [1]},
        "note-text-0-gin",
        {"index": ["user_id", "state"]},
        {"index": ["user_id", "made_at"], "unique": 1},
        {"index": ["note", "code"], "type": "gin"},
    ],
    "users": ["name-text-0-0", {"index": ["id", "name"], "unique": 1}],
    "line": [
        "owner_id-bigint-0-0",
        "owner_name-text-0-0",
        {
            "foreign_key": ["owner_id", "owner_name"],
            "references": "users.id,name",
            "on_delete": "set null",
        },
    ],
}


def declare(*lines, **tables):
    """Declare the table test, and others by their names."""
    return Declaration.parse({"table": {"test": list(lines), **tables}})


def column(name, datatype="text", **keys):
    """Write a column in the long form."""
    return {"name": name, "datatype": datatype, **keys}


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


async def settled(url, declared, **how):
    """Apply, and see that nothing is left to do and nothing differs."""
    done = await schema.apply(url, declared, **how)
    left = await schema.plan(url, declared, **how)
    assert ((), (), ()) == (left.steps, left.drift, left.refusals)
    return [step.sql for step in done.steps]


class TestWhole:
    """Everything that can be declared, at once."""

    async def test_second_plan_is_empty_and_the_database_unchanged(self, url):
        """Applying twice changes nothing, to the letter of pg_dump."""
        declared = Declaration.parse({"table": ORDER})
        await settled(url, declared)
        before = dumped(url)

        again = await schema.apply(url, declared)

        assert () == again.steps
        assert before == dumped(url)

    async def test_table_that_grows_into_it_is_the_same(self, url, raw):
        """RowConfig that come to rows are proven, and end where a new table begins."""
        declared = Declaration.parse({"table": ORDER})
        await schema.apply(
            url, Declaration.parse({"table": {"order": [], "users": []}})
        )
        await raw.execute("insert into users default values")

        await settled(url, declared)

        assert not await raw.fetch("select from pg_constraint where not convalidated")
        shown = dumped(url).decode()
        assert "ON DELETE SET NULL" in shown
        assert "CREATE UNIQUE INDEX index_order_code_unique" in shown

    async def test_session_in_another_zone_plans_nothing(self, url):
        """What PostgreSQL shows of a default depends on who asks."""
        at = column("at", "timestamptz", default="2026-01-02T03:04:05+01:00")
        await schema.apply(url, declare(at))
        abroad = {"timezone": "Asia/Kolkata", "datestyle": "German"}
        other = await asyncpg.connect(url, server_settings=abroad)

        planned = await schema.plan(other, declare(at))
        after = await other.fetchval("show datestyle")
        await other.close()

        assert () == planned.steps
        assert "German, DMY" == after


class TestDefault:
    """Defaults that are declared, changed and taken back."""

    async def test_row_is_given_what_is_declared(self, url, raw):
        """The value itself, whatever it holds."""
        await schema.apply(url, Declaration.parse({"table": ORDER}))
        await raw.execute("insert into users default values")

        row = await raw.fetchrow(
            'insert into "order" (user_id) values (1) returning *, now() = made_at as t'
        )

        assert ("new", ["a b", 'q"\\']) == (row["state"], row["tag"])
        assert '{"a": [null], "b": 1.0}' == row["extra"]
        assert row["t"]
        assert row["token"] is not None

    async def test_rows_that_exist_are_given_it_with_a_new_column(self, url, raw):
        """A mandatory column with a default comes to rows; each has its own uuid."""
        await schema.apply(url, declare())
        await raw.execute(
            "insert into test default values; insert into test default values"
        )
        new = [
            column("a", is_mandatory=1, default="it's"),
            column("b", "uuid", is_mandatory=1, default="gen_random_uuid()"),
        ]

        planned = await schema.plan(url, declare(*new))
        await settled(url, declare(*new))

        assert [False, True] == [step.rewrite for step in planned.steps]
        assert ["it's"] * 2 == [r["a"] for r in await raw.fetch("select a from test")]
        assert 2 == await raw.fetchval("select count(distinct b) from test")

    async def test_default_is_changed_and_taken_away(self, url, raw):
        """One statement each; None is no default."""
        await schema.apply(url, declare(column("a", default="x")))

        changed = await settled(url, declare(column("a", default="y")))
        removed = await settled(url, declare(column("a", default=None)))

        assert changed[0].endswith("set default 'y'::text")
        assert removed[0].endswith("drop default")

    async def test_default_that_is_not_declared_is_told_and_stays(self, url):
        """It may be somebody's; the long form says how to be rid of it."""
        await schema.apply(url, declare(column("a", default="x")))

        planned = await schema.plan(url, declare(column("a")))

        assert () == planned.steps
        assert "test.a has a default that is not declared" in planned.drift[0]
        assert () == (await schema.plan(url, declare("a-text-0-0"))).drift

    async def test_default_follows_a_change_of_datatype(self, url):
        """The old one cannot be cast; the new one stands in the end."""
        await schema.apply(url, declare(column("a", default="x")))

        await settled(url, declare(column("a", "int", default=7)), destructive=True)


class TestRule:
    """Checks, regexes and lists of values."""

    @pytest.mark.parametrize(
        ("keys", "good", "bad"),
        [
            ({"check": "length(a) > 2 or a = ')'"}, ")", "ab"),
            ({"regex": r"^it's \d$"}, "it's 7", "its 7"),
            ({"in": ["it's", "b"]}, "it's", "c"),
        ],
    )
    async def test_value_that_breaks_a_rule_is_refused(self, url, raw, keys, good, bad):
        """The rule bears the name of table, column and kind; null is no value."""
        await settled(url, declare(column("a", **keys)))
        insert = "insert into test (a) values ($1)"
        await raw.execute(insert, good)
        await raw.execute(insert, None)

        with pytest.raises(asyncpg.CheckViolationError) as caught:
            await raw.execute(insert, bad)

        assert f"check_test_a_{next(iter(keys))}" == caught.value.constraint_name

    async def test_rule_of_another_text_replaces_the_first(self, url, raw):
        """In one statement: there is no moment without a rule."""
        await schema.apply(url, declare(column("a", **{"in": ["x"]})))

        done = await settled(url, declare(column("a", **{"in": ["x", "y"]})))

        assert 2 == len(done)
        assert re.search(r"drop constraint .* add constraint .* not valid", done[0])
        await raw.execute("insert into test (a) values ('y')")

    async def test_rule_that_is_not_declared_any_more_goes(self, url, raw):
        """What was made by hand stays."""
        await schema.apply(url, declare(column("a", regex="x")))
        await raw.execute("alter table test add constraint mine check (a <> 'y')")

        await settled(url, declare("a-text-0-0"))

        names = await raw.fetch(
            "select conname from pg_constraint where contype = 'c'"
            " and conrelid = 'test'::regclass"
        )
        assert ["mine"] == [row["conname"] for row in names]

    async def test_rows_that_break_a_rule_are_told_and_new_ones_refused(
        self, url, raw, caplog
    ):
        """The rest is done; once the rows are mended the next apply proves it."""
        await schema.apply(url, declare("a-text-0-0"))
        await raw.execute("insert into test (a) values ('secret')")
        declared = declare(column("a", regex="^x"), "b-text-0-btree")

        with caplog.at_level(logging.CRITICAL), pytest.raises(Conflict) as caught:
            await schema.apply(url, declared)

        assert (
            "The tables are changed, except: Constraint check_test_a_regex:"
            " rows that exist break the rule."
        ) == caught.value.message
        with pytest.raises(asyncpg.CheckViolationError):
            await raw.execute("insert into test (a) values ('y')")
        await raw.execute("update test set a = 'x'")
        assert 1 == len(await settled(url, declared))

    async def test_regex_postgresql_cannot_read_refuses_the_plan(self, url, raw):
        """Nothing at all is done: each insert would have failed."""
        with pytest.raises(Conflict, match=r"test\.a: PostgreSQL cannot read"):
            await schema.apply(url, declare(column("a", regex="(")))

        assert await raw.fetchval("select to_regclass('test')") is None

    async def test_condition_that_is_no_sql_is_told_and_the_rest_done(
        self, url, raw, caplog
    ):
        """By the name of the rule."""
        declared = declare(column("a", check="a >"), "b-text-0-btree")

        with caplog.at_level(logging.CRITICAL), pytest.raises(Conflict) as caught:
            await schema.apply(url, declared)

        assert "check_test_a_check: it is not SQL" in caught.value.message
        assert await raw.fetchval("select to_regclass('index_test_b_btree')")

    async def test_rule_makes_way_for_a_datatype_and_comes_again(self, url):
        """A list of texts is not a list of numbers."""
        await schema.apply(url, declare(column("a", **{"in": ["1"]}, regex="1")))

        after = declare(column("a", "int", **{"in": [1]}))
        await settled(url, after, destructive=True)

    async def test_two_rules_of_one_name_both_hold(self, url, raw):
        """is_a_in is a flag, and `in` is a rule on is_a."""
        flag = column("is_a_in", "smallint")
        ruled = column("is_a", "smallint", **{"in": [1]})

        await settled(url, declare(flag, ruled))

        for name in ("is_a_in = 2", "is_a = 0"):
            one, _, value = name.partition(" = ")
            with pytest.raises(asyncpg.CheckViolationError):
                await raw.execute(f"insert into test ({one}) values ({value})")


class TestUnique:
    """Uniqueness of one column and of several."""

    async def test_row_that_is_there_already_is_refused(self, url, raw):
        """Nulls are never the same."""
        await settled(url, declare(column("a", unique=1)))
        await raw.execute("insert into test (a) values ('x'), (null), (null)")

        with pytest.raises(asyncpg.UniqueViolationError):
            await raw.execute("insert into test (a) values ('x')")

    async def test_several_columns_are_unique_together(self, url, raw):
        """An upsert may name them."""
        await settled(
            url, declare("a-int-0-0", "b-int-0-0", {"index": ["a", "b"], "unique": 1})
        )

        for _ in range(2):
            await raw.execute(
                "insert into test (a, b) values (1, 2) on conflict (a, b) do nothing"
            )

        assert 1 == await raw.fetchval("select count(*) from test")

    async def test_rows_that_are_not_unique_are_told_and_nothing_is_left(
        self, url, raw, caplog
    ):
        """No broken index stays behind."""
        await schema.apply(url, declare("a-int-0-0"))
        await raw.execute("insert into test (a) values (1), (1)")

        with caplog.at_level(logging.CRITICAL), pytest.raises(Conflict) as caught:
            await schema.apply(url, declare(column("a", "int", unique=1)))

        assert "rows that exist are not unique there" in caught.value.message
        assert await raw.fetchval("select to_regclass('index_test_a_unique')") is None

    async def test_unique_is_taken_back(self, url, raw):
        """Also where a foreign key stood on it."""
        other = [column("test_a", "int", references="test.a")]
        await settled(url, declare(column("a", "int", unique=1), other=other))

        await settled(url, declare("a-int-0-0", other=["test_a-int-0-0"]))

        await raw.execute("insert into test (a) values (1), (1)")

    async def test_index_of_several_columns_is_taken_back_and_goes_with_its_column(
        self, url
    ):
        """No index of ours is left over, whichever way it went."""
        both = declare("a-int-0-0", "b-int-0-0", {"index": ["a", "b"]})
        await schema.apply(url, both)

        await settled(url, declare("a-int-0-0", "b-int-0-0"))
        await settled(url, both)
        await settled(url, declare("a-int-0-0"), destructive=True)

    async def test_index_of_several_columns_in_another_order_is_another(self, url):
        """The first column decides what the index is good for."""
        columns = ("a-int-0-0", "b-int-0-0")
        await schema.apply(url, declare(*columns, {"index": ["a", "b"]}))

        await settled(url, declare(*columns, {"index": ["b", "a"]}))


class TestForeignKey:
    """References between tables."""

    @pytest.mark.parametrize(
        ("on_delete", "left"),
        [("cascade", []), ("set null", [None]), ("restrict", [1]), ("", [1])],
    )
    async def test_deletion_does_what_is_declared(self, url, raw, on_delete, left):
        """Rows go along, lose the reference, or keep what they refer to."""
        key = column("user_id", "bigint", references="person", on_delete=on_delete)
        await settled(url, declare(key, person=[]))
        await raw.execute(
            "insert into person default values; insert into test (user_id) values (1)"
        )

        if left == [1]:
            with pytest.raises(
                (asyncpg.ForeignKeyViolationError, asyncpg.RestrictViolationError)
            ):
                await raw.execute("delete from person")
        else:
            await raw.execute("delete from person")

        found = await raw.fetch("select user_id from test")
        assert left == [row["user_id"] for row in found]

    async def test_other_deletion_replaces_the_first(self, url, raw):
        """The rule is made anew and proven."""
        key = column("user_id", "bigint", references="person")
        await schema.apply(url, declare(key, person=[]))

        await settled(url, declare({**key, "on_delete": "cascade"}, person=[]))

        assert "c" == await raw.fetchval(
            "select confdeltype::text from pg_constraint where contype = 'f'"
        )

    async def test_rows_without_what_they_refer_to_are_told(self, url, raw, caplog):
        """New rows are held to it at once."""
        await schema.apply(url, declare("a-bigint-0-0", person=[]))
        await raw.execute("insert into test (a) values (7)")
        declared = declare(column("a", "bigint", references="person"), person=[])

        with caplog.at_level(logging.CRITICAL), pytest.raises(Conflict) as caught:
            await schema.apply(url, declared)

        assert "foreign_test_a: rows that exist refer to rows that do not" in (
            caught.value.message
        )
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await raw.execute("insert into test (a) values (8)")

    async def test_what_is_not_there_cannot_be_referred_to(self, url, raw):
        """The nearest right word is told, and nothing is done."""
        for goal, words in (
            ("persn", "person'?"),
            ("person.nam", "person.nam, which is not a column. Did you mean 'name'?"),
        ):
            declared = declare(
                column("a", "bigint", references=goal), person=["name-text-0-0"]
            )
            with pytest.raises(Conflict) as caught:
                await schema.apply(url, declared)
            assert words in caught.value.message

        assert await raw.fetchval("select to_regclass('test')") is None

    async def test_what_is_not_unique_cannot_be_referred_to(self, url, caplog):
        """The message names the cause."""
        declared = declare(
            column("a", references="person.name"), person=["name-text-0-0"]
        )

        with caplog.at_level(logging.CRITICAL), pytest.raises(Conflict) as caught:
            await schema.apply(url, declared)

        assert "what it refers to is not unique there" in caught.value.message


class TestRename:
    """Columns that have a new name."""

    BEFORE = (
        column("title", is_mandatory=1, index="btree,gin", unique=1, regex="^a"),
        column("writer_id", "bigint", references="person"),
        "is_on-smallint-0-0",
        {"index": ["title", "writer_id"]},
    )
    AFTER = (
        column(
            "name", is_mandatory=1, index="btree,gin", unique=1, regex="^a", old="title"
        ),
        column("person_id", "bigint", references="person", old="writer_id"),
        column("is_off", "smallint", old="is_on"),
        {"index": ["name", "person_id"]},
    )

    async def test_column_keeps_its_rows_its_indexes_and_its_rules(self, url, raw):
        """Nothing is built or proven again, and nothing of the old name is left."""
        await schema.apply(url, declare(*self.BEFORE, person=[]))
        await raw.execute(
            "insert into person default values;"
            " insert into test (title, writer_id) values ('a', 1)"
        )

        done = await settled(url, declare(*self.AFTER, person=[]))

        assert all(" rename " in sql for sql in done)
        row = await raw.fetchrow("select name, person_id from test")
        assert ("a", 1) == tuple(row)
        assert not re.search(rb"title|writer_id|is_on", dumped(url))

    async def test_rename_ends_where_a_new_table_begins(self, url, database_url, raw):
        """Columns aside, whose order is that of their birth."""
        await schema.apply(url, declare(*self.BEFORE, person=[]))
        await schema.apply(url, declare(*self.AFTER, person=[]))

        async with fresh_database(database_url) as other:
            await schema.apply(other, declare(*self.AFTER, person=[]))
            made = dumped(other)

        def lines(dump):
            return {line.rstrip(b",") for line in dump.splitlines()}

        assert lines(made) == lines(dumped(url))

    async def test_new_name_without_the_old_column_is_a_new_column(self, url, raw):
        """The same declaration serves a new database and an old one."""
        await settled(url, declare(column("name", old="title")))

        assert await raw.fetchval("select count(name) from test") == 0

    async def test_both_names_are_told_and_nothing_is_lost(self, url, raw):
        """Not even when the change may destroy."""
        await schema.apply(url, declare("title-text-0-0", "name-text-0-0"))
        await raw.execute("insert into test (title) values ('kept')")

        done = await schema.apply(
            url, declare(column("name", old="title")), destructive=True
        )

        assert "test.name and test.title, its old name, both exist" in done.drift[0]
        assert "kept" == await raw.fetchval("select title from test")

    async def test_renamed_column_becomes_mandatory_when_its_rows_are_filled(
        self, url, raw
    ):
        """What it holds is looked up under the old name."""
        await schema.apply(url, declare("title-text-0-0"))
        await raw.execute("insert into test (title) values ('a')")
        wanted = declare(column("name", is_mandatory=1, old="title"))

        await settled(url, wanted)

        with pytest.raises(asyncpg.NotNullViolationError):
            await raw.execute("insert into test default values")

    async def test_place_keeps_its_index(self, url):
        """Also where the index is on an expression."""
        place = {"datatype": "geography(POINT)", "index": "gist"}
        await schema.apply(url, declare({"name": "at", **place}))

        done = await settled(url, declare({"name": "home", "old": "at", **place}))

        assert all(" rename " in sql for sql in done)
