"""Typed row routes: `/my/rows/test` is `/my/object-…?table=test`, and says what it is.

A server of its own: tables are added to it and config is changed.
"""

import os
import subprocess
import sys
from urllib.parse import urlencode

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.served import serve

BIGINT = {
    "type": ["integer", "string"],  # text where a caller prefers it
    "format": "int64",
    "pattern": "^-?[0-9]{1,19}$",
}
TIERS = ("public", "my", "admin")


@pytest.fixture(scope="module")
def own():
    """A server that may be left in any state."""
    with serve() as served:
        running = opened(served)
        yield running
        running.http.close()


@pytest.fixture(scope="module")
def who(own):
    """A caller for each tier."""
    person = own.person()
    return {"public": None, "my": person, "admin": own.person(api_access="1,2,5")}


@pytest.fixture(scope="module")
def document(own):
    """What the server says of itself."""
    return told(own)


def told(own):
    return own.call("GET", "/openapi.json").json()


def typed(document):
    """Yield tier, table, method and operation of every typed route of many rows.

    Those of one row are in test_one_row.py.
    """
    for path, methods in document["paths"].items():
        tier, _, table = path[1:].partition("/rows/")
        is_many = table and not table.endswith("/{id}")
        for method, operation in methods.items() if is_many else ():
            yield tier, table, method.upper(), operation


def resolved(document, part):
    """Follow a reference, if it is one."""
    if "$ref" not in part:
        return part
    kind, name = part["$ref"].split("/")[-2:]
    return document["components"][kind][name]


def test_document_is_valid(document):
    """As OpenAPI 3.1."""
    assert "3.1.0" == document["openapi"]
    assert [] == list(OpenAPIV31SpecValidator(document).iter_errors())


def test_each_tier_lists_what_it_reaches(document):
    """And no more: closed tables are not written, tables not listed are not shown."""
    found = {tier: {} for tier in TIERS}
    for tier, table, method, _ in typed(document):
        found[tier].setdefault(table, set()).add(method)

    assert {"test": {"GET", "POST"}} == found["public"]
    assert {"GET", "POST", "PUT", "DELETE"} == found["my"]["message"]
    assert {"GET"} == found["my"]["users"]
    assert "otp" not in found["my"]
    assert {"GET", "POST", "PUT"} == found["admin"]["users"]
    for table in ("otp", "log_api", "log_password"):
        assert {"GET"} == found["admin"][table]


def test_operations_are_grouped_named_and_gated(document):
    """One tag a table; ids that do not change; the lock of the tier."""
    for tier, table, method, operation in typed(document):
        verb = {"GET": "read", "POST": "create", "PUT": "update", "DELETE": "delete"}
        assert f"{tier}_{table}_{verb[method]}" == operation["operationId"]
        assert [f"Table {table}"] == operation["tags"]
        lock = None if tier == "public" else [{"user": []}]
        assert lock == operation.get("security")
        assert {"200", "400", "403", "503"} <= operation["responses"].keys()


@pytest.mark.parametrize("tier", TIERS)
def test_a_body_names_every_column_that_is_taken(own, who, document, tier):
    """And none that is refused: each is sent, and the server says which it is."""
    prefix = "admin_" if tier == "admin" else ""
    body = document["components"]["schemas"][f"{prefix}test_create"]
    named = body["properties"].keys()
    columns = own.sql(
        "select column_name as name from information_schema.columns"
        " where table_schema = 'public' and table_name = 'test'"
    )

    taken = set()
    for column in (row["name"] for row in columns):
        path = f"/{tier}/rows/test"
        answer = own.call("POST", path, who[tier], json={column: None})
        if answer.json().get("code") != "row.managed_column":
            taken.add(column)

    assert taken == named
    assert {"title", "rating", "metadata"} <= taken


def test_rows_are_typed_and_secrets_are_not_there(document):
    """Each column has the type of its datatype."""
    schemas = document["components"]["schemas"]
    row = schemas["test_row"]["properties"]

    kept = {"readOnly": True}  # by the server, from everybody
    assert {**BIGINT, **kept} == row["id"]
    assert {"type": ["number", "null"]} == row["rating"]
    items = {"type": ["string", "null"]}
    assert {"type": ["array", "null"], "items": items} == row["tag"]
    moment = {"type": ["string", "null"], "format": "date-time"}
    assert {**moment, **kept} == row["created_at"]
    assert {"$ref": "#/components/schemas/Point"} in row["location"]["anyOf"]
    assert {} == row["metadata"]
    assert {"type", "api_access"} <= schemas["users_row"]["properties"].keys()
    for name in ("users_row", "admin_users_create", "admin_users_update"):
        hidden = {"password", "password_bigint", "google_data"}
        assert not hidden & schemas[name]["properties"].keys()


def test_written_rows_have_their_rules(document):
    """What is mandatory is required; what the server keeps is not there."""
    schemas = document["components"]["schemas"]
    message, test = schemas["message_create"], schemas["test_create"]

    assert {"user_id", "description"} == set(message["required"])
    assert "required" not in test
    assert not {"id", "created_by_id", "is_active", "is_protected"} & set(
        test["properties"]
    )
    assert test["additionalProperties"] is False
    assert ["id"] == schemas["test_update"]["required"]
    assert "is_active" in schemas["admin_test_create"]["properties"]


def test_every_column_has_its_filter(document):
    """With the operators that suit it."""
    parameters = {
        each["name"]: each
        for each in (
            resolved(document, part)
            for part in document["paths"]["/my/rows/test"]["get"]["parameters"]
        )
    }
    row = document["components"]["schemas"]["test_row"]["properties"]

    assert row.keys() <= parameters.keys()
    assert {"order", "limit", "cursor", "relation"} <= parameters.keys()
    assert not {"table", "filter"} & parameters.keys()
    assert "`ilike`" in parameters["title"]["description"]
    assert "`ilike`" not in parameters["rating"]["description"]
    assert "`overlap`" in parameters["tag"]["description"]


ALSO = {"timezone": {"group_by": "created_at:month"}}  # goes with it


def test_examples_work(own, who, document):
    """Every example of every typed route is taken, parameters and bodies alike."""
    own.sql("insert into otp (otp) values ('x')")  # no route adds one
    for tier, table, method, operation in typed(document):
        path = f"/{tier}/rows/{table}"
        parts = [resolved(document, part) for part in operation["parameters"]]
        if method in {"GET", "DELETE"}:
            for name, text in examples(parts):
                asked = urlencode({name: text, **ALSO.get(name, {})})
                answer = own.call(method, f"{path}?{asked}", who[tier])
                assert 200 == answer.status_code, (path, asked, answer.text)
            continue
        one, _ = operation["requestBody"]["content"]["application/json"]["schema"][
            "oneOf"
        ]
        (body,) = resolved(document, one)["examples"]
        if method == "PUT":
            body = {**body, "id": last(own, tier, table)}
        answer = own.call(method, path, who[tier], json=body)
        assert 200 == answer.status_code, (path, body, answer.text)
        assert isinstance(answer.json()["message"], int)


def examples(parameters):
    """Yield name and value of each in the query; every column has one."""
    for parameter in parameters:
        if parameter["in"] != "query":
            continue
        schema = parameter["schema"]
        shown = [
            *schema.get("examples", ()),
            *schema.get("items", {}).get("examples", ()),
        ]
        assert shown or "items" not in schema, parameter["name"]
        yield from ((parameter["name"], value) for value in shown)


def last(own, tier, table):
    """Return the id of the row that was made by the example before."""
    (found,) = own.sql(f"select max(id) as id from {table}")
    return found["id"]


def test_a_parameter_is_there_where_it_can_be_used(document):
    """No place, no distance."""
    asked = {
        table: {
            resolved(document, part)["name"]
            for part in document["paths"][f"/admin/rows/{table}"]["get"]["parameters"]
        }
        for table in ("test", "message", "otp")
    }

    assert {"location_filter", "creator_key"} <= asked["test"]
    assert {"creator_key"} == {"location_filter", "creator_key"} & asked["message"]


def test_docs_send_nothing_that_nobody_filled_in(document):
    """/docs fills in each `example` and `default`; all filters at once find nothing."""
    for _, _, _, operation in typed(document):
        for part in operation["parameters"]:
            parameter = resolved(document, part)
            assert not {"example", "examples"} & parameter.keys(), parameter["name"]
            assert "default" not in parameter["schema"], parameter["name"]


def test_is_the_same_route_under_another_path(own, who):
    """The same rows, refusals, filters; `table` is not asked for twice."""
    me = who["my"]
    made = own.message("POST", "/my/rows/test", me, json={"title": "same"})
    one = own.call("GET", f"/my/rows/test?id==,{made}&is_count=1", me).json()
    other = own.call("GET", f"/my/object-read?table=test&id==,{made}&is_count=1", me)
    assert other.json() == one
    body = {"id": made, "title": "other"}
    assert made == own.message("PUT", "/my/rows/test", me, json=body)
    assert 1 == own.message("DELETE", f"/my/rows/test?id==,{made}", me)
    for method, path, status in [
        ("GET", "/my/rows/nope", 404),
        ("GET", "/my/rows/test?table=users", 400),
        ("GET", "/my/rows/test%26x=1", 404),
        ("GET", "/my/rows/test?nope==,1", 400),
        ("DELETE", "/my/rows/test", 400),
        ("POST", "/my/rows/users", 403),
        ("PATCH", "/my/rows/test", 405),
        ("GET", "/public/rows/users", 403),
    ]:
        answer = own.call(method, path, me, json={"a": 1} if method == "POST" else None)
        assert status == answer.status_code, (path, answer.text)
    assert 401 == own.call("GET", "/my/rows/test").status_code
    assert 403 == own.call("GET", "/admin/rows/test", me).status_code


def test_policy_is_that_of_the_other_path(own, who):
    """Api id, cache and the rest of /admin/object-read hold here too."""
    asked = "/root/explain?path=/admin/rows/test&method=GET"
    found = own.message("GET", asked, "root")
    assert "GET /admin/object-read" == found["route"]
    path = "/admin/rows/test?column=id&limit=1"
    own.message("GET", path, who["admin"])
    assert "hit" == own.call("GET", path, who["admin"]).headers["x-cache"]
    own.message("POST", "/admin/rows/test", who["admin"], json={"title": "stale"})
    assert "x-cache" not in own.call("GET", path, who["admin"]).headers


@pytest.fixture
def limited(tmp_path):
    """A copy of the house where reading test is limited."""
    config = 'config_api = {"/public/object-read": {"ratelimiter_times_sec": [3, 60]}}'
    return copied(tmp_path, config_limited=config)


def test_a_limit_counts_both_paths_together(limited):
    """A rate limit is no less strict for being asked by another name."""
    with serve(code=limited) as served:
        own = opened(served)
        paths = ("/public/rows/test", "/public/object-read?table=test") * 2
        statuses = [own.call("GET", path).status_code for path in paths]
        own.http.close()

    assert [200, 200, 200, 429] == statuses


def test_document_follows_the_schema(own):
    """A column that came is there; a table that went is not."""
    own.sql('create table public.fresh (id bigint primary key, "odd name" int[])')
    own.message("GET", "/root/reset-global", "root")
    document = told(own)
    assert "/admin/rows/fresh" in document["paths"]
    column = document["components"]["schemas"]["fresh_row"]["properties"]["odd name"]
    assert ["array", "null"] == column["type"]
    assert [] == list(OpenAPIV31SpecValidator(document).iter_errors())
    own.sql("drop table public.fresh")
    own.message("GET", "/root/reset-global", "root")
    assert "/admin/rows/fresh" not in told(own)["paths"]


USE = """
import importlib, pkgutil, sys
import made
from made.api.table_test import my_test_create, my_test_read
from made.models import TestCreate
for module in pkgutil.walk_packages(made.__path__, "made."):
    importlib.import_module(module.name)
client = made.AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
created = my_test_create.sync(client=client, body=TestCreate(title="by a client"))
read = my_test_read.sync(client=client, title=["=,by a client"], limit=1)
assert [created.message] == [row.id for row in read.message]
assert "by a client" == read.message[0].title
"""


def test_a_python_client_is_made_of_it(own, who, document, tmp_path):
    """openapi-python-client leaves nothing out; what it makes imports and works."""
    source = tmp_path / "openapi.json"
    source.write_bytes(own.call("GET", "/openapi.json").content)
    program = [sys.executable, "-m", "openapi_python_client", "generate"]
    said = run(
        tmp_path, *program, "--path", source, "--output-path", "made", "--meta", "none"
    )
    assert "WARNING" not in said, said
    assert "Unable" not in said, said
    run(tmp_path, sys.executable, "-c", USE, own.url, who["my"].token)


def run(folder, *words):
    """Run a program; return what it said."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr
