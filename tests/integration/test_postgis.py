"""The same rows and questions with PostGIS and without it, and the move between them.

Both servers run as users start them; what is asked is asked over HTTP.
"""

import asyncio
import csv
import io
import random
import subprocess
import sys
from contextlib import contextmanager

import asyncpg
import pytest

from atom import row
from atom.config import keys
from atom.config import resolve as settings
from atom.postgres import catalog
from atom.postgres.database import Database
from atom.row.scope import RowConfig
from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from embedded import binaries
from tests import machine
from tests.acceptance.conftest import opened
from tests.integration.near import connected, fresh_database
from tests.integration.places import EDGE, indexes, listening, planned, turned
from tests.integration.postgis import postgis_url
from tests.served import ROOT, environment, serve

__all__ = ["postgis_url"]

KEYS = {"config_key_root": "r" * 32, "config_key_jwt": "j" * 64}
SPATIAL = {**KEYS, "config_is_postgres_init": "1"}
EXPORT, IMPORT = "/root/postgres-export", "/root/postgres-import"
STORED = """
select format_type(a.atttypid, a.atttypmod) as datatype,
       (select indexdef from pg_indexes where indexname = 'index_test_location_gist')
from pg_attribute a where attrelid = 'public.test'::regclass and attname = 'location'
"""


def run(work):
    """Run one coroutine to its end."""
    return asyncio.run(work)


@contextmanager
def running_api(values):
    """Serve until the block ends."""
    with serve(values) as served:
        api = opened(served)
        try:
            yield api
        finally:
            api.http.close()


async def database_of(url, name):
    """Make an empty database on a server; return its address."""
    admin = await connected(url)
    try:
        await admin.execute(f"create database {name}")
    finally:
        await admin.close()
    return url.rpartition("/")[0] + "/" + name


@pytest.fixture(scope="module")
def spatial(postgis_url):
    """A server on a database with PostGIS."""
    url = run(database_of(postgis_url, "spatial"))
    with running_api({**SPATIAL, "config_postgres_url": url}) as api:
        yield api


@pytest.fixture(scope="module")
def plain():
    """A server on the embedded database."""
    with running_api(KEYS) as api:
        yield api


@pytest.fixture(scope="module")
def both(plain, spatial):
    """Both servers, each with an admin."""
    return [(api, api.person(api_access="1,2,3,4,5,6")) for api in (plain, spatial)]


def asked(both, method, path, **options):
    """Ask both; return what they answer, after a look that neither refused."""
    return [api.message(method, path, who, **options) for api, who in both]


def places(seed, amount):
    """Return random places, many of them near the edges of the map and each other."""
    chance = random.Random(seed)
    found = [(180, 10), (-180, 10), (0, 90), (50, 90), (0, -90), (0, 0), (1e-9, 0)]
    while len(found) < amount:
        east, north = chance.uniform(-180, 180), chance.uniform(-90, 90)
        if chance.random() < 0.5:
            east, north = chance.choice(found)
            size = 10 ** chance.uniform(-6, 1)
            east = turned(east + chance.uniform(-size, size))
            north = max(-90, min(90, north + chance.uniform(-size, size)))
        found.append((east, north))
    return found


@pytest.fixture(scope="module")
def filled(both):
    """Both servers with the same places, in the same order."""
    chance, made = random.Random(5), places(1, 400)
    rows = []
    for number, (east, north) in enumerate(made):
        text = f"POINT({east!r} {north!r})"
        shape = {"type": "Point", "coordinates": [east, north]}
        rows.append({"title": f"p{number}", "location": chance.choice([text, shape])})
    path = "/admin/object-create?table=test"
    first, second = asked(both, "POST", path, json=rows)
    assert len(first) == len(second) == len(rows)
    return both, made


class TestSchema:
    """What apply makes of `geography(POINT)` where PostGIS is."""

    def test_column_and_index(self, spatial, plain):
        """geography in the reference system of GPS; else point; both with gist."""
        (found,) = spatial.sql(STORED)
        (other,) = plain.sql(STORED)

        assert "geography(Point,4326)" == found["datatype"]
        assert "point" == other["datatype"]
        for each in (found, other):
            assert each["indexdef"].endswith("USING gist (location)")

    @pytest.mark.parametrize("more", ["", "&is_destructive=1"])
    def test_second_plan_is_empty(self, spatial, more):
        """It finds its own types and indexes again."""
        path = f"/root/postgres-init?mode=plan{more}"
        plan = spatial.call("GET", path, "root").json()

        assert (1, [], []) == (plan["status"], plan["message"], plan["drift"])


class TestSameAnswers:
    """No caller can tell which of the two is asked."""

    def test_rows(self, filled):
        """Every place comes back as it was written, to the last digit."""
        both, made = filled
        path = "/admin/object-read?table=test&column=title,location&order=id&limit=1000"
        first, second = asked(both, "GET", path)

        assert first == second
        assert [list(pair) for pair in made] == [
            each["location"]["coordinates"] for each in first
        ]

    VALUES = (
        "POINT(77.123456789012345 -28.98765432109876)",
        "SRID=4326;POINT(0.1 0.30000000000000004)",
        {"type": "Point", "coordinates": [-180, 90]},
        {"type": "Point", "coordinates": [1e-7, -1e-5]},
        None,
    )

    @pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
    def test_create_update_and_relation(self, both, value):
        """Text and GeoJSON, one row and several, beside a row and under it."""
        read = []
        for api, who in both:
            made = api.message(
                "POST",
                "/my/object-create?table=test",
                who,
                json={"location": "POINT(1 2)"},
            )
            changed = {"id": made, "location": value}
            api.message("PUT", "/my/object-update?table=test", who, json=changed)
            api.message("PUT", "/my/object-update?table=test", who, json=[changed])
            asks = f"/my/object-read?table=test&id==,{made}&column=location"
            rows = api.message("GET", asks, who)
            asks = f"/admin/object-read?table=users&id==,{who.id}&column=type"
            (user,) = api.message("GET", f"{asks}&relation=test(location):1", who)
            api.message("DELETE", f"/my/object-delete-any?table=test&id==,{made}", who)
            assert rows == user["test"]
            read.append(rows)

        assert read[0] == read[1]

    @pytest.mark.parametrize(
        "value", ["POINT(181 0)", "POINT(0 91)", "POINT(nan 0)", "POINT(1)", "x", 5]
    )
    def test_refusals(self, both, value):
        """What is no place is no place on either, in the same words."""
        told = []
        for api, who in both:
            path = "/my/object-create?table=test"
            answer = api.call("POST", path, who, json={"location": value})
            told.append((answer.status_code, answer.json()["message"]))

        assert told[0] == told[1]
        assert 400 <= told[0][0] < 500

    def test_profile(self, both):
        """One's own place, in one's own account."""
        for api, who in both:
            body = {"id": who.id, "location": "POINT(13.4 52.5)"}
            api.message("PUT", "/my/object-update?table=users", who, json=body)
        first, second = asked(both, "GET", "/my/profile")

        assert first["location"] == second["location"]
        assert [13.4, 52.5] == first["location"]["coordinates"]

    QUERIES = (
        "select id, location from test order by id",
        "select title, location as place from test where title like 'p1%' order by id",
        "select null::bigint, location from test order by id limit 3",
    )

    @pytest.mark.parametrize("query", QUERIES)
    def test_db_runner(self, filled, query):
        """An admin's own SQL shows places as rows do."""
        first, second = asked(
            filled[0], "POST", "/admin/db-runner", json={"query": query}
        )

        assert first == second
        assert "Point" in str(first)

    def test_openapi(self, both):
        """The typed routes of both are the same."""
        (one, _), (other, _) = both
        first, second = (
            api.http.get(f"{api.url}/openapi.json").json()["components"]["schemas"]
            for api in (one, other)
        )

        assert first == second

    def questions(self):
        """Return random questions: places of both, distances of every size."""
        chance, known = random.Random(9), places(1, 400) + places(2, 100)
        for _ in range(120):
            most = 10 ** chance.uniform(-1, 7.31)
            least = chance.choice([0, 0, most / 2])
            yield *chance.choice(known), least, most
        for edge in [(180, 10), (-180, 10), (0, 90), (0, 0)]:
            yield *edge, 0, 0

    def test_location_filter(self, filled):
        """The same rows but at the edges, the same meters, both within 0.3 %."""
        found_any = 0
        for question in self.questions():
            text = ",".join(map(repr, question))
            path = (
                "/admin/object-read?table=test&column=id&limit=1000&title=~,^p"
                f"&order=distance_meter&is_count=1&location_filter={text}"
            )
            one, other = (
                {each["id"]: each["distance_meter"] for each in rows}
                for rows in asked(filled[0], "GET", path)
            )
            least, most = question[2:]
            found_any += len(other)
            for number in one.keys() & other.keys():
                assert abs(one[number] - other[number]) <= EDGE * other[number] + 1e-4
            for number in one.keys() ^ other.keys():
                far = (one | other)[number]
                edge = min(abs(far - least), abs(far - most))
                assert edge <= EDGE * far + 1e-4, question
        assert found_any > 1_000

    @pytest.mark.parametrize(
        "more",
        [
            "&order=distance_meter&limit=5&page=2&column=id",
            "&order=distance_meter desc,id&limit=5&column=id",
            "&aggregate=count,max(id)",
            "&group_by=type&is_count=1",
            "&order=id&limit=3&cursor=&column=id,location",
            "&is_count=planned&limit=1&column=id",
        ],
    )
    def test_shapes(self, filled, more):
        """Order, pages, groups, cursor and counts, with the same rows."""
        path = "/admin/object-read?table=test&title=~,^p&location_filter=0,0,0,5000000"
        bodies = []
        for api, who in filled[0]:
            body = api.call("GET", path + more, who).json()
            assert 1 == body["status"], body
            for each in body["message"]:
                each.pop("distance_meter", None)
            body.pop("next_cursor", None)
            bodies.append(body)

        assert bodies[0] == bodies[1]
        assert bodies[0]["message"]


def rules():
    """Return what holds for tables where config says nothing."""
    return RowConfig(dict(settings.resolve(keys.KEYS, [])))


async def test_index_answers(postgis_url):
    """ST_DWithin reads the gist index, in the statements readers are answered by."""
    async with fresh_database(postgis_url) as url:
        declared = {"test": ["title-text-0-0", "location-geography(POINT)-0-gist"]}
        await schema.apply(url, Declaration.parse({"table": declared}))
        async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
            await pool.execute(
                "insert into test (location) select ST_MakePoint("
                "(i * 7919 % 36000) / 100.0 - 180, (i * 104729 % 18000) / 100.0 - 90"
                ")::geography from generate_series(1, 20000) as i"
            )
            await pool.execute("analyze test")
            database = Database(pool)
            database.catalog = await catalog.read(pool)
            heard = listening(database)
            for more in ("", "&is_count=1", "&order=distance_meter", "&cursor="):
                asked = f"table=test&location_filter=77.2,28.6,0,200000{more}"
                await row.read(database, rules().admin(1), asked.encode())
            plans = [await planned(pool, text, values) for text, values in heard]

    assert 4 == len(plans)
    for (text, _), nodes in zip(heard, plans, strict=True):
        assert "ST_DWithin" in text
        assert {"index_test_location_gist"} == indexes(nodes)
        assert "Seq Scan" not in {node["Node Type"] for node in nodes}


def exported(api, query):
    """Return the CSV of a query."""
    answer = api.call("POST", EXPORT, "root", json={"query": query})
    assert 200 == answer.status_code, answer.text
    return answer.text


def imported(api, text):
    """Import a CSV as new rows; return how many."""
    answer = api.call(
        "POST",
        IMPORT,
        "root",
        data={"mode": "create", "table": "test"},
        files={"file": ("rows.csv", text, "text/csv")},
    )
    assert 200 == answer.status_code, answer.text
    return answer.json()["message"]


class TestMove:
    """From the embedded database to a server with PostGIS, and none is lost."""

    COLUMNS = "id, title, location, metadata, tag"

    @pytest.mark.parametrize("way", ["there", "and back"])
    def test_by_csv(self, filled, way):
        """Export and import of a table: each reads what the other writes."""
        (plain, _), (spatial, _) = filled[0]
        source, goal = (plain, spatial) if way == "there" else (spatial, plain)
        query = f"select {self.COLUMNS} from test where title like 'p%' order by id"
        text = exported(source, query)
        rows = list(csv.reader(io.StringIO(text)))
        shifted = [
            [int(each[0]) + 100_000, f"m{each[1]}", *each[2:]] for each in rows[1:]
        ]
        out = io.StringIO()
        csv.writer(out).writerows([rows[0], *shifted])
        try:
            imported(goal, out.getvalue())
            read = "/admin/object-read?table=test&limit=1000&order=id&column=location&"
            (before, who), (after, other) = (
                (api, who) for api, who in filled[0] if api in (source, goal)
            )
            if way == "and back":
                (before, who), (after, other) = (after, other), (before, who)
            old = before.message("GET", f"{read}title=like,p%25", who)
            new = after.message("GET", f"{read}title=like,mp%25", other)
            assert 400 == len(new)
            assert old == new
        finally:
            goal.sql("delete from test where id > 100000")

    def test_whole_database(self, postgis_url, plain, filled, tmp_path):
        """pg_dump, psql, `schema apply`: users, ids and places are all there."""
        machine.proc()  # by which the programs find their libraries
        (_, ada), _ = filled[0]
        url = run(database_of(postgis_url, "moved"))
        programs = binaries.postgres().folder
        dump = subprocess.run(
            [
                programs / "pg_dump",
                "--no-owner",
                "--no-privileges",
                "--exclude-extension=cube",
                "--exclude-extension=earthdistance",
                plain.database,
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        # A setting that an older server does not know.
        text = dump.stdout.replace("SET transaction_timeout = 0;", "")
        subprocess.run(
            [programs / "psql", "-v", "ON_ERROR_STOP=1", "--single-transaction", url],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        said = self.typed("plan", url, tmp_path)
        assert "point and PostGIS is here now: is_destructive=1" in said

        self.typed("apply", url, tmp_path, "--destructive")

        with running_api({**KEYS, "config_postgres_url": url}) as api:
            assert [] == api.message("GET", "/root/postgres-init?mode=plan", "root")
            (found,) = api.sql(STORED)
            assert "geography(Point,4326)" == found["datatype"]
            login = {"type": 1, "username": ada.username, "password": ada.password}
            path = "/auth/login-password"
            assert api.message("POST", path, json=login)
            for table in ("test", "users", "message"):
                query = f"select count(*), sum(id) from {table}"
                assert plain.sql(query) == api.sql(query)
            read = "/admin/object-read?table=test&limit=1000&order=id"
            for more in ("", "&location_filter=0,0,0,5000000&column=id,location"):
                one, other = (
                    each.message("GET", read + more, ada) for each in (plain, api)
                )
                for each in [*one, *other]:
                    each.pop("distance_meter", None)
                assert one == other

    def typed(self, word, url, tmp_path, *more):
        """Run `python main.py schema …`; return what it prints."""
        own = {"config_atom_folder": str(tmp_path / "own"), "config_postgres_url": url}
        done = subprocess.run(
            [sys.executable, "main.py", "schema", word, *more],
            cwd=ROOT,
            env=environment(KEYS | own),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    async def test_in_place(self, postgis_url):
        """PostGIS comes to a server: the plan says so, a destructive apply converts."""
        lines = ["title-text-0-0", "location-geography(POINT)-0-gist"]
        declared = Declaration.parse({"table": {"test": lines}})
        async with fresh_database(postgis_url) as url:
            raw = await connected(url)
            try:
                await raw.execute("create role few login")
                name = url.rpartition("/")[2]
                await raw.execute(f"alter database {name} owner to few")
                few = url.replace("near@", "few@")
                first = await schema.apply(few, declared)
                made = places(3, 300)
                await raw.executemany(
                    "insert into test (title, location) values ($1, point($2, $3))",
                    [(str(n), *pair) for n, pair in enumerate(made)],
                )
                await raw.execute("insert into test (title) values ('nowhere')")
                await raw.execute("create extension postgis")

                stays = await schema.apply(few, declared)
                turned_over = await schema.apply(few, declared, destructive=True)
                again = await schema.plan(few, declared, destructive=True)
                rows = await raw.fetch(
                    "select title, ST_X(location::geometry) as x,"
                    " ST_Y(location::geometry) as y from test order by id"
                )
            finally:
                await raw.execute(f"alter database {name} owner to near")
                await raw.execute("reassign owned by few to near; drop owned by few")
                await raw.execute("drop role few")
                await raw.close()

        assert "PostGIS" in first.notes[0]
        assert ((), 1) == (stays.steps, len(stays.drift))
        assert not any(step.destructive for step in turned_over.steps)
        assert ((), ()) == (again.steps, again.drift)
        assert [(str(n), *pair) for n, pair in enumerate(made)] == [
            tuple(each) for each in rows[:-1]
        ]
        assert ("nowhere", None, None) == tuple(rows[-1])
