"""A stranger's router and config, dropped in; and the one middleware around them."""

import asyncio
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import websockets

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened, serving
from tests.acceptance.shop import CONFIG, DROP_IN
from tests.served import environment, free_port, serve
from tests.template import embed


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server with the drop-in."""
    with serving(
        tmp_path_factory.mktemp("shop"), router_shop=DROP_IN, config__shop=CONFIG
    ) as running:
        yield running


@pytest.fixture(scope="module")
def eve(shop):
    return shop.person()


class TestFastApiHabits:
    """What one knows of FastAPI works through the middleware, untouched."""

    def test_response_model_and_path_parameter(self, shop, eve):
        """A typed route answers as FastAPI would."""
        answer = shop.call("GET", "/shop/item/3", eve)

        assert {"name": "item 3", "price": 1.5} == answer.json()

    def test_template_policy_holds(self, shop):
        """is_token on the template guards each of its paths."""
        assert 401 == shop.call("GET", "/shop/item/3").status_code

    def test_validation_names_the_parameter(self, shop, eve):
        """422 with our message and FastAPI's detail."""
        answer = shop.call("GET", "/shop/item/x", eve)

        assert 422 == answer.status_code
        assert "id" in answer.json()["message"]
        assert ["path", "id"] == answer.json()["detail"][0]["loc"]

    def test_status_code_and_background_tasks(self, shop):
        """201 goes out, the task runs after."""
        body = {"name": "a", "price": 1}
        assert 201 == shop.call("POST", "/shop/item", json=body).status_code
        deadline = time.monotonic() + 60
        while not shop.call("GET", "/shop/calls").json()["background"]:
            assert time.monotonic() < deadline

    def test_dependency_with_yield_is_cleaned_up(self, shop):
        """The part after yield runs."""
        assert {"held": "open"} == shop.call("GET", "/shop/depends").json()
        assert 1 <= shop.call("GET", "/shop/calls").json()["cleaned"]

    def test_http_exception_keeps_status_detail_and_headers(self, shop):
        """The one shape, with what was raised inside."""
        answer = shop.call("GET", "/shop/teapot")

        assert 418 == answer.status_code
        assert {"short": "stout"} == answer.json()["detail"]
        assert "green" == answer.headers["x-tea"]

    def test_fault_is_shown_in_development_and_logged(self, shop):
        """Its type and text, never its trace; tests/unit/step: nothing elsewhere."""
        answer = shop.call("GET", "/shop/boom")

        assert 500 == answer.status_code
        assert "RuntimeError: secret detail" == answer.json()["message"]
        assert "Traceback" not in answer.text
        assert ".py" not in answer.text
        assert "secret detail" in shop.log.read_text()

    def test_streams_and_threads(self, shop):
        """Streaming and plain functions pass through."""
        assert "part 0\npart 1\npart 2\n" == shop.call("GET", "/shop/stream").text
        assert "plain" == shop.call("GET", "/shop/plain").text

    def test_docs_show_it(self, shop):
        """/openapi.json lists the dropped-in route."""
        assert "/shop/item/{id}" in shop.call("GET", "/openapi.json").json()["paths"]


class TestRate:
    def test_forty_at_once_are_five(self, shop):
        """The limit is exact under parallel calls; the rest are told when."""
        with ThreadPoolExecutor(40) as pool:
            answers = list(
                pool.map(lambda _: shop.call("GET", "/shop/limited"), range(40))
            )
        codes = [answer.status_code for answer in answers]

        assert (5, 35) == (codes.count(200), codes.count(429))
        over = next(answer for answer in answers if answer.status_code == 429)
        assert "ratelimiter exceeded" == over.json()["message"]
        assert 1 <= int(over.headers["retry-after"]) <= 60
        assert "q=5;w=60" in over.headers["ratelimit-policy"]


class TestCache:
    def test_second_answer_is_a_copy(self, shop):
        """Whatever the order or the escaping of the parameters."""
        first = shop.call("GET", "/shop/cached?a=1&b=x")
        second = shop.call("GET", "/shop/cached?b=%78&a=1")

        assert first.json() == second.json()
        assert "hit" == second.headers["x-cache"]
        assert first.headers["content-type"] == second.headers["content-type"]

    def test_no_user_gets_anothers_answer(self, shop, eve):
        """The caller is part of the key."""
        mallory = shop.person()
        told = [
            shop.call("GET", "/shop/cached?who=1", who).json()["user"]
            for who in (None, eve, mallory, eve, None)
        ]

        assert [None, eve.id, mallory.id, eve.id, None] == told

    def test_refusal_is_never_kept(self, shop):
        """A 400 stays a 400 and is asked anew."""
        before = shop.call("GET", "/shop/calls").json()["n"]
        for _ in range(2):
            assert 400 == shop.call("GET", "/shop/cached?status=400").status_code
        assert before + 2 == shop.call("GET", "/shop/calls").json()["n"]

    def test_many_askers_make_one_answer(self, shop):
        """Single flight: the route worked once for thirty."""
        with ThreadPoolExecutor(30) as pool:
            answers = list(
                pool.map(lambda _: shop.call("GET", "/shop/cached?f=1"), range(30))
            )

        assert 1 == len({answer.json()["n"] for answer in answers})

    def test_content_type_is_kept(self, shop):
        """Text comes back as text."""
        for _ in range(2):
            answer = shop.call("GET", "/shop/cached-text")
            assert answer.headers["content-type"].startswith("text/plain")

    def test_write_drops_what_was_made_of_the_table(self, shop, eve):
        """Nobody reads a row that is no longer so."""
        assert [] == shop.call("GET", "/shop/cached-rows").json()
        assert "hit" == shop.call("GET", "/shop/cached-rows").headers["x-cache"]
        shop.message(
            "POST", "/my/object-create?table=test", eve, json={"title": "cached row"}
        )

        assert 1 == len(shop.call("GET", "/shop/cached-rows").json())


class TestTimeAndBackground:
    def test_slow_route_is_504(self, shop):
        """timeout_sec ends it."""
        answer = shop.call("GET", "/shop/slow")

        assert 504 == answer.status_code
        assert "timeout.exceeded" == answer.json()["code"]

    def test_background_answers_at_once_and_does_it(self, shop):
        """The body was read before; the work is done after."""
        told = shop.message("POST", "/shop/slow-write?is_background=1", json={"a": 1})

        assert "added in background" == told
        assert "written" not in shop.call("GET", "/shop/calls").json()
        shop.call("POST", "/shop/go?on=1")
        deadline = time.monotonic() + 60
        while "written" not in (calls := shop.call("GET", "/shop/calls").json()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert {"a": 1} == calls["written"]

    def test_log_has_one_row_for_each_with_its_type(self, shop, eve):
        """1 background, 2 cached, 3 executed, 4 stored, 5 refused; secrets starred."""
        shop.call("POST", "/shop/go?on=1")
        shop.call("POST", "/shop/slow-write?is_background=1&x=t1", json={})
        shop.call("POST", "/shop/fails?is_background=1&x=t1f")
        shop.call("GET", "/shop/cached?x=t4")
        shop.call("GET", "/shop/cached?x=t4")
        shop.call("GET", "/shop/plain?x=t3&otp=123456&token=hidden")
        shop.call("GET", "/shop/who?x=t5")
        shop.call("GET", "/shop/who?x=t3u", eve)
        text = """select type, status_code, query_param, created_by_id, description
                  from log_api where query_param like 'x=t%' or query_param like
                  'is_background=1&x=t%' order by id"""
        deadline = time.monotonic() + 60
        while len(rows := shop.sql(text)) < 7:
            assert time.monotonic() < deadline, rows
            time.sleep(0.1)
        types = {}
        for row in rows:
            name = row["query_param"].removeprefix("is_background=1&").split("&")[0]
            types.setdefault(name, []).append(row["type"])

        assert {
            "x=t1": [1],
            "x=t1f": [1],
            "x=t4": [4, 2],
            "x=t3": [3],
            "x=t5": [5],
            "x=t3u": [3],
        } == types
        assert not [row for row in rows if "123456" in row["query_param"]]
        assert not [row for row in rows if "hidden" in row["query_param"]]
        assert [eve.id] == [r["created_by_id"] for r in rows if r["created_by_id"]]


class TestWebSocket:
    def ask(self, shop, path, headers=None):
        async def run():
            url = shop.url.replace("http", "ws") + path
            async with websockets.connect(url, additional_headers=headers) as held:
                return await held.recv()

        return asyncio.run(run())

    def test_token_is_asked_for_at_the_handshake(self, shop, eve):
        """In the header, or in the URL for browsers."""
        assert str(eve.id) == self.ask(shop, "/shop/ws", eve.headers)
        assert str(eve.id) == self.ask(shop, f"/shop/ws?token={eve.token}")

    @pytest.mark.parametrize("path", ["/shop/ws", "/shop/ws?token=x", "/ws"])
    def test_no_token_no_socket(self, shop, path):
        """The handshake is refused with 401."""
        with pytest.raises(websockets.InvalidStatus) as caught:
            self.ask(shop, path)

        assert 401 == caught.value.response.status_code


def started(code, **values):
    """Run a start that is expected to fail; return its exit code and what it said."""
    config = {
        "config_host": "127.0.0.1",
        "config_port": str(free_port()),
        "config_atom_folder": str(code / "data"),
    } | values
    embed(code / "data")
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=code,
        env=environment(config),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


BROKEN = {
    "a router that does not import": (
        {"router_bad": "from extend import *\nimport nothing_like_it\n"},
        {},
        ["router_bad.py, line 2", "nothing_like_it"],
    ),
    "a config that does not parse": (
        {"config__bad": "config_api = {\n"},
        {},
        ["config/bad.py", "SyntaxError"],
    ),
    "the same path in two config files": (
        {"config_two": 'config_api = {"/test": {"id": 99}}\n'},
        {},
        ["'/test' is declared twice"],
    ),
    "all faults at once": (
        {
            "config_z": 'config_api = {"/tset": {}, "/": {"cahce_sec": 1}}\n',
            "router_z": "1/0\n",
        },
        {"config_workers": "many", "config_key_jwt": "short"},
        [
            "no route has the path. Did you mean '/test'?",
            "Did you mean 'cache_sec'?",
            "router_z.py, line 1: ZeroDivisionError",
            "config_workers",
            "config_key_jwt: set it to 32 bytes or more",
        ],
    ),
    "an admin route without an id": (
        {
            "router_a": "from extend import *\nrouter = APIRouter()\n"
            '@router.get("/admin/x")\nasync def x(): return 1\n'
        },
        {},
        ["config_api['/admin/x']: an /admin route needs an id"],
    ),
    "cookies for everybody": (
        {},
        {"config_cors_allow_credentials": "1"},
        ["config_cors_allow_credentials"],
    ),
    "a short root key": ({}, {"config_key_root": "short"}, ["config_key_root"]),
    "production without anything": (
        {},
        {"config_env": "production"},
        ["config_postgres_url", "config_key_root", "config_key_jwt"],
    ),
    "a database that is not there": (
        {},
        {"config_postgres_url": "postgresql://u:hush@127.0.0.1:1/x"},
        ["config_postgres_url", "does not answer"],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_start_says_everything_and_ends(tmp_path, name):
    """Non-zero, each fault named, no secret shown, no trace."""
    dropped, values, told = BROKEN[name]
    code, said = started(copied(tmp_path, **dropped), **values)

    assert 0 != code
    for words in told:
        assert words in said, said
    assert "hush" not in said
    assert "Traceback" not in said


def test_new_drop_in_is_served_at_the_next_start(tmp_path):
    """A file in the root and one in the folder, config beside them; nothing else."""
    code = copied(
        tmp_path,
        router_a="from extend import *\n@router.get('/a')\nasync def a(): return 'a'\n",
        router__b="from extend import *\n@router.get('/b')\nasync def b(): return 2\n",
        config_c="config_own = {'x': 1}\nconfig_api = {'/a': {'is_token': 1}}\n",
    )
    with serve(code=code) as served:
        shop = opened(served)
        assert 401 == shop.call("GET", "/a").status_code
        assert 2 == json.loads(shop.call("GET", "/b").text)
        shop.http.close()


def test_testclient_and_overrides_work(tmp_path):
    """FastAPI's way of testing an application works on ours."""
    code = copied(
        tmp_path,
        router_t="""
from fastapi import Depends
from extend import *
router = APIRouter()
def value(): return "real"
@router.get("/value")
async def read(value: str = Depends(value)): return value
""",
    )
    script = """
import sys
import main
from fastapi.testclient import TestClient
real = sys.modules["router_t"].value
main.app.dependency_overrides[real] = lambda: "fake"
try:
    TestClient(main.app).get("/value")
except RuntimeError as error:
    assert "with TestClient(app)" in str(error), error
with TestClient(main.app) as client:
    assert client.get("/value").json() == "fake", client.get("/value").text
    assert client.get("/my/profile").status_code == 401
assert TestClient(main.app).get("/value").json() == "fake"
print("fine")
"""
    config = environment({"config_atom_folder": str(code / "data")})
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=code,
        env=config,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "fine" in done.stdout, done.stdout + done.stderr
