"""What /openapi.json says, where no server is needed to see it."""

import asyncio
import json
from types import MappingProxyType, SimpleNamespace

import pytest
from fastapi import APIRouter, FastAPI

from atom.config import keys
from atom.config import resolve as settings
from atom.http.pipeline import STEPS
from atom.http.policy_table import PolicyTable
from atom.http.route import routes
from atom.openapi.document import Document, pieces
from atom.openapi.rows import expanded
from atom.postgres.catalog import Catalog, LiveColumn, Table
from atom.row.scope import RowConfig
from atom.rpc.statement import Statements

MANY = [f"table_{number}" for number in range(300)]
CONFIG = settings.resolve(keys.KEYS, []).replace(
    {"config_table": {name: {"my": "owner"} for name in ("test", "other", *MANY)}}
)


def catalog(*names):
    """Return a catalog of tables with a few columns each."""
    columns = {
        "id": LiveColumn("id", "bigint", not_null=True, default="identity"),
        "title": LiveColumn("title", "text"),
        "created_by_id": LiveColumn("created_by_id", "bigint"),
    }
    tables = {name: Table(name, MappingProxyType(columns)) for name in names}
    return Catalog(MappingProxyType(tables))


async def answer():
    """Answer."""


def application(*paths):
    """Return an application with the routes that rows are typed after, and these."""
    app = FastAPI(openapi_url=None)
    router = APIRouter()
    for path, method, name in [
        ("/my/object-read", "GET", "route_my_object_read"),
        *paths,
    ]:
        router.add_api_route(path, answer, methods=[method], name=name)
    app.include_router(router)
    app.state.policies = PolicyTable(CONFIG, routes(app), [], STEPS)
    database, rules = SimpleNamespace(catalog=catalog("test")), RowConfig(CONFIG)
    rpc = Statements((), database, database, rules)
    feed = SimpleNamespace(config=SimpleNamespace(stream_table_list=()))
    app.state.ports = SimpleNamespace(
        database=database, rules=rules, rpc=rpc, feed=feed
    )
    return app


def ids(app):
    """Return the operation id of each method and path."""
    return {
        (method, path): operation["operationId"]
        for path, methods in Document(app).whole()["paths"].items()
        for method, operation in methods.items()
    }


def test_functions_of_one_name_are_told_apart():
    """By their method; if that is the same, by FastAPI's long name."""
    app = application(
        ("/a", "GET", "route_thing"),
        ("/a", "POST", "route_thing"),
        ("/b", "GET", "listing"),
        ("/c", "GET", "listing"),
    )

    found = ids(app)

    assert "thing_get" == found["get", "/a"]
    assert "thing_post" == found["post", "/a"]
    assert {"listing_b_get", "listing_c_get"} == {
        found["get", "/b"],
        found["get", "/c"],
    }
    assert len(found) == len(set(found.values()))


def test_a_route_of_a_drop_in_keeps_the_name_a_typed_one_would_have():
    """`route_my_test_read` is older than the typed route of table test."""
    found = ids(application(("/my/test-read", "GET", "route_my_test_read")))

    assert "my_test_read" == found["get", "/my/test-read"]
    assert "my_test_read_typed" == found["get", "/my/rows/test"]


async def test_document_is_written_once_for_each_catalog():
    """However many ask at once."""
    app = application()
    document = Document(app)

    bodies = await asyncio.gather(*[document.body() for _ in range(5)])
    app.state.ports.database.catalog = catalog("test", "other")
    later = await document.body()

    assert 1 == len({id(body) for body in bodies})
    assert b"/my/rows/other" not in bodies[0]
    assert b"/my/rows/other" in later
    assert json.loads(later) == json.loads(json.dumps(document.whole()))


def test_a_catalog_leaves_no_trace_in_the_next():
    """Typed paths are added to a copy."""
    app = application()
    document = Document(app)
    first = json.dumps(document.whole())
    app.state.ports.database.catalog = catalog("test", "other")
    document.whole()
    app.state.ports.database.catalog = catalog("test")

    assert first == json.dumps(document.whole())


def test_it_is_never_turned_into_json_in_one_long_piece():
    """That would hold up every other request: with many tables it is megabytes long."""
    app = application()
    plain = Document(app).whole()
    whole = expanded(plain, catalog(*MANY), app.state.ports.rules)

    parts = list(pieces(whole))

    assert whole == json.loads(b"".join(parts))
    assert max(map(len, parts)) < len(b"".join(parts)) / 5


@pytest.mark.parametrize(
    ("env", "opened", "locked"),
    [
        ("development", False, False),
        ("production", False, True),
        ("production", True, False),
    ],
)
def test_document_needs_the_root_key_in_production(env, opened, locked):
    """Unless config_is_docs opens it and its pages; config_is_metrics, the metrics."""
    config = {**CONFIG, "config_env": env}
    config |= {"config_is_docs": opened, "config_is_metrics": opened}
    app = FastAPI(openapi_url=None)
    pages = ("/openapi.json", "/docs", "/redoc", "/docs/{file}", "/metrics")
    for path in pages:
        app.add_api_route(path, answer)

    table = PolicyTable(config, routes(app), [], STEPS)

    for path in pages:
        policy = table.match("http", "GET", path.format(file="x.js")).policy
        assert locked == (policy.tier == "root"), path
