"""on_conflict and mode: rows that may be there already, under their owners."""

import asyncio

import pytest

from atom.errors import ApiError, Conflict, Unprocessable
from atom.postgres import catalog
from atom.row import upsert
from tests.integration.row_world import ADA, CLO, database_url, row_url, world

__all__ = ["database_url", "row_url", "world"]

ADMIN = ("admin", 1)


async def refused(work, kind=ApiError):
    """Return the refusal of a piece of work."""
    with pytest.raises(kind) as caught:
        await work
    return caught.value


@pytest.fixture
async def shop(world):
    """The world with a unique title, a pair, and rules nobody can lean on."""
    await world.database.run("create unique index on test (title)")
    await world.database.run("create unique index on test (number, day)")
    await world.database.run("create unique index on test (lower(short))")
    await world.database.run("create unique index on test (short) where type = 9")
    await world.database.run("create unique index on test (secret_note)")
    await world.database.run("create unique index on test (is_verified)")
    await world.database.run("create unique index on test (rating)")
    world.database.catalog = await catalog.read(world.database)
    return world


def put(world, mode, body, who=ADA, keys="title", table="test"):
    """Upsert, as the parameters of a request say."""
    wish = upsert.parse({"on_conflict": keys, "mode": mode})
    return upsert.create(world.database, world.reach(who), table, body, wish)


class TestMerge:
    """mode=merge."""

    async def test_a_new_row_is_made_and_an_old_one_changed(self, shop):
        """The same id both times; only the columns of the body change."""
        one = await put(shop, "merge", {"title": "tea", "rating": 1, "tag": ["a"]})
        two = await put(shop, "merge", {"title": "tea", "rating": 2})
        stored = await shop.stored(one)

        assert one == two
        assert (2, ["a"], ADA) == (
            stored["rating"],
            stored["tag"],
            stored["created_by_id"],
        )
        assert ADA == stored["updated_by_id"]
        assert {"test"} == set(shop.written)

    async def test_a_row_with_nothing_but_its_key_answers_its_id(self, shop):
        """Nothing to change is no failure."""
        one = await put(shop, "merge", {"title": "tea"})

        assert one == await put(shop, "merge", {"title": "tea"})

    async def test_a_list_answers_ids_in_order(self, shop):
        """Old and new rows mixed."""
        old = await put(shop, "merge", {"title": "b", "rating": 1})
        body = [{"title": t, "rating": n} for n, t in enumerate("abc", 10)]
        made = await put(shop, "merge", body)
        stored = [(await shop.stored(each))["title"] for each in made]

        assert old == made[1]
        assert ["a", "b", "c"] == stored
        assert 11 == (await shop.stored(old))["rating"]

    @pytest.mark.parametrize("many", [False, True], ids=["one", "list"])
    @pytest.mark.parametrize("owner", [CLO, None], ids=["somebody", "nobody"])
    async def test_anothers_row_is_never_touched(self, shop, many, owner):
        """409, and that row is as it was."""
        theirs = await shop.plant(title="b", created_by_id=owner)
        before = dict(await shop.stored(theirs))
        body = {"title": "b", "rating": 5}
        sent = [{"title": "a", "rating": 4}, body] if many else body
        error = await refused(put(shop, "merge", sent), Conflict)
        count = await shop.database.value("select count(*) from test")

        assert ("Row 1: " if many else "") + (
            "A row with the same title exists and is not yours."
        ) == error.message
        assert before == dict(await shop.stored(theirs))
        assert 1 == count
        assert [] == shop.written

    async def test_an_admin_changes_anybodys(self, shop):
        """On /admin; who made it stays."""
        theirs = await shop.make(CLO, title="b")

        assert theirs == await put(shop, "merge", {"title": "b", "type": 3}, ADMIN)
        stored = await shop.stored(theirs)
        assert (CLO, 1, 3) == (
            stored["created_by_id"],
            stored["updated_by_id"],
            stored["type"],
        )

    async def test_the_owner_may_be_part_of_the_rule(self, shop):
        """Then the row that is met is always one's own."""
        keys, table = "created_by_id,user_id", "report_user"
        mine = await put(
            shop, "merge", {"user_id": 5, "note": "a"}, keys=keys, table=table
        )
        other = await put(
            shop, "merge", {"user_id": 5, "note": "b"}, CLO, keys=keys, table=table
        )
        again = await put(
            shop, "merge", {"user_id": 5, "note": "c"}, keys="user_id,created_by_id",
            table=table,
        )  # fmt: skip

        assert mine == again != other
        assert "c" == (await shop.stored(mine, "report_user"))["note"]
        assert "b" == (await shop.stored(other, "report_user"))["note"]

    async def test_the_same_row_twice_is_refused(self, shop):
        """Which of the two should win is not for us to say."""
        error = await refused(put(shop, "merge", [{"title": "a"}] * 2), Conflict)

        assert "Row 1: The same title as in row 0." == error.message
        assert 0 == await shop.database.value("select count(*) from test")

    async def test_a_broken_rule_names_its_row(self, shop):
        """Nothing is written."""
        body = [{"title": "a", "is_active": 1}, {"title": "b", "is_active": 7}]
        error = await refused(put(shop, "merge", body, ADMIN), Unprocessable)

        assert "Row 1: Column 'is_active' breaks" in error.message
        assert 0 == await shop.database.value("select count(*) from test")

    async def test_the_same_row_once_it_is_rounded_is_refused(self, shop):
        """What PostgreSQL alone takes for the same."""
        twice = [{"rating": "1.0001"}, {"rating": "1.0002"}]
        error = await refused(put(shop, "merge", twice, keys="rating"), Conflict)

        assert "Two rows of the list are the same row." == error.message
        assert 0 == await shop.database.value("select count(*) from test")

    async def test_parallel_merges_are_one_row(self, shop):
        """Twenty at once: one id."""
        work = (put(shop, "merge", {"title": "x", "type": 1}, ADMIN) for _ in range(20))

        assert 1 == len(set(await asyncio.gather(*work)))


class TestIgnore:
    """mode=ignore."""

    async def test_an_old_row_is_left_alone(self, shop):
        """Its id is answered, it is as it was."""
        one = await put(shop, "ignore", {"title": "tea", "rating": 1})
        before = dict(await shop.stored(one))

        assert one == await put(shop, "ignore", {"title": "tea", "rating": 2})
        assert before == dict(await shop.stored(one))

    async def test_of_anothers_row_not_even_the_id_is_told(self, shop):
        """null, and the row is as it was; an admin hears the id."""
        theirs = await shop.make(CLO, title="b")
        before = dict(await shop.stored(theirs))

        assert None is await put(shop, "ignore", {"title": "b"})
        assert theirs == await put(shop, "ignore", {"title": "b"}, ADMIN)
        assert before == dict(await shop.stored(theirs))

    async def test_a_list_answers_ids_in_order(self, shop):
        """Mine, theirs, new and twice the same."""
        mine = await shop.make(title="mine")
        await shop.make(CLO, title="theirs")
        body = [{"title": t} for t in ("new", "theirs", "mine", "new")]
        made = await put(shop, "ignore", body)

        assert [made[0], None, mine, made[0]] == made
        assert "new" == (await shop.stored(made[0]))["title"]

    async def test_a_value_that_is_rounded_is_found_again(self, shop):
        """rating keeps three digits: 1.0004 is 1.000."""
        one = await put(shop, "ignore", {"rating": 1.0004}, keys="rating")

        assert isinstance(one, int)
        assert one == await put(shop, "ignore", {"rating": 1.0001}, keys="rating")

    async def test_parallel_ignores_are_one_row(self, shop):
        """Twenty at once: the same id for all, nobody hears null."""
        work = (put(shop, "ignore", {"title": "x"}) for _ in range(20))

        made = set(await asyncio.gather(*work))

        assert 1 == len(made)
        assert None not in made

    async def test_what_waits_for_another_hears_its_id(self, shop):
        """A row committed while this one waited is seen all the same."""
        async with shop.database.connection() as other:
            await other.raw.execute("begin")
            made = await other.value(
                "insert into test (title, created_by_id) values ('x', 11) returning id"
            )
            work = asyncio.ensure_future(put(shop, "ignore", {"title": "x"}))
            await asyncio.sleep(0.1)
            await other.raw.execute("commit")

        assert made == await work

    async def test_a_broken_rule_names_its_row(self, shop):
        """Nothing is written."""
        body = [{"title": "a", "is_active": 1}, {"title": "b", "is_active": 7}]
        error = await refused(put(shop, "ignore", body, ADMIN), Unprocessable)

        assert "Row 1: Column 'is_active' breaks" in error.message
        assert 0 == await shop.database.value("select count(*) from test")


WISHES = [
    ({"on_conflict": "title"}, "'mode' takes merge or ignore."),
    ({"on_conflict": "title", "mode": "merg"}, "'mode' takes merge or ignore."),
    ({"mode": "merge"}, "'on_conflict' takes columns"),
    ({"mode": "merge", "on_conflict": "a,,b"}, "'on_conflict' takes columns"),
]


@pytest.mark.parametrize(("asked", "told"), WISHES)
def test_half_a_wish_is_refused(asked, told):
    """Both parameters or none."""
    with pytest.raises(ApiError, match=told):
        upsert.parse(asked)
    assert upsert.parse({"table": "test"}) is None


UNKNOWN = ["type", "titel", "title,type", "short", "secret_note", "id", "is_verified"]


@pytest.mark.parametrize("keys", [*UNKNOWN, "number", "title,title"])
async def test_what_is_no_unique_rule_is_refused(shop, keys):
    """400 naming those there are; not of secret columns or those one cannot write."""
    error = await refused(put(shop, "merge", {"title": "x"}, keys=keys))

    assert (400, "row.no_unique") == (error.status, error.code)
    assert "There is: number,day; rating; title." == error.hint


LACKING = [
    ({"rating": 1}, "'on_conflict' needs a value of column 'title'."),
    ({"title": None}, "'on_conflict' needs a value of column 'title'."),
    ([{"title": "a"}, {"rating": 1}], "Row 1: 'on_conflict' needs a value"),
    ([{"title": "a"}, {"title": "b", "rating": 1}], "Row 1: With 'on_conflict' all"),
    ({"title": "a", "created_by_id": 12}, "Column 'created_by_id' may not be written"),
]


@pytest.mark.parametrize("mode", ["merge", "ignore"])
@pytest.mark.parametrize(("body", "told"), LACKING, ids=[t for _, t in LACKING])
async def test_rows_without_their_key_are_refused(shop, mode, body, told):
    """And rows of different columns; before anything is written."""
    error = await refused(put(shop, mode, body))

    assert told in error.message
    assert 0 == await shop.database.value("select count(*) from test")


async def test_the_public_changes_nothing(shop):
    """Rows that belong to nobody are nobody's to change."""
    error = await refused(put(shop, "merge", {"title": "x"}, "public"))

    assert "token" in error.message


@pytest.mark.parametrize("mode", ["merge", "ignore"])
async def test_columns_may_be_called_as_ours_are(world, mode):
    """place, id and c1 are names of statements of ours, and may be a table's."""
    names = ["place", "found", "made", "given", "c1", "c2", "k0", "t", "x", "g", "m"]
    async with world.database.connection() as connection:
        await connection.raw.execute(
            "create table odd (id bigint generated by default as identity primary key,"
            f" created_by_id bigint, {', '.join(f'{n} text' for n in names)},"
            " unique (c1, place))"
        )
    world.database.catalog = await catalog.read(world.database)
    body = dict.fromkeys(names, "a")
    asked = upsert.parse({"on_conflict": "place,c1", "mode": mode})
    reach = world.reach(ADA)

    first = await upsert.create(world.database, reach, "odd", body, asked)
    again = await upsert.create(world.database, reach, "odd", [body], asked)

    assert [first] == again
    assert body.items() <= dict(await world.stored(first, "odd")).items()
