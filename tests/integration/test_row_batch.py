"""queue=batch on a real PostgreSQL: one commit for many, and to each their own."""

import asyncio
import time

import pytest

from atom.errors import ApiError, Conflict, Unavailable, Unprocessable
from atom.row.batch import Batches, batch
from tests.integration.near import Wire, eventually
from tests.integration.row_world import ADA, CLO, database_url, row_url, world

__all__ = ["database_url", "row_url", "world"]


ADMIN = ("admin", 1)


class Near:
    """What of the ports a batch needs."""

    def __init__(self, world, **bounds):
        self.database = world.database
        self.batches = Batches(world.database, **({"rows": 10, "wait_ms": 5} | bounds))


def make(world, ports, who=ADA, table="test", **columns):
    """Begin to create one row."""
    return asyncio.ensure_future(batch(ports, world.reach(who), table, columns))


async def ends(*work):
    """Return what each came to, errors as themselves."""
    return await asyncio.gather(*work, return_exceptions=True)


async def commits(world):
    """Return how many transactions wrote rows of test: each has an xmin of its own."""
    return await world.database.value("select count(distinct xmin::text) from test")


async def until(database, condition):
    """Wait until the database says so."""
    async with asyncio.timeout(30):
        while not await database.value(f"select {condition}"):
            await asyncio.sleep(0.01)


async def test_sixty_at_once_are_sixty_rows_of_their_callers(world):
    """Every id is distinct and is that of the caller's own row."""
    ports = Near(world)
    asked = [(11 + n % 3, f"title {n}") for n in range(60)]
    ids = await ends(*(make(world, ports, who, title=t) for who, t in asked))
    stored = [await world.stored(each) for each in ids]

    assert (
        60 == len(set(ids)) == await world.database.value("select count(*) from test")
    )
    assert asked == [(row["created_by_id"], row["title"]) for row in stored]
    assert await commits(world) <= 2
    assert {"test"} == set(world.written)


async def test_rows_wait_no_longer_than_was_promised(world):
    """One row alone is written after config_batch_wait_ms, none before."""
    ports = Near(world, wait_ms=200)
    began = time.monotonic()
    made = await asyncio.wait_for(make(world, ports, title="x"), 30)

    assert isinstance(made, int)
    assert time.monotonic() - began >= 0.2


async def test_enough_rows_wait_no_further(world):
    """The last of config_batch_object_create rows sets them off."""
    ports = Near(world, rows=3, wait_ms=60_000)
    first = [make(world, ports, title=str(n)) for n in range(2)]
    _, waiting = await asyncio.wait(first, timeout=0.1)
    ids = await asyncio.wait_for(ends(*first, make(world, ports, title="2")), 30)

    assert 2 == len(waiting)
    assert 1 == await commits(world)
    assert sorted(ids) == ids


async def test_what_comes_during_a_write_is_written_together(world):
    """However small a batch is meant to be, the next takes all that wait."""
    ports = Near(world, rows=1, wait_ms=0)
    async with world.database.connection() as other:
        await other.raw.execute("begin; lock table test in exclusive mode")
        first = make(world, ports, title="first")
        await until(other, "exists (select from pg_locks where not granted)")
        rest = [make(world, ports, title=str(n)) for n in range(30)]
        await asyncio.sleep(0.05)
        await other.raw.execute("commit")
    await ends(first, *rest)

    assert 2 == await commits(world)


BAD = [
    ({"is_active": 7}, Unprocessable, "is_active"),
    ({"mood": "angry"}, ApiError, "mood"),
    ({"title": "taken"}, Conflict, "title"),
    ({"title": "no", "type": 13}, Conflict, "unlucky"),
]


@pytest.mark.parametrize(("row", "kind", "named"), BAD, ids=[b[2] for b in BAD])
async def test_a_bad_row_hurts_nobody_else(world, row, kind, named):
    """Its caller hears why; those before and after it get their ids."""
    await world.database.run("create unique index on test (title)")
    await world.database.run(
        "create function unlucky() returns trigger language plpgsql as"
        " $$ begin raise exception 'unlucky'; end $$"
    )
    await world.database.run(
        "create trigger unlucky before insert on test for each row"
        " when (new.type = 13) execute function unlucky()"
    )
    await world.plant(title="taken", created_by_id=CLO)
    ports = Near(world)
    rows = [{"title": str(n)} for n in range(20)]
    rows[7] = row
    made = await ends(*(make(world, ports, ADMIN, **each) for each in rows))
    refused = made.pop(7)
    titles = [(await world.stored(each))["title"] for each in made]

    assert isinstance(refused, kind)
    assert named in refused.message
    assert "taken" not in refused.message
    assert [str(n) for n in range(20) if n != 7] == titles


async def test_same_key_twice_in_one_batch_is_won_by_one(world):
    """Exactly one of two callers gets the id, the other a 409."""
    ports = Near(world)
    work = [
        make(world, ports, who, "report_user", user_id=5)
        for who in (ADA, ADA, CLO, CLO)
    ]
    made = await ends(*work)

    assert 2 == sum(isinstance(each, int) for each in made)
    assert 2 == sum(isinstance(each, Conflict) for each in made)
    assert isinstance(made[0], int)
    assert isinstance(made[2], int)


async def test_many_bad_rows_are_told_each_their_own(world):
    """Every caller hears of the own column, however they are mixed."""
    ports = Near(world)
    rows = [{"is_active": 7}, {"title": "x"}, {"mood": "angry"}, {"title": "y"}] * 5
    made = await ends(*(make(world, ports, ADMIN, **row) for row in rows))

    assert [
        "Column 'is_active' breaks" in getattr(each, "message", "") for each in made
    ] == ["is_active" in row for row in rows]
    assert 10 == sum(isinstance(each, int) for each in made)
    assert 10 == await world.database.value("select count(*) from test")


async def test_columns_left_out_get_their_default(world):
    """Also when they were given a default that nobody here has heard of yet."""
    await world.database.run("alter table test alter title set default 'untitled'")
    ports = Near(world)
    rows = [{"title": "a"}, {"rating": 2}, {"title": None, "tag": ["x"]}, {"rating": 3}]
    made = await ends(*(make(world, ports, **row) for row in rows))
    stored = [await world.stored(each) for each in made]

    assert ["a", "untitled", None, "untitled"] == [row["title"] for row in stored]
    assert [None, 2, None, 3] == [row["rating"] for row in stored]
    assert ["x"] == stored[2]["tag"]
    assert 1 == await commits(world)


async def test_a_trigger_that_leaves_a_row_out_mixes_up_no_ids(world):
    """Its caller gets a 409; nobody gets the id of somebody else's row."""
    await world.database.run(
        "create function nothing() returns trigger language plpgsql as"
        " $$ begin return null; end $$"
    )
    await world.database.run(
        "create trigger nothing before insert on test for each row"
        " when (new.title = 'out') execute function nothing()"
    )
    ports = Near(world)
    titles = ["a", "out", "b", "c"]
    made = await ends(*(make(world, ports, title=title) for title in titles))
    refused = made.pop(1)
    stored = [(await world.stored(each))["title"] for each in made]

    assert (409, "row.refused") == (refused.status, refused.code)
    assert ["a", "b", "c"] == stored


async def test_who_leaves_harms_nobody(world):
    """A caller that is gone takes no other along; the row is written all the same."""
    ports = Near(world, wait_ms=1000)
    work = [make(world, ports, title=str(n)) for n in range(3)]
    await asyncio.sleep(0.02)
    work[0].cancel()
    made = await ends(*work)
    titles = await world.database.rows("select title from test order by id")

    assert isinstance(made[0], asyncio.CancelledError)
    assert [isinstance(each, int) for each in made[1:]] == [True, True]
    assert ["0", "1", "2"] == [row["title"] for row in titles]


async def test_a_full_room_turns_away(world):
    """Beyond the bound a row is refused at once, and those inside are not lost."""
    ports = Near(world, rows=100, wait_ms=100, waiting_max=5)
    work = [make(world, ports, title=str(n)) for n in range(8)]
    made = await ends(*work)
    later = await make(world, ports, title="later")

    assert [True] * 5 + [False] * 3 == [isinstance(each, int) for each in made]
    assert {"concurrency.exceeded"} == {each.code for each in made[5:]}
    assert {503} == {each.status for each in made[5:]}
    assert isinstance(later, int)


async def test_the_end_waits_for_what_was_accepted(world):
    """Three rows that would have waited a minute are written when the server stops."""
    ports = Near(world, wait_ms=60_000)
    work = [make(world, ports, title=str(n)) for n in range(3)]
    await asyncio.sleep(0.02)
    await asyncio.wait_for(ports.batches.close(30), 40)
    made = await ends(*work)
    late = (await ends(make(world, ports, title="late")))[0]

    assert 3 == len({*made}) == await world.database.value("select count(*) from test")
    assert isinstance(late, Unavailable)


async def test_an_end_that_takes_too_long_answers_still(world):
    """What could not be written in time is told so, and nobody waits for ever."""
    ports = Near(world, wait_ms=0)
    async with world.database.connection() as other:
        await other.raw.execute("begin; lock table test in exclusive mode")
        work = make(world, ports, title="x")
        await until(other, "exists (select from pg_locks where not granted)")
        await ports.batches.close(0.1)
        made = await asyncio.wait_for(ends(work), 30)
        await other.raw.execute("rollback")

    assert isinstance(made[0], Unavailable)
    assert 0 == await world.database.value("select count(*) from test")


async def test_a_lost_connection_is_told_and_nothing_tried_again(world, row_url):
    """Cut in the middle of a commit: 503 for everybody, and no row twice."""
    import asyncpg

    from atom.postgres import catalog
    from atom.postgres.database import Database
    from atom.postgres.lease import reset

    host, _, name = row_url.rpartition("/")
    wire = Wire(int(host.rpartition(":")[2]))
    await wire.mend()
    url = f"{host.rpartition(':')[0]}:{wire.port}/{name}"
    await world.database.run(
        "create function slow() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(1); return new; end $$"
    )
    await world.database.run(
        "create trigger slow before insert on test for each statement"
        " execute function slow()"
    )
    async with asyncpg.create_pool(url, min_size=0, max_size=2, reset=reset) as pool:
        database = Database(pool, acquire_seconds=1)
        database.catalog = await catalog.read(pool)
        ports = Near(world)
        ports.database = database
        ports.batches = Batches(database, rows=3, wait_ms=5)
        work = [make(world, ports, title=str(n)) for n in range(3)]
        await until(
            world.database,
            "exists (select from pg_stat_activity where wait_event = 'PgSleep')",
        )
        await wire.cut()
        made = await asyncio.wait_for(ends(*work), 30)
        await wire.mend()
        again = await asyncio.wait_for(make(world, ports, title="again"), 30)
    await wire.cut()
    titles = await world.database.rows("select title from test")

    assert {503} == {each.status for each in made}
    assert {"client.silent"} == {each.code for each in made}
    assert 3 == len({id(each) for each in made})
    assert isinstance(again, int)
    assert len({row["title"] for row in titles}) == len(titles)


async def test_rows_of_a_changed_table_are_written_apart(world):
    """Rows read for the table as it was and as it is do not share a statement."""
    from atom.postgres import catalog

    ports = Near(world, wait_ms=100)
    before = make(world, ports, title="before")
    await asyncio.sleep(0)
    await world.database.run("alter table test add fresh text")
    world.database.catalog = await catalog.read(world.database)
    after = make(world, ports, title="after", fresh="yes")
    made = await ends(before, after)

    assert ["before", "after"] == [(await world.stored(each))["title"] for each in made]


async def test_tables_do_not_wait_for_each_other(world):
    """A table that is locked holds up its own rows alone."""
    ports = Near(world)
    async with world.database.connection() as other:
        await other.raw.execute("begin; lock table test in exclusive mode")
        held = make(world, ports, title="x")
        free = await asyncio.wait_for(make(world, ports, table="message", user_id=1), 2)
        was_done = held.done()
        await other.raw.execute("commit")
    await eventually(held.done)

    assert isinstance(free, int)
    assert not was_done
    assert isinstance(held.result(), int)


async def test_managed_columns_are_refused_before_they_wait(world):
    """What is wrong with a row of itself is told at once."""
    ports = Near(world, wait_ms=60_000)
    made = await asyncio.wait_for(ends(make(world, ports, created_by_id=CLO)), 1)

    assert "row.managed_column" == made[0].code
