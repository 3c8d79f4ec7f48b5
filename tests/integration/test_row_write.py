"""Writing rows on a real PostgreSQL: values, owners, managed columns, all or none."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from atom import row
from atom.account.password import verify_password
from atom.errors import ApiError, Conflict, Forbidden, NotFound, Unprocessable
from tests.integration.row_world import ADA, CLO, database_url, row_url, world

__all__ = ["database_url", "row_url", "world"]

ADMIN = ("admin", 1)


async def refused(work, kind=ApiError):
    """Return the refusal of a piece of work."""
    with pytest.raises(kind) as caught:
        await work
    return caught.value


VALUES = [
    ("title", "", ""),
    ("title", "é ' \" \\ $1", "é ' \" \\ $1"),
    ("rating", 0, Decimal("0.000")),
    ("rating", "1.5", Decimal("1.500")),
    ("rating", 1.1, Decimal("1.100")),
    ("is_open", False, False),
    ("is_open", "true", True),
    ("tag", ["a,b", 'c"}', None, ""], ["a,b", 'c"}', None, ""]),
    ("tag", "a,b", ["a", "b"]),
    ("tag", [], []),
    ("tag", "", []),
    ("number", [1, 2], [1, 2]),
    ("number", "1,2", [1, 2]),
    ("metadata", {"a": [1, None]}, '{"a": [1, null]}'),
    ("metadata", [], "[]"),
    ("metadata", 0, "0"),
    ("metadata", "text", '"text"'),
    ("metadata", False, "false"),
    ("metadata", None, None),
    ("day", "2026-02-28", date(2026, 2, 28)),
    ("location", "POINT(77.2 28.6)", (77.2, 28.6)),
    (
        "location",
        {"type": "Point", "coordinates": [77.2, 28.6]},
        (77.2, 28.6),
    ),
    ("mood", "glad", "glad"),
    ("short", "12345", "12345"),
    ("ratio", 1e300, 1e300),
    ("key", "00000000-0000-0000-0000-000000000001", None),
]


@pytest.mark.parametrize("many", [False, True], ids=["one", "list"])
@pytest.mark.parametrize(
    ("column", "sent", "kept"), VALUES, ids=[f"{c}={v!r}" for c, v, _ in VALUES]
)
async def test_values_are_kept_as_they_were_sent(world, column, sent, kept, many):
    """Falsy values count; a list of rows keeps the same as a single row."""
    body = {column: sent}
    reach = world.reach(ADMIN)
    sent_body = [body, body] if many else body
    made = await row.create(world.database, reach, "test", sent_body)
    stored = await world.stored(made[0] if many else made)
    found = stored[column]

    if column == "key":
        assert sent == str(found)
    elif column == "location":
        assert kept == tuple(found)
    else:
        assert kept == found


TIMES = [
    ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ("2026-01-31T12:00:00+05:30", datetime(2026, 1, 31, 6, 30, tzinfo=UTC)),
    ("2026-01-31 12:00:00.25", datetime(2026, 1, 31, 12, 0, 0, 250000, tzinfo=UTC)),
    ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
    ("20260131T120000Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
]


@pytest.mark.parametrize(("sent", "kept"), TIMES)
async def test_any_iso_8601_is_a_time(world, sent, kept):
    """Z, an offset, a date alone; without an offset it is UTC."""
    await world.database.run("alter table test add at timestamptz")
    await _reread(world)
    made = await world.make(at=sent)

    assert kept == (await world.stored(made))["at"]


async def _reread(world):
    from atom.postgres import catalog

    world.database.catalog = await catalog.read(world.database)


UNREADABLE = [
    *[("title", v) for v in (1, True, 1.5, ["a"], {"a": 1}, "a\0b", "\ud800")],
    *[("type", v) for v in (70000, "x", 1.5, True, "", [1])],
    *[("rating", v) for v in ("x", True, "1e99999999", [1])],
    *[("is_open", v) for v in (1, 0, "yes", "")],
    *[("tag", v) for v in ({"a": 1}, [1], 5, ["a\0"])],
    *[("number", v) for v in (["x"], "1,x", [2**63], "1,,2")],
    *[("day", v) for v in ("2026-02-30", 5, "now", "2026-01-01T00:00:00")],
    *[("key", v) for v in ("x", 5)],
    *[("ratio", v) for v in ("nan", "inf", True)],
    ("metadata", {"a": "\0"}),
    *[
        ("location", v)
        for v in (
            "POINT(181 0)",
            "POINT(0 91)",
            "POINT(1)",
            "POINT(1 2); drop",
            {"type": "Point", "coordinates": [1, "2"]},
            {"type": "Polygon", "coordinates": [1, 2]},
            {"type": "Point", "coordinates": [True, 2]},
            "POINT(nan nan)",
            [1, 2],
        )
    ],
    ("mood", "angry"),
    ("mood", {"a": 1}),
    ("raw", "x"),
]


@pytest.mark.parametrize(("column", "sent"), UNREADABLE)
async def test_what_a_column_cannot_hold_is_refused_by_name(world, column, sent):
    """400 that says which column and what it takes; no guess is made."""
    work = row.create(world.database, world.reach(ADMIN), "test", {column: sent})
    error = await refused(work)

    assert (400, "value.unreadable") == (error.status, error.code)
    if column != "mood":
        assert f"'{column}'" in error.message
    assert 0 == await world.database.value("select count(*) from test")


async def test_a_text_is_never_cut(world):
    """A text longer than its column is refused, not shortened."""
    error = await refused(world.make(short="123456"), Unprocessable)

    assert "Column 'short' takes at most 5 characters." == error.message


async def test_rules_of_the_table_name_themselves(world):
    """Check, unique and foreign key answer with their own status."""
    await world.make(table="report_user", user_id=CLO)

    assert (
        "user_id" in (await refused(world.make(table="report_user", note="x"))).message
    )
    again = world.make(table="report_user", user_id=CLO)
    assert "created_by_id, user_id" in (await refused(again, Conflict)).message
    gone = world.make(table="report_user", user_id=5, test_id=99)
    assert "row.referenced" == (await refused(gone, Conflict)).code
    checked = row.create(world.database, world.reach(ADMIN), "test", {"is_active": 7})
    assert "is_active" in (await refused(checked, Unprocessable)).message


class TestList:
    async def test_ids_come_in_order(self, world):
        """The ids answer the rows one by one."""
        made = await row.create(
            world.database,
            world.reach(ADA),
            "test",
            [{"title": str(n), "tag": [str(n)]} for n in range(500)],
        )
        rows = await world.database.rows("select id, title, tag from test")
        titles = {each["id"]: (each["title"], each["tag"]) for each in rows}

        assert [(str(n), [str(n)]) for n in range(500)] == [titles[i] for i in made]

    async def test_rows_with_different_columns_keep_defaults(self, world):
        """A column that a row leaves out gets its default, not null."""
        await world.database.run("alter table test alter title set default 'untitled'")
        made = await row.create(
            world.database,
            world.reach(ADA),
            "test",
            [{"title": "a"}, {"rating": 2}, {"title": None, "tag": ["x"]}],
        )
        stored = [await world.stored(each) for each in made]

        assert ["a", "untitled", None] == [each["title"] for each in stored]
        assert all(each["created_at"] for each in stored)

    async def test_all_or_nothing_and_the_row_is_named(self, world):
        """One bad row keeps all others out, and says which it is."""
        bodies = [
            [{"title": "a"}, {"title": 5}],
            [{"title": "a"}, {"nope": 5}],
            [{"title": "a"}, {"id": 5}],
            [{"title": "a"}, {"short": "123456"}],
            [{"title": "a"}, {"title": "b", "short": "123456"}],
        ]
        for body in bodies:
            error = await refused(
                row.create(world.database, world.reach(ADA), "test", body)
            )
            assert error.message.startswith("Row 1: ")
        assert 0 == await world.database.value("select count(*) from test")
        assert [] == world.written

    async def test_a_duplicate_in_a_list_is_named(self, world):
        """The row that clashes with one before it in the same list is the one named."""
        body = [{"user_id": 1}, {"user_id": 2}, {"user_id": 1}]
        error = await refused(
            row.create(world.database, world.reach(ADA), "report_user", body), Conflict
        )

        assert error.message.startswith("Row 2: ")
        assert 0 == await world.database.value("select count(*) from report_user")

    async def test_rows_with_arrays_and_json_travel_together(self, world):
        """Lists within lists, and every datatype at once, arrive whole."""
        body = {
            "title": 'a"b',
            "tag": ['x"y', "a\\b", "{}", ",", "NULL", None],
            "number": [1, None],
            "metadata": {"a": "b"},
            "location": "POINT(1 2)",
            "mood": "sad",
            "hour": "10:00",
            "day": "2026-01-01",
            "is_open": False,
            "ratio": 0.1,
            "rating": "9.999",
        }
        one = await row.create(world.database, world.reach(ADA), "test", body)
        made = await row.create(world.database, world.reach(ADA), "test", [body, body])
        stored = [dict(await world.stored(each)) for each in (one, *made)]
        for each in stored:
            del each["id"], each["created_at"]

        assert stored[0] == stored[1] == stored[2]
        assert body["tag"] == stored[0]["tag"]

    async def test_concurrent_creates_lose_nothing(self, world):
        """Sixty creates at once are sixty rows with sixty ids."""
        made = await asyncio.gather(*(world.make(title=str(n)) for n in range(60)))

        assert 60 == len(set(made))
        assert 60 == await world.database.value("select count(*) from test")


@pytest.mark.parametrize(
    "body", [{}, [], [1], "x", 5, None, [{"title": "a"}, []], [{}]]
)
async def test_a_body_that_holds_no_row_is_refused(world, body):
    """Neither an object nor a list of objects: 400."""
    await refused(row.create(world.database, world.reach(ADA), "test", body))
    assert 0 == await world.database.value("select count(*) from test")


MANAGED = [
    *("id", "created_by_id", "updated_by_id", "created_at", "updated_at"),
    *("is_protected", "password", "password_bigint", "google_id"),
    *("google_data", "is_active", "is_verified", "IS_ACTIVE"),
    *("Created_By_Id", " id", "GOOGLE_id"),
]


class TestManagedColumns:
    @pytest.mark.parametrize("column", MANAGED)
    @pytest.mark.parametrize("who", [ADA, "public"])
    async def test_are_not_written_however_spelt(self, world, who, column):
        """Neither on create nor on update; the column is named."""
        made = await world.plant(title="x", created_by_id=ADA)
        reach = world.reach(who)
        work = [row.create(world.database, reach, "test", {"title": "a", column: 1})]
        if who == ADA:
            body = {"id": made, "title": "b", column: 1}
            if column != "id":
                work.append(row.update(world.database, reach, "test", body))
            work.append(
                row.update_ids(world.database, reach, "test", [made], column, 1)
            )
        for each in work:
            error = await refused(each)
            assert "row.managed_column" == error.code
            assert column.strip() in error.message
        assert "x" == (await world.stored(made))["title"]
        assert 1 == await world.database.value("select count(*) from test")

    async def test_recipients_alone_say_what_is_read(self, world):
        """A sender writes a message, and not whether it was read."""
        await refused(world.make(table="message", user_id=CLO, is_read=1))
        assert await world.make(table="message", user_id=CLO, description="hi")

    async def test_admin_writes_most_of_them(self, world):
        """An admin activates and verifies; who made a row, and when, stays true."""
        made = await world.make(title="x")
        admin = world.reach(ADMIN)
        body = {"id": made, "is_active": 0, "is_verified": 1, "type": 3}
        assert made == await row.update(world.database, admin, "test", body)
        for column in ("created_at", "updated_at", "updated_by_id"):
            await refused(
                row.update(world.database, admin, "test", {"id": made, column: 1})
            )
        for column in ("id", "created_by_id", "created_at"):
            await refused(row.create(world.database, admin, "test", {column: 1}))
        assert 1 == (await world.stored(made))["updated_by_id"]

    async def test_computed_columns_are_not_written(self, world):
        """Not even by an admin."""
        work = row.create(world.database, world.reach(ADMIN), "test", {"doubled": 4})

        assert "computed" in (await refused(work)).message

    async def test_passwords_are_hashed_for_admins_too(self, world):
        """What an admin writes is never stored in clear; nothing empty is taken."""
        admin = world.reach(ADMIN)
        made = await row.create(
            world.database,
            admin,
            "users",
            {
                "type": 1,
                "username": "new",
                "password": "s3cret!",
                "password_bigint": 123,
            },
        )
        new = await world.stored(made, "users")

        assert (await verify_password("s3cret!", new["password"])).ok
        assert (await verify_password("123", new["password_bigint"])).ok
        for bad in ("", "  ", 5, ["x"]):
            body = {"type": 1, "username": f"bad {bad}", "password": bad}
            await refused(row.create(world.database, admin, "users", body))
        change = row.update_ids(
            world.database, admin, "users", [CLO], "password", "other"
        )
        assert "row.managed_column" == (await refused(change)).code


class TestTwoUsers:
    """Ada and Clo: each verb on the other's row."""

    @pytest.fixture
    async def hers(self, world):
        return await world.make(CLO, title="hers")

    async def test_update_of_anothers_row_is_404(self, world, hers):
        """As if it were not there; and it stays as it was."""
        body = {"id": hers, "title": "mine now"}
        error = await refused(
            row.update(world.database, world.reach(ADA), "test", body), NotFound
        )
        unknown = await refused(
            row.update(
                world.database, world.reach(ADA), "test", {"id": 99, "title": "x"}
            ),
            NotFound,
        )

        assert (error.code, error.message) == (unknown.code, unknown.message)
        assert "row.missing" == error.code
        assert "hers" == (await world.stored(hers))["title"]

    async def test_ids_touch_only_ones_own(self, world, hers):
        """Ids of both: the count is of mine, and hers stays."""
        mine = await world.make(title="mine")
        ada = world.reach(ADA)
        both = f"{mine}, {hers}"

        assert 1 == await row.update_ids(
            world.database, ada, "test", both, "title", "n"
        )
        assert "hers" == (await world.stored(hers))["title"]
        assert 1 == await row.delete_ids(world.database, ada, "test", [mine, hers])
        assert await world.stored(hers)
        assert not await world.stored(mine)

    async def test_delete_any_touches_only_ones_own(self, world, hers):
        """Whatever the filters say."""
        ada = world.reach(ADA)
        for query in (
            b"table=test&id=>,0",
            b"table=test&or=(id=>,0;title=is,not null)",
            b"table=test&created_by_id=is,not null",
        ):
            await world.make(title="mine")
            assert 1 == await row.delete_any(world.database, ada, query)
        assert await world.stored(hers)

    async def test_own_update_is_stamped(self, world):
        """An update by its owner says so, and answers the id."""
        mine = await world.make(title="mine")
        body = {"id": str(mine), "title": "", "rating": 0}

        assert mine == await row.update(world.database, world.reach(ADA), "test", body)
        stored = await world.stored(mine)
        assert ("", 0, ADA, ADA) == (
            stored["title"],
            stored["rating"],
            stored["updated_by_id"],
            stored["created_by_id"],
        )

    @pytest.mark.parametrize("table", ["users", "otp", "log_api"])
    async def test_tables_with_routes_of_their_own_are_closed(self, world, table):
        """No verb of /my writes accounts, codes or logs, own rows included."""
        ada, database = world.reach(ADA), world.database
        await database.run(f"update {table} set created_by_id = {ADA}")
        for work in [
            row.create(database, ada, table, {"email": "x"}),
            row.update(database, ada, table, {"id": ADA, "email": "x"}),
            row.update_ids(database, ada, table, [ADA], "email", "x"),
            row.delete_ids(database, ada, table, [ADA]),
            row.delete_any(database, ada, f"table={table}&id=>,0".encode()),
        ]:
            assert "row.table_not_allowed" == (await refused(work, Forbidden)).code

    @pytest.mark.parametrize(
        "table", ["Users", '"users"', "public.users", "users ", ""]
    )
    async def test_odd_spellings_are_no_table(self, world, table):
        """Only the exact name is a table."""
        work = row.create(world.database, world.reach(ADA), table, {"email": "x"})

        assert "sql.unknown_table" == (await refused(work, NotFound)).code

    async def test_a_table_without_owner_is_refused(self, world):
        """Nobody can own rows of it, so /my has none."""
        ada, database = world.reach(ADA), world.database
        for work in [
            row.create(database, ada, "ownerless", {"a": "x"}),
            row.delete_any(database, ada, b"table=ownerless&id=>,0"),
        ]:
            assert 403 == (await refused(work)).status


IDS = [
    *("", "1,2,x", "1;2", "1) or id in (0", "1,,2", " ", "1.5", "9" * 30),
    *([], [1.5], [True], ["1"], [None], [[1]], None, {"a": 1}, 5, [2**63]),
]


@pytest.mark.parametrize("ids", IDS, ids=repr)
async def test_ids_that_are_not_ids_are_refused(world, ids):
    """Nothing but whole numbers, and nothing is deleted."""
    await world.make(title="x")
    for who in (ADA, ADMIN):
        await refused(row.delete_ids(world.database, world.reach(who), "test", ids))
        await refused(
            row.update_ids(world.database, world.reach(who), "test", ids, "title", "n")
        )
    assert "x" == await world.database.value("select title from test")


class TestDeleteAny:
    @pytest.mark.parametrize(
        "query",
        [
            *("table=test", "table=test&is_background=0", "id=>,0"),
            *("table=test&nope==,1", "table=test&title=x", "table=test&limit=5"),
            *("table=test&secret_note==,x", "table=nope&id=>,0", "table=test&or=()"),
        ],
    )
    async def test_needs_a_filter_that_fits(self, world, query):
        """No filter, or one that cannot be read: nothing is deleted."""
        await world.make(title="x")
        await refused(row.delete_any(world.database, world.reach(ADA), query.encode()))
        assert 1 == await world.database.value("select count(*) from test")

    async def test_null_is_a_word(self, world):
        """`title==,null` is the text null, not everything."""
        await world.make(title="x")
        await world.make(rating=1)

        for query in (b"table=test&title==,null", b"table=test&title==,"):
            assert 0 == await row.delete_any(world.database, world.reach(ADA), query)
        query = b"table=test&title=is,null"
        assert 1 == await row.delete_any(world.database, world.reach(ADA), query)


async def test_protected_rows_stay_and_say_so(world):
    """A protected row is not deleted by anybody, and takes its list with it."""
    kept = await world.plant(title="kept", created_by_id=ADA, is_protected=1)
    other = await world.make(title="other")
    database = world.database
    for work in [
        row.delete_ids(database, world.reach(ADA), "test", [kept, other]),
        row.delete_ids(database, world.reach(ADMIN), "test", f"{kept}"),
        row.delete_any(database, world.reach(ADA), b"table=test&id=>,0"),
    ]:
        error = await refused(work, Conflict)
        assert f"row {kept} is protected" == error.message
    assert 2 == await database.value("select count(*) from test")


class TestPublic:
    async def test_creates_rows_of_nobody(self, world):
        """In a listed table, without an owner."""
        made = await world.make("public", title="x")

        assert (await world.stored(made))["created_by_id"] is None

    @pytest.mark.parametrize("table", ["users", "message", "nope", "Test", "test;"])
    async def test_nowhere_else(self, world, table):
        """A table that is not listed is refused, whether it exists or not."""
        work = row.create(world.database, world.reach("public"), table, {"a": 1})

        assert "table not allowed" == (await refused(work, Forbidden)).message


async def test_admin_has_no_owner_and_leaves_a_stamp(world):
    """An admin changes anybody's row, in any table; created rows are the admin's."""
    hers, admin = await world.make(CLO, title="hers"), world.reach(ADMIN)
    database = world.database

    assert hers == await row.update(
        database, admin, "test", {"id": hers, "title": "changed"}
    )
    assert 1 == await row.update_ids(database, admin, "test", [hers], "type", 2)
    made = await row.create(database, admin, "ownerless", {"a": "x"})
    assert 1 == await row.delete_ids(database, admin, "ownerless", [made])
    made = await row.create(database, admin, "test", {"title": "x"})
    assert 1 == (await world.stored(made))["created_by_id"]
    missing = row.update(database, admin, "test", {"id": 99, "title": "x"})
    assert 404 == (await refused(missing)).status


async def test_writes_are_told_after_they_are_done(world):
    """Each write that changed something is told once, by its table."""
    ada, database = world.reach(ADA), world.database
    made = await world.make(title="x")
    await row.create(database, ada, "test", [{"title": "y"}])
    await row.update(database, ada, "test", {"id": made, "title": "z"})
    await row.update_ids(database, ada, "test", [made], "title", "z")
    await row.delete_ids(database, ada, "test", [99])
    await row.delete_any(database, ada, b"table=test&title==,none")
    assert ["test"] * 4 == world.written
    await row.delete_ids(database, ada, "test", [made])
    await row.delete_any(database, ada, b"table=test&id=>,0")
    assert ["test"] * 6 == world.written
