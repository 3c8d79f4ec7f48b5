"""MongoDB on a real server: upserts, imports, and what a drop-in calls."""

import asyncio
import secrets

import httpx2
import motor.motor_asyncio
import pytest

from atom import mongodb
from atom.client.mongodb import MONGODB, make_indexes
from atom.errors import ApiError, Conflict, Unavailable
from atom.mongodb import bulk_upsert
from tests.acceptance.checkout import copied
from tests.served import serve

DEFAULTS = {key.name: key.default for key in MONGODB.keys}
NOTHING = {"matched": 0, "modified": 0, "upserted": 0}
ROUTER = """
from extend import *

@router.post("/shop/user")
async def save(request: Request, rows: list[dict]):
    async with function_mongodb(request) as db:
        return await function_mongodb_bulk_upsert(
            db, collection="user", rows=rows, key_fields=["email"]
        )

@router.post("/shop/find")
async def find(request: Request):
    async with function_mongodb(request) as db:
        return await db.test.find({}, {"_id": 0}).to_list()

@router.post("/shop/create")
async def create(request: Request, rows: list[dict] | dict):
    return await function_object_create_mongodb(request.app, None, "user", rows)
"""


def lowered(row):
    """Return the key of a person."""
    return {"email": row["email"].strip().lower()}


@pytest.fixture
async def client(mongodb_url):
    """`client_mongodb`, with a unique index on `user.email` of this test's database."""
    name = f"shop_{secrets.token_hex(4)}"
    config = {
        **DEFAULTS,
        "config_mongodb_url": mongodb_url,
        "config_mongodb_index": {name: {"user": (("email",),)}},
    }
    client = await MONGODB.open(config, None)
    client.shop = name
    yield client
    await client.drop_database(name)
    await client.close()


@pytest.fixture
def db(client):
    """The database of this test."""
    return client[client.shop]


async def stored(db, collection="user"):
    """Return the documents, without their ids."""
    found = await db[collection].find({}, {"_id": 0}).sort("email", 1).to_list()
    return [dict(sorted(each.items())) for each in found]


class TestBulkUpsert:
    """`bulk_upsert` and its counts."""

    async def test_the_same_again_modifies_nothing(self, db):
        """Inserted, then only matched; a change is counted."""
        rows = [{"email": "a", "n": 1, "_id": 5}, {"email": "b", "n": 2}]

        async def write():
            return await bulk_upsert(
                db, collection="user", rows=rows, key_fields=["email"]
            )

        assert {**NOTHING, "upserted": 2} == await write()
        assert {**NOTHING, "matched": 2} == await write()
        rows[0]["n"] = 9
        assert {**NOTHING, "matched": 2, "modified": 1} == await write()
        assert [{"email": "a", "n": 9}, {"email": "b", "n": 2}] == await stored(db)

    async def test_the_value_of_key_func_is_stored(self, db):
        """Three runs, one document."""
        for _ in range(3):
            await bulk_upsert(
                db,
                collection="user",
                rows=[{"email": "  A@X.com  ", "n": 1}],
                key_func=lowered,
                set_on_insert={"n": 0, "source": "file"},
            )

        assert [{"email": "a@x.com", "n": 1, "source": "file"}] == await stored(db)

    async def test_nothing_to_do(self, db):
        """Counts of zero."""
        assert NOTHING == await bulk_upsert(
            db, collection="user", rows=[], key_fields=["email"]
        )

    async def test_a_fault_is_found_before_any_write(self, db):
        """In the last of the rows."""
        rows = [{"email": str(number)} for number in range(200)]
        for wrong, message in (
            ({"n": 1}, "Missing key field 'email' in document"),
            ({"email": None}, "Null key field 'email' in document"),
        ):
            with pytest.raises(ApiError) as raised:
                await bulk_upsert(
                    db, collection="user", rows=[*rows, wrong], key_fields=["email"]
                )
            assert message == raised.value.message

        assert [] == await stored(db)

    async def test_many_rows_and_composite_keys(self, db):
        """More than one chunk; the last of duplicates wins."""
        rows = [{"org": n % 3, "code": n % 100, "n": n} for n in range(600)]
        first = await bulk_upsert(
            db, collection="item", rows=rows, key_fields=["org", "code"]
        )
        again = await bulk_upsert(
            db, collection="item", rows=rows, key_fields=["org", "code"]
        )

        assert ({**NOTHING, "upserted": 300}, {**NOTHING, "matched": 300}) == (
            first,
            again,
        )
        assert 300 == await db.item.count_documents({"n": {"$gte": 300}})

    async def test_racing_writers_make_one_document_a_key(self, db):
        """Each call ends well: who comes second changes what is there."""

        async def write(writer):
            rows = [{"email": str(number), "n": writer} for number in range(20)]
            await bulk_upsert(db, collection="user", rows=rows, key_fields=["email"])

        await asyncio.gather(*map(write, range(8)))

        assert 20 == len(await stored(db))

    async def test_another_unique_index_is_a_conflict(self, db):
        """It is retried once, and then reported."""
        await db.user.create_index("phone", unique=True)
        rows = [{"email": "a", "phone": 1}, {"email": "b", "phone": 1}]

        with pytest.raises(Conflict) as raised:
            await bulk_upsert(db, collection="user", rows=rows, key_fields=["email"])
        assert "row.exists" == raised.value.code

    async def test_a_database_of_motor(self, mongodb_url, client):
        """The same calls."""
        old = motor.motor_asyncio.AsyncIOMotorClient(mongodb_url, timeoutMS=10_000)
        shop, rows = old[client.shop], [{"email": "  A@X.com  ", "n": 1}]

        def email(row):
            return {"email": row["email"].strip().lower()}

        given = {"collection": "user", "rows": rows, "key_func": email}
        try:
            await make_indexes(old, {client.shop: {"user": [("email",)]}})
            counts = [await bulk_upsert(shop, **given) for _ in range(2)]
            ids = await mongodb.create(shop, "user", [{"email": "b"}])
            with pytest.raises(Conflict):
                await mongodb.create(shop, "user", [{"email": "b"}])
        finally:
            old.close()

        assert [{**NOTHING, "upserted": 1}, {**NOTHING, "matched": 1}] == counts
        assert 1 == len(ids)
        assert ["a@x.com", "b"] == [
            row["email"] for row in await stored(client[client.shop])
        ]


class TestClient:
    """Indexes at start, databases by name, errors."""

    async def test_an_index_is_unique_and_made_once(self, mongodb_url, client, db):
        """A second start finds it there; duplicates are named by the first."""
        await mongodb.create(db, "user", [{"email": "a"}])
        with pytest.raises(Conflict):
            await mongodb.create(db, "user", [{"email": "a"}])
        config = {**DEFAULTS, "config_mongodb_url": mongodb_url}
        config["config_mongodb_index"] = {client.shop: {"user": (("email",),)}}
        await (await MONGODB.open(config, None)).close()

        assert {"_id_", "email_1"} == set(await db.user.index_information())

    async def test_an_index_that_cannot_be_made_is_named(self, mongodb_url, client, db):
        """The client is misconfigured, with the reason."""
        await mongodb.create(db, "twice", [{"k": 1}, {"k": 1}])
        config = {**DEFAULTS, "config_mongodb_url": mongodb_url}
        config["config_mongodb_index"] = {client.shop: {"twice": (("k",),)}}

        with pytest.raises(Exception, match=rf"_index: {client.shop}\.twice \(k\): "):
            await MONGODB.open(config, None)

    async def test_a_database_by_name(self, client):
        """The one named, else the first listed; a stranger is refused."""
        clients = {"client_mongodb": client}
        async with mongodb.opened(clients, default="shop") as db:
            assert "shop" == db.name
        async with mongodb.opened(clients, "x", default="shop") as db:
            assert "x" == db.name
        with pytest.raises(ApiError, match="No database is named"):
            async with mongodb.opened(clients):
                pass
        with pytest.raises(ApiError, match="config_mongodb_database_list: shop, log"):
            mongodb.listed(("shop", "log"), "shopp")
        with pytest.raises(Unavailable, match="not configured"):
            async with mongodb.opened({"client_mongodb": None}):
                pass


@pytest.fixture(scope="module")
def shop(mongodb_url, tmp_path_factory):
    """A server with a drop-in on MongoDB; calls it as the operator."""
    name = f"shop_{secrets.token_hex(4)}"
    code = tmp_path_factory.mktemp("mongodb")
    copied(code)
    (code / "router_shop.py").write_text(ROUTER)
    (code / "config_shop.py").write_text(
        f"config_mongodb_database_list = [{name!r}]\n"
        f"config_mongodb_index = {{{name!r}: {{'user': ['email']}}}}\n"
    )
    with serve({"config_mongodb_url": mongodb_url}, code=code) as served:
        bearer = {"Authorization": f"Bearer {served.config['config_key_root']}"}
        with httpx2.Client(base_url=served.url, headers=bearer, timeout=60) as http:
            http.name = name
            yield http


@pytest.fixture(scope="module")
def people(shop):
    """The headers of a user."""
    body = {"username": f"u{secrets.token_hex(4)}", "password": "correct horse"}
    token = shop.post("/auth/signup", json=body).json()["message"]
    return {"Authorization": f"Bearer {token}"}


def load(shop, text, name="x.csv", **form):
    """Send a file."""
    form = {"database": shop.name, "table": "user", **form}
    return shop.post("/root/mongodb-import", data=form, files={"file": (name, text)})


def test_an_import_inserts_or_upserts(shop):
    """The counts; a cell is text, JSON has its own values."""
    csv = load(shop, "email,n\na,1\nb,\n", key="email").json()["message"]
    again = load(shop, "email,n\na,1\nb,2\n", key="email").json()["message"]
    lines = '{"email":"c","n":[1,{"x":null}]}\n{"email":"d"}\n'
    more = load(shop, lines, "x.jsonl").json()["message"]

    assert {"inserted": 0, **NOTHING, "upserted": 2} == csv
    assert {"inserted": 0, **NOTHING, "matched": 2, "modified": 1} == again
    assert {"inserted": 2, **NOTHING} == more


@pytest.mark.parametrize(
    ("text", "form", "status", "message"),
    [
        ("email\nz\n", {"database": "other"}, 400, "Database 'other' is not one of"),
        ("n\n1\n", {"key": "email"}, 400, "line 2: Missing key field 'email'"),
        ("email,$set\nz,1\n", {}, 400, "line 2: Field name '$set'"),
        ("email\nz\n\ny\nz\n", {}, 409, "lines 2 to 5: A document with"),
    ],
)
def test_an_import_is_refused(shop, text, form, status, message):
    """With the line; what is found before writing writes nothing."""
    answer = load(shop, text, **form)

    assert status == answer.status_code
    assert answer.json()["message"].startswith(message)


def test_a_drop_in(shop):
    """Writes as one would expect, and errors have their status."""
    rows = [{"email": "drop", "n": 1}, {"email": "in"}]

    assert {**NOTHING, "upserted": 2} == shop.post("/shop/user", json=rows).json()
    wrong = shop.post("/shop/user", json=[{"n": 1}])
    assert (400, "Missing key field 'email' in document") == (
        wrong.status_code,
        wrong.json()["message"],
    )
    one = shop.post("/shop/create", json={"email": "one"}).json()
    many = shop.post("/shop/create", json=[{"email": "two"}, {"email": "three"}]).json()
    assert (24, 2) == (len(one), len(many))
    taken = shop.post("/shop/create", json={"email": "one"})
    assert (409, "row.exists") == (taken.status_code, taken.json()["code"])


def test_rows_of_a_caller_are_stored_there(shop, people):
    """Checked against the table and its rule, and stamped."""
    create = f"/my/object-create?table=test&queue=mongodb_{shop.name}"
    send = shop.post(create, headers=people, json={"title": "a", "metadata": {"x": 1}})
    many = shop.post(create, headers=people, json=[{"title": "b"}, {"title": "c"}])
    export = shop.post("/shop/find", json={}).json()

    assert (200, 24) == (send.status_code, len(send.json()["message"]))
    assert 2 == len(many.json()["message"])
    assert ["a", "b", "c"] == sorted(row["title"] for row in export)
    assert all(row["created_by_id"] for row in export)


@pytest.mark.parametrize(
    ("query", "body", "status", "message"),
    [
        ("table=test&queue=mongodb_other", {"title": "z"}, 400, "Database 'other'"),
        ("table=test&queue=mongodb_", {"title": "z"}, 400, "Database ''"),
        ("table=test&queue=mongodb_{name}", {"$where": "1"}, 400, None),
        ("table=test&queue=mongodb_{name}", {"metadata": {"$inc": 1}}, 400, "Field"),
        ("table=test&queue=mongodb_{name}", {"created_by_id": 1}, 400, None),
        ("table=otp&queue=mongodb_{name}", {"otp": "1"}, 403, None),
        ("table=test&queue=mongo", {"title": "z"}, 400, "'queue' takes"),
    ],
)
def test_a_caller_is_refused(shop, people, query, body, status, message):
    """As PostgreSQL would, and by the list of databases."""
    path = f"/my/object-create?{query.format(name=shop.name)}"
    answer = shop.post(path, headers=people, json=body)

    assert status == answer.status_code, answer.text
    assert message is None or answer.json()["message"].startswith(message)
