"""The function_ names of a drop-in, called from its routes and a script."""

import re
import subprocess
import sys
import time

import pytest

import function
from tests.acceptance.conftest import serving
from tests.served import environment

NAMES = [
    *re.findall(
        r"\S+",
        """
function_producer_celery function_producer_kafka function_producer_rabbitmq
function_producer_redis function_object_create_postgres
function_object_update_postgres function_object_delete_postgres
function_object_read_postgres function_object_create_redis
function_object_create_mongodb function_token_encode function_token_decode
function_token_check function_check_api_access function_api_response_background
function_log_create_postgres function_otp_generate function_otp_verify
function_postgres_schema_read function_postgres_schema_init
function_postgres_query_runner function_postgres_stream function_param_read
function_return_error function_config_read function_openai_prompt
function_openai_ocr function_client_read_postgres function_client_read_redis
function_client_read_mongodb function_client_read_s3 function_client_read_s3_resource
function_client_read_sns function_client_read_ses function_client_read_openai
function_client_read_posthog function_client_read_celery_producer
function_client_read_kafka_producer function_client_read_rabbitmq
""",
    )
]
ROUTER = """
from extend import *

router = APIRouter()
DONE = []


@router.get("/f/token")
async def route_token(request: Request, token: str):
    return await function_token_check(request.app, token)


@router.get("/f/access")
async def route_access(request: Request, user: int, api_id: int):
    await function_check_api_access(request.app, {"id": user}, api_id)
    return "held"


@router.get("/f/background")
async def route_background(request: Request, word: str):
    async def work(word):
        DONE.append(word)

    return function_api_response_background(request.app, work, word)


@router.get("/f/done")
async def route_done():
    return DONE


@router.get("/f/log")
async def route_log(request: Request, column: str = "description"):
    function_log_create_postgres(request.app, api="/mine", **{column: "by hand"})


@router.get("/f/otp")
async def route_otp(request: Request, email: str):
    first = await function_otp_generate(request.app, email=email)
    return [first, await function_otp_generate(request.app, email=email)]


@router.get("/f/otp-verify")
async def route_otp_verify(request: Request, email: str, code: str):
    await function_otp_verify(request.app, code, email=email)


@router.get("/f/query")
async def route_query(request: Request, query: str, writes: int = 0):
    return await function_postgres_query_runner(request.app, query, writes=writes)


@router.get("/f/stream")
async def route_stream(request: Request, query: str):
    return responses.StreamingResponse(function_postgres_stream(request.app, query))


@router.post("/f/param/{source}")
async def route_param(request: Request, source: str):
    fields = {"title": str, "page": (int, 1)}
    return await function_param_read(request, source, fields)
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server with a route for each function."""
    with serving(tmp_path_factory.mktemp("names"), router_f=ROUTER) as running:
        yield running


@pytest.fixture(scope="module")
def eve(shop):
    """A user."""
    return shop.person()


def answer(shop, path, **options):
    """Return what a route answers."""
    found = shop.call("GET", path, **options)
    assert 200 == found.status_code, found.text
    return found.json()


@pytest.mark.parametrize("name", NAMES)
def test_name_is_there(name):
    """Each is a function that says what it does."""
    assert name in function.__all__
    assert getattr(function, name).__doc__


def test_token(shop, eve):
    """The user of a token; not of one that was revoked, nor of rubbish."""
    path = f"/f/token?token={eve.token}"
    assert eve.id == answer(shop, path)["id"]
    assert 401 == shop.call("GET", "/f/token?token=rubbish").status_code
    shop.message("POST", "/auth/logout", eve)
    end = time.monotonic() + 10
    while 200 == (last := shop.call("GET", path)).status_code:
        assert time.monotonic() < end
    assert "token.revoked" == last.json()["code"]


def test_token_of_an_inactive_user(shop):
    """Is refused."""
    who = shop.person(is_active=0)
    found = shop.call("GET", f"/f/token?token={who.token}")
    assert (403, "active.inactive") == (found.status_code, found.json()["code"])


def test_api_access(shop):
    """As api_access is now."""
    who = shop.person(api_access="20")
    assert "held" == answer(shop, f"/f/access?user={who.id}&api_id=20")
    found = shop.call("GET", f"/f/access?user={who.id}&api_id=21")
    assert (403, "access.denied") == (found.status_code, found.json()["code"])


def test_background(shop):
    """Acknowledged, then done."""
    assert "added in background" == answer(shop, "/f/background?word=later")["message"]
    end = time.monotonic() + 10
    while "later" not in answer(shop, "/f/done"):
        assert time.monotonic() < end


def test_log(shop):
    """A row of log_api; a column that is not there is named."""
    answer(shop, "/f/log")
    end = time.monotonic() + 30
    while not (rows := shop.sql("select * from log_api where api = '/mine'")):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert "by hand" == rows[0]["description"]
    assert rows[0]["created_at"]
    assert 500 == shop.call("GET", "/f/log?column=nope").status_code


def test_otp(shop):
    """The last code of an address, once; what is stored is not the code."""
    first, last = answer(shop, "/f/otp?email=Ada@Example.com")
    assert re.fullmatch("[0-9]{6}", last)
    stored = {row["otp"] for row in shop.sql("select otp from otp")}
    assert not stored & {first, last}
    verify = "/f/otp-verify?email=ada@example.com&code="
    if first != last:
        assert 401 == shop.call("GET", verify + first).status_code
    assert 200 == shop.call("GET", verify + last).status_code
    assert 401 == shop.call("GET", verify + last).status_code


def test_query_runner(shop):
    """In the sandbox: what it may read, and what it may not."""
    assert [{"n": 1}] == answer(shop, "/f/query?query=select 1 as n")
    secret = shop.call("GET", "/f/query?query=select password from users")
    assert 403 == secret.status_code
    insert = "insert into test (title) values ('by the runner')"
    assert 1 == answer(shop, f"/f/query?query={insert}&writes=1")
    assert 400 <= shop.call("GET", f"/f/query?query={insert}").status_code < 500


def test_stream(shop):
    """CSV with a header."""
    query = "select n from generate_series(1, 3) as s (n)"
    found = shop.call("GET", f"/f/stream?query={query}")
    assert "n\r\n1\r\n2\r\n3\r\n" == found.text


@pytest.mark.parametrize(
    ("given", "status", "wanted"),
    [
        ({"title": "x"}, 200, {"title": "x", "page": 1}),
        ({"title": "x", "page": "2"}, 200, {"title": "x", "page": 2}),
        ({}, 400, "title"),
        ({"title": "x", "page": "two"}, 400, "page"),
        ({"title": "x", "pge": "2"}, 400, "page"),
    ],
)
@pytest.mark.parametrize("source", ["query", "form", "body"])
def test_param_read(shop, source, given, status, wanted):
    """By type, from each source; what is wrong is named."""
    option = {"query": "params", "form": "data", "body": "json"}[source]
    found = shop.call("POST", f"/f/param/{source}", **{option: given})
    if source == "form" and not given:
        assert 400 == found.status_code
        return
    assert status == found.status_code, found.text
    if status == 200:
        assert wanted == found.json()
    else:
        assert wanted in found.text


def test_client_of_a_script(shop):
    """Opened as config says."""
    text = """
import asyncio
from function import *

async def main():
    client = await function_client_read_postgres()
    print(await client.fetch_val("select 40 + 2"))

asyncio.run(main())
"""
    config = shop.config | {"config_postgres_url": shop.database}
    done = subprocess.run(
        [sys.executable, "-c", text],
        env=environment(config),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "42" == done.stdout.strip(), done.stderr
