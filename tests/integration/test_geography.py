"""Places without PostGIS: true distances, found by an index, in every kind of read."""

import pytest
from hypothesis import HealthCheck, given, settings

from atom.errors import ApiError
from tests.integration.places import (
    EDGE,
    FAR,
    indexes,
    listening,
    planned,
    questions,
    true_meters,
)
from tests.integration.row_world import CLO, database_url, row_url, world

__all__ = ["database_url", "row_url", "world"]

INDEX = "create index place on test using gist (location); analyze test"
MANY = """
insert into test (created_by_id, title, location)
select 11, i % 3, point(((i * 7919) % 36000) / 100.0 - 180,
                        ((i * 104729) % 18000) / 100.0 - 90)
from generate_series(1, 20000) as i
"""


async def put(world, places):
    """Have nothing but these places in the table, from id 1 on."""
    await world.database.run("truncate test restart identity cascade")
    await world.database.run(
        "insert into test (created_by_id, location)"
        " select 11, point(x, y) from unnest($1::float8[], $2::float8[])"
        " with ordinality as p(x, y, place) order by place",
        [east for east, _ in places],
        [north for _, north in places],
    )


async def meters(world, place, least=0, most=FAR, more=""):
    """Return how far each row is that is found, by id."""
    rows, _ = await world.ask(
        f"table=test&column=id&limit=1000{more}"
        f"&location_filter={place[0]!r},{place[1]!r},{least!r},{most!r}"
    )
    return {row["id"]: row["distance_meter"] for row in rows}


@given(questions())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_distances_are_true_and_no_row_is_lost(world, question):
    """Within 0.3 % of the geodesic, anywhere; and what is near is found, all of it."""
    place, least, most, places = question
    await put(world, places)

    everything = await meters(world, place)
    found = await meters(world, place, least, most)

    assert len(places) == len(everything)
    for number, other in enumerate(places, 1):
        true = true_meters(place, other)
        assert abs(everything[number] - true) <= EDGE * true + 1e-5, (place, other)
    assert found == {
        number: far for number, far in everything.items() if least <= far <= most
    }


EDGES = {
    "over the date line": ((179.9, 10), (-179.9, 10), (0, 10)),
    "from its other side": ((-179.9, -10), (179.9, -10), (0, -10)),
    "on the date line, written both ways": ((180, 5), (-180, 5), (0, 5)),
    "over the north pole": ((10, 89.9), (-170, 89.9), (10, 88)),
    "over the south pole": ((10, -89.9), (-170, -89.9), (10, -88)),
    "at a pole, which is on every meridian": ((0, 90), (120, 90), (0, 89)),
    "the same place": ((77.2, 28.6), (77.2, 28.6), (77.5, 28.6)),
}


@pytest.mark.parametrize("edge", EDGES)
async def test_what_is_near_is_found(world, edge):
    """Over edges of the map too; what is farther is not."""
    place, near, away = EDGES[edge]
    await put(world, [near, away])

    assert [1] == list(await meters(world, place, 0, 25_000))


async def test_nothing_between_is_nothing(world):
    """Of two equal bounds of zero only the place itself remains."""
    await put(world, [(77.2, 28.6), (77.2000001, 28.6)])

    assert {1: 0} == await meters(world, (77.2, 28.6), 0, 0)


BROKEN = ["(nan,nan)", "(inf,0)", "(0,-inf)", "(500,0)", "(0,95)", "(1e300,1)"]


@pytest.mark.parametrize("broken", BROKEN)
async def test_place_that_psql_wrote_and_is_none_stops_nobody(world, broken):
    """It is nowhere, so it is not found; the others are."""
    await put(world, [(1, 1)])
    await world.database.run(
        f"insert into test (created_by_id, location) values (11, '{broken}')"
    )

    assert [1] == list(await meters(world, (1, 1)))


@pytest.mark.parametrize(
    "question",
    [
        "77.2,28.6,0,200000",
        "179.9,0,0,200000",
        "-179.9,60,100000,400000",
        "0,89.5,0,100000",
    ],
)
@pytest.mark.parametrize(
    "more",
    ["", "&is_count=1", "&order=distance_meter", "&cursor=", "&aggregate=count"],
)
async def test_index_answers(world, question, more):
    """The statement the reader is answered with does not read every row."""
    await world.database.run(MANY)
    await world.database.pool.execute(INDEX)
    heard = listening(world.database)
    await world.ask(f"table=test&location_filter={question}{more}", ("admin", 1))
    ((text, values),) = heard
    async with world.database.pool.acquire() as raw:
        nodes = await planned(raw, text, values)

    assert {"place"} == indexes(nodes)
    assert "Seq Scan" not in {node["Node Type"] for node in nodes}


@given(questions())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_index_costs_no_row(world, question):
    """With the index and without it the answers are the same."""
    place, least, most, places = question
    await put(world, places)
    without = await meters(world, place, least, most)
    async with world.database.connection() as connection:
        await connection.run("create index place on test using gist (location)")
        await connection.run("alter role current_user set enable_seqscan = off")
    await world.database.pool.expire_connections()
    try:
        assert without == await meters(world, place, least, most)
    finally:
        async with world.database.connection() as connection:
            await connection.run("alter role current_user reset enable_seqscan")
            await connection.run("drop index place")
        await world.database.pool.expire_connections()


class TestShapes:
    """The filter goes with everything else a read may ask."""

    ROUND = "table=test&column=title&location_filter=0,0,0,400000"

    @pytest.fixture
    async def near(self, world):
        """Rows a, b, c, d: 300, 100, 200 and 900 km from zero; e is CLO's."""
        for title, degrees in {"a": 2.7, "b": 0.9, "c": 1.8, "d": 8.1}.items():
            await world.make(title=title, location=f"POINT({degrees} 0)", rating=1)
        await world.make(who=CLO, title="e", location="POINT(0 0)")
        return world

    async def titles(self, world, query):
        """Return the titles in order."""
        rows, _ = await world.ask(query)
        return "".join(row["title"] for row in rows)

    async def test_nearest_first(self, near):
        """`order=distance_meter`, or the farthest first."""
        assert "bca" == await self.titles(near, f"{self.ROUND}&order=distance_meter")
        asked = f"{self.ROUND}&order=distance_meter desc"
        assert "acb" == await self.titles(near, asked)

    async def test_nearest_first_page_by_page(self, near):
        """Each row on one page, equals settled by the id."""
        await near.make(title="f", location="POINT(-0.9 0)")
        asked = f"{self.ROUND}&order=distance_meter&limit=1&page="

        pages = [await self.titles(near, f"{asked}{page}") for page in range(1, 6)]

        assert ["b", "f", "c", "a", ""] == pages

    async def test_other_orders_and_their_cursor(self, near):
        """A cursor goes through what is near as through all rows."""
        asked = f"{self.ROUND}&order=title desc&limit=2&cursor="
        rows, beside = await near.ask(asked)
        more, end = await near.ask(asked + beside["next_cursor"])

        assert "cba" == "".join(row["title"] for row in rows + more)
        assert end["next_cursor"] is None
        assert "distance_meter" in rows[0]

    async def test_count_and_groups_and_sums(self, near):
        """Only of what is near, and only of one's own."""
        _, beside = await near.ask(f"{self.ROUND}&limit=1&is_count=1")
        groups, _ = await near.ask(
            "table=test&location_filter=0,0,0,400000&group_by=title&order=title"
            "&aggregate=count,sum(rating)&is_count=1"
        )

        assert 3 == beside["count"]
        assert ["a", "b", "c"] == [row["title"] for row in groups]
        assert [1, 1, 1] == [row["sum_rating"] for row in groups]

    async def test_relations_and_filters(self, near):
        """Rows that hang on what is near come with it."""
        await near.database.run(
            "insert into report_user (created_by_id, user_id, test_id, note)"
            " values (11, 12, 2, 'near')"
        )
        rows, _ = await near.ask(
            f"{self.ROUND}&title=in,a|b&order=distance_meter"
            "&relation=report_user(note)&creator_key=username"
        )

        assert [[{"note": "near"}], []] == [row["report_user"] for row in rows]
        assert ["ada", "ada"] == [row["creator_username"] for row in rows]

    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ("&order=distance_meter&cursor=", "'cursor' does not go with"),
            ("&order=distance_meter&group_by=title", "distance_meter"),
        ],
    )
    async def test_what_cannot_be_is_said(self, near, more, words):
        """Not guessed, and never half done."""
        with pytest.raises(ApiError, match=words) as told:
            await near.ask(f"table=test&location_filter=0,0,0,9{more}")
        assert 400 == told.value.status

    async def test_distance_needs_a_place(self, near):
        """Without a filter nobody knows from where."""
        with pytest.raises(ApiError, match="needs 'location_filter'") as told:
            await near.ask("table=test&order=distance_meter")
        assert 400 == told.value.status
