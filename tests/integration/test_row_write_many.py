"""Lists of changes, rows of several tables, and how much one request may write."""

import pytest

from atom import row
from atom.errors import ApiError, Conflict, Forbidden, NotFound, Unprocessable
from atom.row import create_many, upsert
from tests.integration.row_world import ADA, CLO, World, database_url, row_url, world

__all__ = ["database_url", "row_url", "world"]

ADMIN = ("admin", 1)


async def refused(work, kind=ApiError):
    """Return the refusal of a piece of work."""
    with pytest.raises(kind) as caught:
        await work
    return caught.value


async def titles(world):
    """Return every title of test, by id."""
    rows = await world.database.rows("select title from test order by id")
    return [each["title"] for each in rows]


def update(world, body, who=ADA, table="test"):
    """Update a row or a list."""
    return row.update(world.database, world.reach(who), table, body)


WRONG_CHANGES = [
    ([{"title": "x"}], 400, "Row 0: 'id' is mandatory."),
    ([{"id": 1}], 400, "Row 0: The body names no column."),
    ([{"id": "x", "title": "x"}], 400, "Row 0: Column 'id' takes"),
    ([{"id": 1, "titel": "x"}], 400, "Row 0: Table 'test' has no column 'titel'"),
    ([{"id": 1, "created_by_id": 12}], 400, "Row 0: Column 'created_by_id' may"),
    ([{"id": 1, "title": 5}], 400, "Row 0: Column 'title' takes text"),
    ([{"id": 1, "title": "x"}] * 2, 400, "Row 1: The id 1 is in this list"),
    ([], 400, "The body is an empty list."),
    ([1], 400, "Row 0 is not an object."),
]
ONE = {"table": "test", "object": {"title": "x"}}
WRONG_ENTRIES = [
    ({}, 400, "The body takes a list"),
    ([], 400, "The body takes a list"),
    ([1], 400, "Entry 0: An entry is an object"),
    ([ONE, {"table": "test"}], 400, "Entry 1: An entry is an object"),
    ([{**ONE, "queue": "x"}], 400, "Entry 0: An entry has no 'queue'."),
    ([{**ONE, "table": "tset"}], 404, "Entry 0: There is no table 'tset'."),
    ([{**ONE, "table": "users"}], 403, "Entry 0: table not allowed"),
    ([{**ONE, "table": "otp"}], 403, "Entry 0: table not allowed"),
    ([{**ONE, "object": {}}], 400, "Entry 0: The body names no column."),
    ([{**ONE, "object": {"created_by_id": 1}}], 400, "Entry 0: Column 'created_by"),
    ([{**ONE, "as": "a b"}], 400, "Entry 0: 'as' takes a name"),
    ([{**ONE, "as": 5}], 400, "Entry 0: 'as' takes a name"),
    ([{**ONE, "as": "a"}] * 2, 400, "Entry 1: Another entry is called 'a'"),
    ([ONE, {"table": "message", "object": {"user_id": "$a.id"}}], 400,
     "Entry 1: There is no earlier entry 'a'."),
    ([{"table": "message", "object": {"user_id": "$a.id"}, "as": "a"}], 400,
     "Entry 0: There is no earlier entry 'a'."),
    ([{**ONE, "as": "a"}, {"table": "message", "object": {"user_id": "$a.title"}}],
     400, "Entry 1: Of an earlier entry only its id is known"),
    ([{**ONE, "as": "a"}, {"table": "test", "object": {"title": "$a.id"}}],
     400, "Entry 1: Column 'title' takes text"),
    ([{**ONE, "as": "a"},
      {"table": "test", "object": {"created_by_id": "$a.id"}}],
     400, "Entry 1: Column 'created_by_id' may not be written."),
    ([ONE] * 101, 400, "at most 100 entries; these are 101."),
    ([ONE] * 1000, 400, "at most 100 entries; these are 1000."),
]  # fmt: skip


class TestUpdateList:
    """A list as the body of an update."""

    async def test_each_row_gets_its_own(self, world):
        """Ids in the order of the body; what a row leaves out stays."""
        made = [await world.make(title=t, rating=1) for t in "abc"]
        body = [
            {"id": made[2], "title": "C", "tag": ["x,y", None]},
            {"id": made[0], "rating": 5, "metadata": {"a": [1]}},
            {"id": made[1], "title": None, "location": "POINT(1 2)"},
        ]
        answer = await update(world, body)
        stored = [await world.stored(each) for each in made]

        assert [made[2], made[0], made[1]] == answer
        assert ["a", None, "C"] == [each["title"] for each in stored]
        assert [5, 1, 1] == [each["rating"] for each in stored]
        assert ["x,y", None] == stored[2]["tag"]
        assert '{"a": [1]}' == stored[0]["metadata"]
        assert (1, 2) == tuple(stored[1]["location"])
        assert [ADA] * 3 == [each["updated_by_id"] for each in stored]

    async def test_it_is_one_transaction(self, world):
        """Rows changed together carry one xmin."""
        made = [await world.make(title=t) for t in "abc"]
        await update(world, [{"id": each, "title": "x"} for each in made])

        assert 1 == await world.database.value(
            "select count(distinct xmin::text) from test"
        )

    @pytest.mark.parametrize("foreign", [True, False], ids=["foreign", "absent"])
    async def test_a_row_that_is_not_mine_stops_all(self, world, foreign):
        """404 naming the row, the same for absent ones; nothing is changed."""
        mine = await world.make(title="mine")
        other = await world.make(CLO, title="other") if foreign else 10**9
        body = [{"id": mine, "title": "x"}, {"id": other, "title": "x"}]
        error = await refused(update(world, body), NotFound)

        assert "Row 1: There is no such row, or it is not yours." == error.message
        assert "x" not in await titles(world)

    async def test_an_admin_changes_anybodys(self, world):
        """On /admin rows of every owner."""
        made = [await world.make(who, title="a") for who in (ADA, CLO)]
        body = [{"id": each, "title": "b", "type": 2} for each in made]

        assert made == await update(world, body, ADMIN)
        assert ["b", "b"] == await titles(world)

    @pytest.mark.parametrize(
        ("body", "status", "told"), WRONG_CHANGES, ids=[w[2] for w in WRONG_CHANGES]
    )
    async def test_what_is_wrong_is_named_with_its_row(self, world, body, status, told):
        """Before anything is written."""
        await world.make(title="a")
        error = await refused(update(world, body))

        assert status == error.status
        assert told in error.message
        assert ["a"] == await titles(world)

    async def test_a_broken_rule_names_row_and_column(self, world):
        """A check of the table: 422, nothing is changed."""
        made = [await world.make(title=t) for t in "abc"]
        body = [{"id": each, "title": "x"} for each in made]
        body[1]["is_active"] = 7
        error = await refused(update(world, body, ADMIN), Unprocessable)

        assert "Row 1: Column 'is_active' breaks the rule" in error.message
        assert ["a", "b", "c"] == await titles(world)

    async def test_taken_values_name_the_row(self, world):
        """A unique rule: 409, nothing is changed."""
        await world.database.run("create unique index on test (title)")
        made = [await world.make(title=t) for t in "abc"]
        body = [{"id": made[0], "title": "new"}, {"id": made[1], "title": "c"}]
        error = await refused(update(world, body), Conflict)

        assert "Row 1: A row with the same title already exists." == error.message
        assert ["a", "b", "c"] == await titles(world)

    async def test_values_may_change_places(self, world):
        """A deferrable unique rule is asked at the end of the one statement."""
        await world.database.run(
            "alter table test add unique (title) deferrable initially immediate"
        )
        one, two = await world.make(title="a"), await world.make(title="b")
        await update(world, [{"id": one, "title": "b"}, {"id": two, "title": "a"}])

        assert ["b", "a"] == await titles(world)


class TestMany:
    """Rows of several tables in one transaction."""

    def make(self, world, body, who=ADA):
        return create_many(world.database, world.reach(who), body)

    async def test_later_rows_refer_to_earlier_ones(self, world):
        """`$name.id` is the id of the row of that name; ids in order."""
        body = [
            {"table": "test", "object": {"title": "order"}, "as": "order"},
            {"table": "report_user", "object": {"user_id": 5, "test_id": "$order.id"}},
            {"table": "message", "object": {"user_id": "$order.id"}, "as": "m_2"},
        ]
        made = await self.make(world, body)
        report = await world.stored(made[1], "report_user")
        message = await world.stored(made[2], "message")

        assert made[0] == report["test_id"] == message["user_id"]
        assert {ADA} == {report["created_by_id"], message["created_by_id"]}
        assert {"test", "report_user", "message"} == set(world.written)

    async def test_one_refused_row_undoes_all(self, world):
        """The error names the entry, and none is left."""
        body = [
            {"table": "test", "object": {"title": "a"}},
            {"table": "report_user", "object": {"user_id": 1, "test_id": 10**9}},
        ]
        error = await refused(self.make(world, body), Conflict)

        assert "Entry 1: By column 'test_id', the rule" in error.message
        assert str(10**9) not in f"{error.message} {error.hint}"
        assert [] == await titles(world)
        assert [] == world.written

    @pytest.mark.parametrize(("body", "status", "told"), WRONG_ENTRIES)
    async def test_what_is_wrong_is_named_with_its_entry(
        self, world, body, status, told
    ):
        """The same rules as for one row; nothing is written."""
        error = await refused(self.make(world, body))

        assert (status, True) == (error.status, told in error.message), error.message
        assert [] == await titles(world)

    async def test_text_that_looks_like_a_reference_can_be_written(self, world):
        """A second dollar is taken off; other dollars are left alone."""
        sent = ["$$a.id", "$5.00", "$a", "x $a.id", "$$", "$$a.id b"]
        body = [{"table": "test", "object": {"title": t}} for t in sent]
        await self.make(world, body)

        assert ["$a.id", *sent[1:]] == await titles(world)


class TestGuard:
    """config_write_rows_max."""

    @pytest.fixture
    def small(self, world):
        """The same world where one request may write three rows."""
        return World(world.database, config_write_rows_max=3)

    @pytest.mark.parametrize("who", [ADA, ADMIN], ids=["my", "admin"])
    async def test_more_are_refused_before_they_run(self, small, who):
        """Create, update, ids-update, ids-delete: at most so many, not one more."""
        database, reach = small.database, small.reach(who)
        made = await row.create(database, reach, "test", [{"title": "a"}] * 3)
        made += await row.create(database, reach, "test", [{"title": "a"}])
        four = [{"id": each, "title": "x"} for each in made]
        works = [
            row.create(database, reach, "test", [{"title": "x"}] * 4),
            row.update(database, reach, "test", four),
            row.update_ids(database, reach, "test", made, "title", "x"),
            row.delete_ids(database, reach, "test", made),
            create_many(database, reach, [ONE] * 4),
            *(
                upsert.create(
                    *(database, reach, "report_user", [{"user_id": 1}] * 4),
                    upsert.OnConflict(("created_by_id", "user_id"), mode),
                )
                for mode in upsert.MODES
            ),
        ]
        codes = {(await refused(work)).code for work in works}

        assert {"row.too_many"} == codes
        assert ["a"] * 4 == await titles(small)
        assert made[:3] == await row.update(database, reach, "test", four[:3])
        ids = ",".join(map(str, made[:3]))
        assert 3 == await row.update_ids(database, reach, "test", ids, "title", "y")
        assert 3 == await row.delete_ids(database, reach, "test", made[:3])

    async def test_delete_any_counts_first(self, small):
        """One too many and none is deleted; rows of others do not count."""
        database, reach = small.database, small.reach(ADA)
        for _ in range(4):
            await small.make(title="a")
            await small.make(CLO, title="a")
        error = await refused(row.delete_any(database, reach, b"table=test&title==,a"))
        kept = len(await titles(small))
        first = await small.database.value(
            "select min(id) from test where created_by_id = $1", ADA
        )
        query = f"table=test&title==,a&id=>,{first}".encode()

        assert "row.too_many" == error.code
        assert 8 == kept
        assert 3 == await row.delete_any(database, reach, query)
        assert 0 == await row.delete_any(database, reach, query)
        assert 5 == len(await titles(small))

    async def test_closed_tables_stay_closed(self, small):
        """The guard opens nothing."""
        reach = small.reach(ADA)
        work = row.update(small.database, reach, "users", [{"id": 11, "name": "x"}])

        assert "row.table_not_allowed" == (await refused(work, Forbidden)).code
