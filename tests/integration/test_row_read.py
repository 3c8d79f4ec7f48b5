"""Reading rows of a real PostgreSQL: every operator, paging, secrets, injections."""

import orjson
import pytest

from atom import row
from atom.errors import ApiError, Forbidden, NotFound
from atom.postgres import catalog
from atom.postgres.database import Database
from atom.row.sql.cursor import encode
from tests.integration.row_world import ADA, CLO, database_url, row_url, world

__all__ = ["database_url", "row_url", "world"]


async def code(work):
    """Return the code a refusal carries."""
    with pytest.raises(ApiError) as caught:
        await work
    return caught.value.code


@pytest.fixture
async def three(world):
    """Three rows of ada's: 1, 2 and 3."""
    await row.create(
        world.database,
        world.reach(ADA),
        "test",
        [
            {
                "title": "Alpha one",
                "rating": 1.5,
                "tag": ["a", "b"],
                "number": [1, 2],
                "metadata": {"a": 1, "b": [1]},
                "is_open": True,
                "day": "2026-01-01",
                "hour": "08:00",
                "key": "00000000-0000-0000-0000-000000000001",
                "mood": "glad",
                "short": "x",
                "ratio": 0.5,
            },
            {
                "title": "beta; two",
                "rating": 2,
                "tag": ["b"],
                "number": [2],
                "metadata": {"c": None},
                "is_open": False,
                "day": "2026-02-01",
                "hour": "12:00",
                "key": "00000000-0000-0000-0000-000000000002",
                "mood": "sad",
                "short": "yy",
                "ratio": 1.5,
            },
            {
                "title": "gamma, two",
                "rating": None,
                "tag": [],
                "number": None,
                "metadata": [1],
                "is_open": None,
                "day": None,
                "hour": None,
                "key": None,
                "mood": None,
                "short": "",
                "ratio": None,
            },
        ],
    )
    return world


OPERATORS = [
    ("id==,2", [2]),
    ("id=!=,2", [3, 1]),
    ("id=<>,2", [3, 1]),
    ("id=>,1", [3, 2]),
    ("id=<,2", [1]),
    ("id=>=,2", [3, 2]),
    ("id=<=,2", [2, 1]),
    ("id=in,1|3", [3, 1]),
    ("id=not in,1|3", [2]),
    ("id=not+in,1|3", [2]),
    ("id=between,2|3", [3, 2]),
    ("title=like,%25two", [3, 2]),
    ("title=like,ALPHA%25", []),
    ("title=ilike,ALPHA%25", [1]),
    ("title=~,^beta", [2]),
    ("title=~,^BETA", []),
    ("title=~*,^BETA", [2]),
    ("title==,gamma, two", [3]),
    ("title=in,Alpha one|beta; two", [2, 1]),
    ("title=fts,two beta", [2]),
    ("title=fts,\"unclosed ' %26 | !", []),
    ("title=fts,ones", []),  # words as they are: no language is guessed
    ("title==,null", []),
    ("title=is,null", []),
    ("rating=is,null", [3]),
    ("rating=is,not null", [2, 1]),
    ("rating==,1.50", [1]),
    ("rating=between,1|1.9", [1]),
    ("rating=is distinct from,2", [3, 1]),
    ("rating=in,1.5|2", [2, 1]),
    ("is_open=is,true", [1]),
    ("is_open=is,false", [2]),
    ("is_open==,true", [1]),
    ("is_open=in,true|false", [2, 1]),
    ("tag=contains,a|b", [1]),
    ("tag=contains,b", [2, 1]),
    ("tag=contains,", [3, 2, 1]),
    ("tag=overlap,a|z", [1]),
    ("tag=any,a", [1]),
    ("tag==,a,b", [1]),
    ("number=any,2", [2, 1]),
    ("number=contains,1|2", [1]),
    ("number=overlap,1|9", [1]),
    ('metadata=contains,{"a":1}', [1]),
    ("metadata=exists,c", [2]),
    ("metadata==,[1]", [3]),
    ("created_at=>,2020-01-01T00:00:00", [3, 2, 1]),
    ("created_at=>,2020-01-01T00:00:00+05:30", [3, 2, 1]),
    ("created_at=<,2020-01-01", []),
    ("day==,2026-01-01", [1]),
    ("day=in,2026-01-01|2026-02-01", [2, 1]),
    ("hour=>,09:00", [2]),
    ("key==,00000000-0000-0000-0000-000000000002", [2]),
    ("mood==,glad", [1]),
    ("mood=in,glad|sad", [2, 1]),
    ("mood=>,glad", [2]),
    ("short==,yy", [2]),
    ("short==,", [3]),
    ("short=in,x|yy", [2, 1]),
    ("ratio=<,1", [1]),
    ("type=is,null", [3, 2, 1]),
    ("id=>,1&id=<,3", [2]),
    ("or=(title=ilike,alpha%25;id=>,2)", [3, 1]),
    ("or=(title==,beta\\; two;id==,99)", [2]),
    ("or=(id==,1;id==,2)&or=(id==,2;id==,3)", [2]),
    ("location=is,null", [3, 2, 1]),
]


@pytest.mark.parametrize(("query", "ids"), OPERATORS, ids=[q for q, _ in OPERATORS])
async def test_operator_finds_exactly_its_rows(three, query, ids):
    """What a filter says is what PostgreSQL is asked, values included."""
    assert ids == await three.ids(query)


@pytest.mark.parametrize(
    "query",
    [
        "or=(title==,a)b;title==,x)",
        "or=(title==,x;and=(title==,a\\)b))",
        "or=(title==,x;and=(title==,a\\)b;title=like,%25\\)_))",
        "and=(or=(title==,x;and=(title=in,a\\)b|y)))",
    ],
)
async def test_a_parenthesis_may_stand_in_a_value_of_a_group(world, query):
    """As it is in the outermost group, behind a backslash in the inner ones."""
    found = await world.make(title="a)b")
    for other in ("a\\)b", "a", "b"):
        await world.make(title=other)

    assert [found] == await world.ids(query)


async def test_datatypes_of_extensions_and_lengths(world):
    """citext compares without case; arrays of varchar and places in lists work too."""
    await world.database.run("create extension if not exists citext")
    await world.database.run("alter table test add name citext, add words varchar(5)[]")
    world.database.catalog = await catalog.read(world.database)
    body = {"name": "Ada", "words": ["a", "b"]}
    await row.create(world.database, world.reach(ADA), "test", [body, {"name": "Clo"}])
    await row.create(world.database, world.reach(ADA), "test", [body, body])

    assert [4, 3, 1] == await world.ids("name==,ADA")
    assert [4, 3, 2, 1] == await world.ids("name=in,ADA|clo")
    assert [4, 3, 1] == await world.ids("name=like,ad%25")
    assert [4, 3, 1] == await world.ids("words=contains,a|b")
    assert [4, 3, 1] == await world.ids("words==,a,b")
    assert [4, 3, 1] == await world.ids("words=any,a")
    rows, beside = await world.ask("table=test&order=name&limit=3&cursor=")
    rows, _ = await world.ask(
        f"table=test&order=name&limit=3&cursor={beside['next_cursor']}"
    )
    assert ["Clo"] == [each["name"] for each in rows]


REFUSED = [
    ("nope==,1", "sql.unknown_column"),
    ("secret_note==,x", "sql.unknown_column"),
    ("raw==,x", "value.unreadable"),
    ("order=secret_note", "sql.unknown_column"),
    ("column=id,secret_note", "sql.unknown_column"),
    ("group_by=secret_note", "sql.unknown_column"),
    ("group_by=title&aggregate=max(secret_note)", "sql.unknown_column"),
    ("or=(id==,1;secret_note==,x)", "sql.unknown_column"),
    ("creator_key=password", "sql.unknown_column"),
    ("creator_key=api_access", "sql.unknown_column"),
    ("creator_key=google_data", "sql.unknown_column"),
    ("id=1", "filter.unreadable"),
    ("id=gt,1", "filter.unreadable"),
    ("id=>0 and exists(select 1 from users) and id>,1", "filter.unreadable"),
    ("id=>,1 or 1=1", "value.unreadable"),
    ("id==,1;drop table test", "value.unreadable"),
    ("id==,99999999999999999999", "value.unreadable"),
    ("type==,70000", "value.unreadable"),
    ("id=like,1", "filter.unreadable"),
    ("title=contains,a", "filter.unreadable"),
    ("metadata=contains,{", "value.unreadable"),
    ("metadata=>,1", "filter.unreadable"),
    ("location==,1", "filter.unreadable"),
    ("title=~,(", "filter.unreadable"),
    ("title=like,\\", "filter.unreadable"),
    ("title==,%00", "value.unreadable"),
    ("mood==,angry", "value.unreadable"),
    ("is_open==,yes", "value.unreadable"),
    ("is_open=is,maybe", "filter.unreadable"),
    ("id=is,true", "filter.unreadable"),
    ("rating==,nan", "value.unreadable"),
    ("rating==,1e999999999", "value.unreadable"),
    ("created_at=>,yesterday", "value.unreadable"),
    ("created_at=>,4714-11-24T00:00:00%2B14:00 BC", "value.unreadable"),
    ("id=between,1", "filter.unreadable"),
    ("or=id==,1", "filter.unreadable"),
    ("or=()", "filter.unreadable"),
    ("order=id;drop table test", "sql.unknown_column"),
    ("order=(select 1)", "sql.unknown_column"),
    ("order=metadata", "request.invalid"),
    ("limit=abc", "request.invalid"),
    ("limit=0", "request.invalid"),
    ("limit=-1", "request.invalid"),
    ("limit=1001", "request.invalid"),
    ("page=0", "request.invalid"),
    ("page=1&cursor=", "request.invalid"),
    ("is_count=2", "request.invalid"),
    ("limit=1&limit=2", "request.invalid"),
    ("cursor=garbage", "filter.unreadable"),
    ("location_filter=1,2,3", "request.invalid"),
    ("location_filter=181,2,3,4", "request.invalid"),
    ("aggregate=evil(id)", "request.invalid"),
    ("aggregate=sum(title)", "request.invalid"),
    ("limti=5", "filter.unreadable"),
    ("relation=users", "sql.unknown_relation"),
    ("table=test", "request.invalid"),
    ("title==,%ff", "request.invalid"),
]


@pytest.mark.parametrize(("query", "word"), REFUSED, ids=[q for q, _ in REFUSED])
async def test_what_is_not_in_the_grammar_is_refused(three, query, word):
    """Nothing is ignored, nothing is guessed, and no 500 comes of it."""
    assert word == await code(three.ids(query))


@pytest.mark.parametrize(
    "table",
    [
        *(
            "test; drop",
            "(select 1) x",
            "pg_user",
            "pg_catalog.pg_user",
            "Test",
            "nope",
        ),
        *(
            '"test"',
            "public.test",
            "test ",
            "atom.session",
            "information_schema.tables",
        ),
    ],
)
async def test_only_tables_of_the_catalog_exist(world, table):
    """A name that is not exactly a table's is unknown, whatever SQL made of it."""
    with pytest.raises(NotFound):
        await world.ask(f"table={table}", ("admin", 1))
    with pytest.raises(Forbidden):
        await world.ask(f"table={table}", "public")


async def test_hints_name_the_nearest_word(world):
    """A misspelt column, parameter or operator is answered with the right one."""
    for query, word in [
        ("titel==,x", "title"),
        ("limti=5", "limit"),
        ("title=ilkie,x", "ilike"),
    ]:
        with pytest.raises(ApiError) as caught:
            await world.ids(query)
        assert word in caught.value.hint


async def test_hints_never_name_a_secret_column(world):
    """Nearly guessing a secret column does not give it away."""
    with pytest.raises(ApiError) as caught:
        await world.ids("secret_not==,x")

    assert "secret" not in caught.value.hint


async def test_rows_come_as_json_types(world):
    """Each datatype has the JSON form the contract names."""
    await world.plant(
        title="x",
        created_by_id=ADA,
        secret_note="never",
        raw=b"\x00\xff",
        type=3,
    )
    await world.database.run(
        "update test set created_at = '2026-01-31T12:00:00.5+02', rating = 1.25,"
        " tag = '{a,b}', location = '(77.2,28.6)', metadata = '{\"a\": [1]}'"
    )
    ((found,), _) = await world.ask("table=test")

    assert found["created_at"] == "2026-01-31T10:00:00.5+00:00"
    assert found["rating"] == 1.25
    assert found["tag"] == ["a", "b"]
    assert found["location"] == {"type": "Point", "coordinates": [77.2, 28.6]}
    assert found["metadata"] == {"a": [1]}
    assert found["doubled"] == 6
    assert found["day"] is None
    assert found["raw"] == "AP8="
    assert "secret_note" not in found


async def test_columns_are_chosen_in_order(three):
    """`column=` answers exactly these."""
    rows, _ = await three.ask("table=test&column=title,id&limit=1")

    assert [("title", "id")] == [tuple(row) for row in rows]


async def test_order_limit_and_page(world):
    """Pages of an order with equal keys neither overlap nor skip."""
    for number in range(10):
        await world.make(title=str(number % 2))
    pages = [
        await world.ids(f"order=title desc&limit=3&page={page}")
        for page in (1, 2, 3, 4)
    ]

    assert [10, 8, 6, 4, 2, 9, 7, 5, 3, 1] == [each for page in pages for each in page]
    assert [1, 2] == await world.ids("order=id&limit=2")


async def test_order_puts_nulls_where_asked(three):
    """`nulls first` and `nulls last` are part of an order."""
    assert [3, 1, 2] == await three.ids("order=rating nulls first")
    assert [2, 1, 3] == await three.ids("order=rating desc nulls last")


async def test_count_stands_beside_the_page(three):
    """`is_count=1` counts every row that matches, not only those of the page."""
    rows, beside = await three.ask("table=test&is_count=1&limit=1&id=<,3")

    assert (1, {"count": 2}) == (len(rows), beside)


async def test_default_limit_is_a_hundred(world):
    """Without `limit` a hundred rows come, the newest first."""
    await world.database.run(
        "insert into test (created_by_id) select $1 from generate_series(1, 120)", ADA
    )

    assert list(range(120, 20, -1)) == await world.ids("")


async def test_limit_default_obeys_a_smaller_maximum(world):
    """A maximum under a hundred also bounds reads that name no limit."""
    world.rules.limit_max = 7
    await world.database.run(
        "insert into test (created_by_id) select $1 from generate_series(1, 20)", ADA
    )

    assert 7 == len(await world.ids(""))


ORDERS = [
    *("", "order=id", "order=type desc", "order=type,title desc"),
    *("order=rating", "order=rating desc", "order=rating nulls first,title"),
    *(
        "order=rating desc nulls last,type",
        "order=created_at desc",
        "order=title,id desc",
    ),
    "order=tag,is_open nulls first",
]


@pytest.mark.parametrize("order", ORDERS)
async def test_cursor_walks_the_same_rows_as_the_order(world, order):
    """A thousand rows, paged by cursor, come once each and in order; nulls too."""
    await world.database.run(
        """
        insert into test (created_by_id, type, title, rating, created_at, tag, is_open)
        select $1, i % 7, 't' || i % 11, nullif(i % 5, 0) / 3.0,
               now() - (i % 13) * interval '1.000001 s',
               array['a', (i % 3)::text], nullif(i % 3, 0) = 1
        from generate_series(1, 1000) i
        """,
        ADA,
    )
    plain = await world.ids(f"{order}&limit=1000")
    walked, cursor, pages = [], "", 0
    while cursor is not None and pages < 20:
        rows, beside = await world.ask(
            f"table=test&{order}&limit=96&column=title,id&cursor={cursor}"
        )
        walked += [row["id"] for row in rows]
        cursor, pages = beside["next_cursor"], pages + 1

    assert 1000 == len(set(plain))
    assert plain == walked
    assert 11 == pages


async def test_cursor_is_refused_when_it_was_changed(three):
    """Any character changed, another order or made-up keys: 400."""
    _, beside = await three.ask("table=test&limit=1&cursor=")
    cursor = beside["next_cursor"]
    for place in range(len(cursor)):
        other = "A" if cursor[place] != "A" else "B"
        changed = cursor[:place] + other + cursor[place + 1 :]
        assert "filter.unreadable" == await code(three.ids(f"cursor={changed}"))
    assert "filter.unreadable" == await code(three.ids(f"order=title&cursor={cursor}"))
    forged = encode('test: order by t."id" desc', '["1) or (1=1"]')
    assert "filter.unreadable" == await code(three.ids(f"cursor={forged}"))
    short = encode('test: order by t."id" desc', "[]")
    assert "filter.unreadable" == await code(three.ids(f"cursor={short}"))


async def test_creator_columns_stand_beside_a_row(world):
    """`creator_key` looks up who made a row; a row of nobody has null."""
    await world.make(title="hers")
    await world.plant(title="nobody's")
    rows, _ = await world.ask("table=test&creator_key=username,id&column=id", "public")

    assert rows == [
        {"id": 2, "creator_username": None, "creator_id": None},
        {"id": 1, "creator_username": "ada", "creator_id": ADA},
    ]


async def test_creator_columns_go_with_a_cursor_and_a_count(world):
    """The options of a read combine."""
    for _ in range(3):
        await world.make(title="x")
    rows, beside = await world.ask(
        "table=test&creator_key=username&cursor=&limit=2&is_count=1&column=id"
    )

    assert [3, 2] == [row["id"] for row in rows]
    assert 3 == beside["count"]
    assert beside["next_cursor"]


async def test_location_filter_measures_the_earth(world):
    """From Paris it is 879.7 km to Berlin, 1106.6 to Rome, and far to Quito."""
    for title, place in [
        ("Berlin", "POINT(13.405 52.52)"),
        ("Rome", "POINT(12.4964 41.9028)"),
        ("Quito", "POINT(-78.4678 -0.1807)"),
        ("nowhere", None),
    ]:
        await world.make(title=title, location=place)
    rows, beside = await world.ask(
        "table=test&column=title&location_filter=2.3522,48.8566,0,1200000&is_count=1"
    )

    far = {row["title"]: row["distance_meter"] / 1000 for row in rows}
    assert {"Rome": 1106.60, "Berlin": 879.70} == pytest.approx(far, abs=0.01)
    assert 2 == beside["count"]
    assert [2] == await world.ids("location_filter=2.3522,48.8566,900000,1200000")


async def test_groups_and_their_functions(world):
    """`group_by` and `aggregate` answer one row for each group."""
    for title, rating in [("a", 1), ("a", 3), ("b", 5)]:
        await world.make(title=title, rating=rating)
    await world.plant(title="a", rating=99, created_by_id=CLO)
    rows, beside = await world.ask(
        "table=test&group_by=title&is_count=1"
        "&aggregate=count,sum(rating),avg(rating),min(rating),max(title)"
    )

    assert {"count": 2} == beside
    assert rows == [
        {
            "title": "a",
            "count": 2,
            "sum_rating": 4,
            "avg_rating": 2,
            "min_rating": 1,
            "max_title": "a",
        },
        {
            "title": "b",
            "count": 1,
            "sum_rating": 5,
            "avg_rating": 5,
            "min_rating": 5,
            "max_title": "b",
        },
    ]
    rows, _ = await world.ask("table=test&group_by=title&order=title desc&limit=1")
    assert [{"title": "b", "count": 1}] == rows
    rows, _ = await world.ask("table=test&aggregate=count")
    assert [{"count": 3}] == rows


@pytest.mark.parametrize("way", ["is_count=1", "is_count=true"])
async def test_a_count_is_of_all_there_is_wherever_the_page(world, way):
    """Of groups where groups are asked, else of rows; page, limit and cursor are none
    of its business, and beyond the last row there is an empty list."""
    for title in "aabcc":
        await world.make(title=title)
    _, beside = await world.ask("table=test&limit=5&cursor=")
    _, last = await world.ask("table=test&limit=4&cursor=")
    beyond = "page=1000000000&limit=1000"
    asked = {
        f"{beyond}&{way}": (0, {"count": 5}),
        f"group_by=title&limit=1&{way}": (1, {"count": 3}),
        f"group_by=title&{beyond}&{way}": (0, {"count": 3}),
        f"aggregate=count&{way}": (1, {"count": 5}),
        f"aggregate=count&page=2&{way}": (0, {"count": 5}),
        f"limit=2&cursor=&{way}&title==,a": (2, {"count": 2}),
        f"limit=4&cursor={last['next_cursor']}&{way}": (1, {"count": 5}),
        f"limit=4&cursor={beside['next_cursor']}&{way}": (0, {"count": 5}),
    }
    for query, (number, told) in asked.items():
        rows, beside = await world.ask(f"table=test&{query}")
        end = beside.pop("next_cursor", None)
        assert (number, told) == (len(rows), beside), query
        assert (end is not None) == (number == 2), query


async def test_an_empty_table_answers_an_empty_list(world):
    """No rows is a list, not null."""
    assert ([], {}) == await world.ask("table=test")
    rows, beside = await world.ask("table=test&cursor=&is_count=1")
    assert ([], {"count": 0, "next_cursor": None}) == (rows, beside)


class TestWhoSeesWhat:
    async def test_my_rows_are_mine_whatever_i_ask(self, world):
        """No filter, alternative, count, group or cursor shows a row of another."""
        mine = await world.make(title="mine")
        await world.make(CLO, title="hers")
        for query in [
            "",
            "id=>,0",
            "or=(id=>,0;title=is,null;title=is,not null)",
            f"created_by_id=in,{ADA}|{CLO}",
            "cursor=",
            "page=1&limit=7",
        ]:
            assert [mine] == await world.ids(query)
        _, beside = await world.ask("table=test&is_count=1")
        assert 1 == beside["count"]
        rows, _ = await world.ask("table=test&group_by=title")
        assert [{"title": "mine", "count": 1}] == rows
        _, beside = await world.ask("table=test&cursor=&limit=1")
        hers, _ = await world.ask(
            f"table=test&limit=5&cursor={beside['next_cursor']}", CLO
        )
        assert [] == [each for each in hers if each["title"] == "mine"]

    async def test_remembered_statements_keep_callers_apart(self, world):
        """The same question asked by two users in turn has two answers."""
        for who in (ADA, CLO, ADA, CLO):
            await world.make(who, title="x")
        for _ in range(3):
            assert [3, 1] == await world.ids("", ADA)
            assert [4, 2] == await world.ids("", CLO)
            assert [4, 3, 2, 1] == await world.ids("", ("admin", 1))
            assert [4, 3, 2, 1] == await world.ids("", "public")

    async def test_public_reads_listed_tables_only(self, world):
        """A table that is not listed is refused, whether it exists or not."""
        for table in ("users", "message", "nope", "", "otp"):
            with pytest.raises(ApiError):
                await world.ask(f"table={table}", "public")
        with pytest.raises(Forbidden) as caught:
            await world.ask("table=users", "public")
        assert "table not allowed" == caught.value.message

    async def test_admin_reads_users_without_secrets(self, world):
        """Not even an admin is shown a password hash."""
        rows, _ = await world.ask("table=users", ("admin", 1))

        assert {"ada", "clo"} == {row["username"] for row in rows}
        assert not {"password", "google_data", "password_bigint"} & set(rows[0])

    async def test_a_table_without_owner_has_no_rows_of_mine(self, world):
        """/my refuses a table that no entry opens."""
        assert "row.table_not_allowed" == await code(world.ask("table=ownerless"))

    async def test_parents_of_my_rows(self, world):
        """Parents come once each, mine only, without what is personal."""
        await world.plant("report_user", created_by_id=ADA, user_id=CLO)
        await world.plant("report_user", created_by_id=CLO, user_id=ADA)
        body = await row.parents(
            world.database,
            world.reach(ADA),
            b"table=report_user&parent_table=users&parent_column=user_id",
        )
        (found,) = orjson.loads(body)

        assert "clo" == found["username"]
        assert not {"password", "email", "api_access", "google_data"} & set(found)

    @pytest.mark.parametrize(
        ("query", "word"),
        [
            ("parent_table=log_api&parent_column=user_id", "row.table_not_allowed"),
            ("parent_table=otp&parent_column=user_id", "row.table_not_allowed"),
            ("parent_table=message&parent_column=user_id", "row.table_not_allowed"),
            ("parent_table=users&parent_column=note", "request.invalid"),
            ("parent_table=users&parent_column=nope", "sql.unknown_column"),
            ("parent_table=nope&parent_column=user_id", "sql.unknown_table"),
            ("parent_table=users", "request.invalid"),
            ("parent_table=users&parent_column=user_id&id==,1", "request.invalid"),
        ],
    )
    async def test_parents_cannot_be_chosen_at_will(self, world, query, word):
        """A row of mine that points at a stranger's table opens nothing."""
        work = row.parents(
            world.database, world.reach(ADA), f"table=report_user&{query}".encode()
        )

        assert word == await code(work)

    async def test_referring_to_a_strangers_row_does_not_show_it(self, world):
        """Of a table that is not open, parents are one's own rows alone."""
        mine = await world.plant("invoice", created_by_id=ADA, total=1)
        hers = await world.plant("invoice", created_by_id=CLO, total=2)
        for parent in (mine, hers):
            await world.plant("line", created_by_id=ADA, invoice_id=parent)
        body = await row.parents(
            world.database,
            world.reach(ADA),
            b"table=line&parent_table=invoice&parent_column=invoice_id",
        )

        assert [1] == [each["total"] for each in orjson.loads(body)]

    async def test_parents_of_a_public_table(self, world):
        """A table anybody may read may be read as a parent."""
        made = await world.make(CLO, title="shared")
        await world.plant("report_user", created_by_id=ADA, user_id=1, test_id=made)
        body = await row.parents(
            world.database,
            world.reach(ADA),
            b"table=report_user&parent_table=test&parent_column=test_id&limit=5",
        )

        assert ["shared"] == [each["title"] for each in orjson.loads(body)]


async def test_a_read_cannot_write(world):
    """On a connection that may only read, every kind of read still works."""
    await world.make(title="x")
    async with world.database.pool.acquire() as connection:
        await connection.execute("set default_transaction_read_only = on")
        readonly = Database(Only(connection))
        readonly.catalog = world.database.catalog
        for query in ("", "cursor=", "is_count=1", "creator_key=username"):
            raw = f"table=test&{query}".encode()
            answer = await row.read(readonly, world.reach(ADA), raw)
            assert 1 == len(orjson.loads(answer.body))
        with pytest.raises(Forbidden):
            await row.create(readonly, world.reach(ADA), "test", {"title": "y"})


class Only:
    """A pool of one connection, which is never given back."""

    def __init__(self, connection):
        self.connection = connection

    async def acquire(self):
        return self.connection

    async def release(self, connection):
        assert connection is self.connection

    def get_max_size(self):
        return 1
