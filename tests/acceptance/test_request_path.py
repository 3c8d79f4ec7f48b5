"""What happens to a request around its route, seen by a stranger's drop-in."""

import asyncio
import os
import signal
import socket
import time
from collections import Counter

import httpx2
import pytest
import websockets.exceptions
from websockets.sync.client import connect

from tests import machine
from tests.acceptance.checkout import copied
from tests.acceptance.operations import eventually, family, running

DROP_IN = """
import asyncio
import gzip
import logging
from typing import Annotated

from fastapi import BackgroundTasks, Query

from extend import *

router = APIRouter(prefix="/path")
log = logging.getLogger("clinic.booking")
TEXT = "a cell of a table, " * 500
CALLS = []


@router.get("/num/{n:int}")
async def num(n: int):
    return n


@router.get("/float/{n:float}")
async def real(n: float):
    return n


@router.get("/text")
async def text(size: Annotated[int, Query()] = 9000):
    return responses.PlainTextResponse(TEXT[:size])


@router.get("/kept")
async def kept():
    CALLS.append(1)
    return {"calls": len(CALLS), "text": TEXT}


@router.get("/packed")
async def packed():
    body = gzip.compress(TEXT.encode())
    headers = {"content-encoding": "gzip"}
    return responses.Response(body, headers=headers, media_type="text/plain")


@router.get("/image")
async def image():
    return responses.Response(b"\\x00" * 5000, media_type="image/png")


@router.get("/stream")
async def stream():
    async def parts():
        for n in range(50):
            yield f"{n},{TEXT[:200]}\\n"
    return responses.StreamingResponse(parts(), media_type="text/csv")


@router.get("/tagged")
async def tagged():
    return responses.PlainTextResponse(TEXT, headers={"etag": '"one"'})


@router.get("/where/{item}", name="where")
async def where(request: Request, item: str):
    return {
        "url_for": str(request.url_for("where", item="x")),
        "url": str(request.url),
        "scheme": request.url.scheme,
        "host": request.client.host,
        "base": str(request.base_url),
    }


@router.get("/direct")
async def direct(request: Request) -> responses.Response:
    return responses.PlainTextResponse(str(request.url_for("where", item="x")))


@router.get("/split")
async def split(request: Request) -> responses.Response:
    return responses.PlainTextResponse("", headers={"x-a": "1\\r\\nx-b: 2"})


@router.get("/note")
async def note():
    log.info("the booking is noted")
    return 1


@router.get("/fails")
async def fails():
    raise LookupError("no patient 4711")


@router.get("/after")
async def after(tasks: BackgroundTasks):
    async def fail():
        raise LookupError("after the answer")
    tasks.add_task(fail)
    return 1


@router.websocket("/guarded")
async def guarded(socket: WebSocket):
    await socket.accept()
    await socket.close()


@router.post("/work")
async def work(request: Request):
    await asyncio.sleep(float(request.query_params.get("seconds", 0)))
    return 1
"""
CONFIG = """
config_api = {
    "/path/guarded": {"is_token": 1},
    "/path/work": {"is_background": 1},
    "/path/kept": {"cache_sec": ["inmemory", 600]},
    "/path/where/{item}": {"ratelimiter_times_sec": [1000, 60]},
}
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A server with the drop-in."""
    code = tmp_path_factory.mktemp("request-path")
    copied(code, router_path=DROP_IN, config__path=CONFIG)
    with running(code) as found:
        yield found


def rows(api, path):
    """Return the rows of log_api of a path, once written."""
    return api.sql("select * from log_api where api = $1 order by id", path)


def logged(api, text):
    """Return how often the log of the server holds a text."""
    return api.log.read_text(errors="replace").count(text)


class TestParameters:
    """Values in a path that their convertor cannot read."""

    @pytest.mark.parametrize(
        "path", ["/path/num/" + "9" * 5000, "/path/float/" + "9" * 400]
    )
    def test_unreadable_is_a_clean_404_with_a_row(self, api, path):
        """Not a bare 500 that nothing was recorded of."""
        answer = api.call("GET", path)

        assert 404 == answer.status_code
        assert "route.unknown" == answer.json()["code"]
        assert answer.headers["x-request-id"]
        eventually(lambda: rows(api, path[:512]))

    def test_readable_is_read(self, api):
        """As before."""
        assert 7 == api.call("GET", "/path/num/7").json()
        assert 1.5 == api.call("GET", "/path/float/1.5").json()


class TestHead:
    """HEAD wherever GET is."""

    @pytest.mark.parametrize(
        "path", ["/", "/health", "/path/num/3", "/path/text", "/path/kept", "/docs"]
    )
    def test_head_is_get_without_a_body(self, api, path):
        """The same status and headers; a row of its own in the log."""
        got, head = api.call("GET", path), api.call("HEAD", path)

        assert (got.status_code, b"") == (head.status_code, head.content)
        assert got.headers["content-type"] == head.headers["content-type"]

    def test_head_is_logged_as_head(self, api):
        """Not as the GET it is answered like."""
        api.call("HEAD", "/path/num/12")
        eventually(lambda: rows(api, "/path/num/12"))

        assert ["HEAD"] == [row["method"] for row in rows(api, "/path/num/12")]

    def test_head_needs_what_get_needs(self, api):
        """A token on /my; no POST route answers it."""
        assert 401 == api.call("HEAD", "/my/profile").status_code
        assert 405 == api.call("HEAD", "/auth/login-password").status_code
        assert "HEAD" in api.call("POST", "/").headers["allow"]

    def test_head_is_served_from_a_kept_get(self, api):
        """And makes no answer of its own to keep."""
        api.call("GET", "/path/kept")

        assert "hit" == api.call("HEAD", "/path/kept").headers["x-cache"]


class TestLog:
    """Lines of the log, rows of log_api."""

    def test_own_loggers_print_at_info(self, api):
        """With the id of the request, as Atom's own do."""
        answer = api.call("GET", "/path/note")

        (line,) = [
            each
            for each in api.log.read_text().splitlines()
            if "the booking is noted" in each
        ]
        assert "INFO clinic.booking" in line
        assert answer.headers["x-request-id"] in line

    def test_probes_are_not_rows(self, api):
        """A monitor asks every second; what others ask is recorded."""
        for path in ("/", "/health", "/path/num/99"):
            api.call("GET", path)
        eventually(lambda: rows(api, "/path/num/99"))

        assert "GET" not in [row["method"] for row in rows(api, "/")]
        assert not rows(api, "/health")

    def test_a_failing_background_task_is_logged_once(self, api):
        """With its trace; the answer had been given."""
        assert 200 == api.call("GET", "/path/after").status_code
        eventually(lambda: logged(api, "LookupError: after the answer"))
        time.sleep(0.3)

        assert 1 == logged(api, "LookupError: after the answer")
        assert 0 == logged(api, "Exception in ASGI application")

    def test_a_refused_handshake_is_one_line(self, api):
        """Without a trace, and not an ERROR: any caller can cause it."""
        before = api.log.read_text()
        for _ in range(3):
            with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
                connect(api.url.replace("http", "ws") + "/path/guarded")
            assert caught.value.response.status_code in {401, 403}
        time.sleep(0.3)
        new = api.log.read_text()[len(before) :].splitlines()

        assert not [line for line in new if "ERROR" in line or "Traceback" in line]
        assert 3 == len(new), new


class TestFault:
    """A route that raises what it should not."""

    def test_development_shows_the_exception(self, api):
        """Its type and text, so that the log need not be searched."""
        answer = api.call("GET", "/path/fails")

        assert 500 == answer.status_code
        assert "error.unexpected" == answer.json()["code"]
        assert "LookupError: no patient 4711" in answer.json()["message"]


ACCEPTS = {"accept-encoding": "gzip, deflate"}


class TestGzip:
    """Answers above 1 kB are compressed for who accepts it."""

    @pytest.mark.parametrize(
        "path", ["/path/text", "/path/kept", "/path/stream", "/openapi.json"]
    )
    def test_long_text_is_compressed(self, api, path):
        """The same text arrives, in fewer bytes; caches are warned."""
        plain = api.call("GET", path, headers={"accept-encoding": "identity"})
        packed = api.call("GET", path, headers=ACCEPTS)

        assert "gzip" == packed.headers["content-encoding"]
        assert "content-encoding" not in plain.headers
        assert "accept-encoding" in packed.headers["vary"].lower()
        assert "accept-encoding" in plain.headers["vary"].lower()
        if path != "/path/kept":
            assert plain.text == packed.text
        else:
            assert plain.json()["text"] == packed.json()["text"]
        if (length := packed.headers.get("content-length")) is not None:
            assert int(length) < len(plain.content) / 3

    @pytest.mark.parametrize(
        "path", ["/path/text?size=500", "/path/image", "/path/packed"]
    )
    def test_what_gains_nothing_is_left_alone(self, api, path):
        """Short, of a packed kind, or packed by its route."""
        answer = api.call("GET", path, headers=ACCEPTS)

        if path == "/path/packed":
            assert "gzip" == answer.headers["content-encoding"]
            assert answer.text.startswith("a cell of a table")
        else:
            assert "content-encoding" not in answer.headers

    @pytest.mark.parametrize(
        ("accepted", "packed"),
        [("gzip;q=0", False), ("br", False), ("*", True), ("GZIP;q=0.5", True)],
    )
    def test_only_who_accepts_it_gets_it(self, api, accepted, packed):
        """By RFC 9110 section 12.5.3."""
        answer = api.call("GET", "/path/text", headers={"accept-encoding": accepted})

        assert packed == ("content-encoding" in answer.headers)

    def test_a_kept_answer_goes_to_both(self, api):
        """Whoever asked first."""
        for accepted in ("gzip", "identity", "gzip"):
            answer = api.call(
                "GET", "/path/kept", headers={"accept-encoding": accepted}
            )
            assert answer.json()["text"].startswith("a cell")
        assert "hit" == answer.headers["x-cache"]

    def test_an_etag_is_weak_once_compressed(self, api):
        """The bytes are not those it was made of."""
        plain = api.call("GET", "/path/tagged", headers={"accept-encoding": "identity"})
        packed = api.call("GET", "/path/tagged", headers=ACCEPTS)

        assert ('"one"', 'W/"one"') == (plain.headers["etag"], packed.headers["etag"])

    def test_errors_and_head_carry_true_lengths(self, api):
        """What is announced is what comes, in either form."""
        with httpx2.Client(base_url=api.url, headers=ACCEPTS) as client:
            assert 404 == client.get("/nowhere").status_code
            assert 200 == client.head("/path/text").status_code
            assert 200 == client.get("/path/text").status_code


def postgres_of(api):
    """Return the processes of the embedded database of a server."""
    folder = str(api.config["config_atom_folder"]).encode()
    (postmaster,) = (
        int(pid)
        for pid in os.listdir(machine.proc())
        if pid.isdigit()
        and folder in (line := command_line(pid))
        and b"postgres" in line.split(b"\0")[0]
    )
    return list(family(postmaster))


def command_line(pid):
    """Return the command line of a process; empty when it has ended."""
    try:
        return machine.proc(f"{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def spoken(api, *requests):
    """Send requests on one connection at once. Return all that comes back."""
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall("".join(requests).encode())
        return b"".join(iter(lambda: line.recv(65536), b""))


def question(path, *headers, method="GET"):
    lines = (f"{method} {path} HTTP/1.1", "Host: atom", "X-Request-Id: same", *headers)
    return "".join(f"{each}\r\n" for each in (*lines, ""))


def undated(answer):
    lines = answer.split(b"\r\n")
    return [each for each in lines if not each.startswith(b"date: ")]


@pytest.mark.parametrize("path", ["/", "/path/kept", "/path/direct", "/nowhere"])
def test_an_answer_written_at_once_is_the_one_uvicorn_writes(api, path):
    last = question(path, "Connection: close")
    spoken(api, last)  # a cached route has its answer
    ends = undated(spoken(api, last))
    both = undated(spoken(api, question(path), last))
    assert b"connection: close" in ends
    plain = [each for each in ends if each != b"connection: close"]
    body = plain.pop()
    assert both == [*plain, body + ends[0], *ends[1:]]
    head = undated(spoken(api, question(path, "Connection: close", method="HEAD")))
    assert head == [*ends[:-1], b""]


def test_a_header_cannot_begin_another(api):
    heard = spoken(api, question("/path/split"))
    assert b"x-b" not in heard.lower()


def test_health_answers_in_two_seconds_with_a_frozen_database(api):
    """503, whatever PostgreSQL does; 200 once it answers again."""
    assert 200 == api.call("GET", "/health").status_code
    pids = postgres_of(api)
    assert len(pids) > 1
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            began = time.monotonic()
            answer = api.call("GET", "/health")
            assert time.monotonic() - began < 2
            assert (503, "client.silent") == (
                answer.status_code,
                answer.json()["code"],
            )
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: 200 == api.call("GET", "/health").status_code)


SENT = {
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "clinic.example",
    "x-forwarded-prefix": "/api",
}


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """A server behind a trusted proxy that strips /api."""
    code = copied(
        tmp_path_factory.mktemp("proxied"), router_path=DROP_IN, config__p=CONFIG
    )
    values = {"config_trusted_proxy_list": "127.0.0.1"}
    with running(code, values) as found:
        yield found


class TestProxy:
    """The request as the client sent it to the proxy, not as the proxy passed it on."""

    def test_links_lead_to_the_client(self, behind):
        """url_for, url, scheme and address are those of the client."""
        found = behind.call("GET", "/path/where/y?a=1", headers=SENT).json()

        assert {
            "url_for": "https://clinic.example/api/path/where/x",
            "url": "https://clinic.example/api/path/where/y?a=1",
            "scheme": "https",
            "host": "203.0.113.9",
            "base": "https://clinic.example/api/",
        } == found
        direct = behind.call("GET", "/path/direct", headers=SENT).text
        assert "https://clinic.example/api/path/where/x" == direct

    def test_a_stranger_is_not_believed(self, api):
        """Without a trusted proxy every one of these headers is noise."""
        found = api.call("GET", "/path/where/y", headers=SENT).json()

        assert f"{api.url}/path/where/x" == found["url_for"]
        assert ("http", "127.0.0.1") == (found["scheme"], found["host"])

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("x-forwarded-host", "evil.example/path?"),
            ("x-forwarded-host", "a b"),
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-prefix", "//evil.example"),
            ("x-forwarded-prefix", "https://evil.example"),
        ],
    )
    def test_nonsense_is_ignored(self, behind, name, value):
        """A proxy passes on what it was sent."""
        found = behind.call("GET", "/path/where/y", headers={name: value}).json()

        assert f"{behind.url}/path/where/x" == found["url_for"]

    def test_the_policy_is_that_of_the_route(self, behind):
        """No header opens a closed route, or counts for another one."""
        for prefix in ("/public", "/my", "/path"):
            headers = {"x-forwarded-prefix": prefix}
            assert 401 == behind.call("GET", "/my/profile", headers=headers).status_code
        answer = behind.call("GET", "/path/where/y", headers=SENT)
        assert "1000" in answer.headers["ratelimit-policy"]

    def test_root_path_is_a_prefix_that_a_proxy_strips(self, tmp_path):
        """Links and /docs have it; routes, policies and the log do not."""
        code = copied(tmp_path, router_path=DROP_IN, config__p=CONFIG)
        with running(code, {"config_root_path": "/api"}) as api:
            found = api.call("GET", "/path/where/y").json()
            assert f"{api.url}/api/path/where/x" == found["url_for"]
            page = api.call("GET", "/docs").text
            assert "/api/openapi.json" in page
            assert "/api/docs/swagger-ui.css" in page
            servers = api.call("GET", "/openapi.json").json()["servers"]
            assert [{"url": "/api"}] == servers
            assert 401 == api.call("GET", "/my/profile").status_code
            assert 404 == api.call("GET", "/apis/path/text").status_code
            assert 401 == api.call("GET", "/api/my/profile").status_code
            api.call("GET", "/path/num/5")
            eventually(lambda: rows(api, "/path/num/5"))


FLOOD = "/public/object-create?table=test&is_background=1"
FLOODERS, FLOOD_SECONDS = 24, 4.0


async def flood(api, title):
    """Create rows in the background for some seconds. Return how each was answered."""
    answered = Counter()
    ends = time.monotonic() + FLOOD_SECONDS
    limits = httpx2.Limits(max_connections=FLOODERS)
    async with httpx2.AsyncClient(
        base_url=api.url, timeout=60, limits=limits
    ) as client:

        async def one():
            while time.monotonic() < ends:
                answer = await client.post(FLOOD, json={"title": title})
                answered[answer.status_code] += 1
                if answer.status_code == 503:
                    assert "background.busy" == answer.json()["code"]
                    assert answer.headers["retry-after"]

        await asyncio.gather(*(one() for _ in range(FLOODERS)))
    return answered


def test_what_was_acknowledged_in_the_background_is_written(api):
    """Under load more is refused at the door; nothing that was accepted is dropped."""
    answered = asyncio.run(flood(api, "flood"))
    count = "select count(*) from test where title = 'flood'"

    assert answered[200] > 100
    assert not set(answered) - {200, 503}
    eventually(lambda: answered[200] == api.sql(count)[0]["count"], seconds=60)


def test_background_work_is_refused_once_the_oldest_waits_too_long(api):
    """Slow work fills the backlog; what had been accepted is done all the same."""
    path = "/path/work?seconds=1.5&is_background=1"
    codes = Counter()
    began = time.monotonic()
    while time.monotonic() - began < 8 and not codes[503]:
        for _ in range(20):
            codes[api.call("POST", path).status_code] += 1
        time.sleep(0.2)

    assert codes[200] >= 32
    assert codes[503]
    sql = "select count(*) from log_api where api = '/path/work' and type = 1"
    eventually(lambda: codes[200] == api.sql(sql)[0]["count"], seconds=60)


def test_docs_are_described_by_a_file(tmp_path):
    """A Markdown file of the user's own; a file that is not there stops the start."""
    code = copied(tmp_path, router_path=DROP_IN, config__p=CONFIG)
    (code / "about.md").write_text("# Clinic\n\nBooks **appointments**.\n")
    with running(code, {"config_docs_description_file": "about.md"}) as api:
        info = api.call("GET", "/openapi.json").json()["info"]
        assert "Books **appointments**." in info["description"]
    with (
        pytest.raises(RuntimeError, match="config_docs_description_file.*none.md"),
        running(code, {"config_docs_description_file": "none.md"}),
    ):
        pass
