"""Attacks that once went through: spellings, bodies, addresses, names, files, logs."""

import gzip
import io
import socket
import time

import pytest

from atom.errors import ApiError
from atom.transfer import csv_file, jsonl_file
from atom.transfer.request import Unzipped
from tests.acceptance.checkout import copied
from tests.acceptance.conftest import serving
from tests.acceptance.test_drop_in import started

DROP_IN = """
from extend import *

router = APIRouter()
made = {"number": 0}


@router.api_route("/{one}/{other}", methods=["GET", "POST", "DELETE"])
async def anything(one: str, other: str):
    return {"anything": [one, other]}


@router.get("/attack/kept/last")
async def kept(x: str):
    made["number"] += 1
    return {"x": x, "number": made["number"]}


@router.get("/attack/limited/few")
async def limited():
    return "ok"


@router.api_route("/attack/body/length", methods=["GET", "POST"])
async def length(request: Request):
    return len(await request.body())


@router.get("/attack/fault/{word}")
async def fault(word: str):
    raise RuntimeError("on purpose")
"""
CONFIG = """
config_api = {
    "/attack/kept/last": {"cache_sec": ["inmemory", 60, "shared"]},
    "/attack/limited/few": {"ratelimiter_times_sec": [3, 60]},
    "/attack/body/length": {"body_max_kb": 8},
}
config_trusted_proxy_list = "127.0.0.1"
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """A server with a drop-in whose open template is there for any two words.

    It stands after the routes it overlaps with, as one in `router/` may.
    """
    with serving(
        tmp_path_factory.mktemp("attack"), router__zz=DROP_IN, config__zz=CONFIG
    ) as running:
        yield running


def sent(target, request):
    """Send bytes as they are; return the status and the answer."""
    place = ("127.0.0.1", int(target.config["config_port"]))
    with socket.create_connection(place, 30) as connection:
        connection.settimeout(30)
        connection.sendall(request)
        got = b""
        while more := connection.recv(65536):
            got += more
    return int(got.split(b" ", 2)[1]), got.partition(b"\r\n\r\n")[2].decode()


LOCKED = [
    ("GET", "/root/explain"),
    ("GET", "/root/reset-global"),
    ("POST", "/root/reset-global"),
    ("POST", "/root/postgres-init"),
    ("POST", "/root/postgres-export"),
    ("GET", "/my/profile"),
    ("DELETE", "/my/account-delete"),
    ("GET", "/admin/object-read"),
    ("POST", "/admin/db-runner"),
]
ENDINGS = ["%0a", "%0d%0a", "%0a%0a", "%0d", "%00", "%20", "%e2%80%a8", "%09"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("method", "path"), LOCKED)
def test_no_ending_runs_a_locked_route_under_an_open_policy(
    target, method, path, ending
):
    """A route's `$` overlooks a line feed: the open template's policy was asked."""
    answer = target.call(method, path + ending, json={"query": "select 1"})

    _, one, other = path.split("/")
    if 200 == answer.status_code:
        assert "anything" in answer.json()
        assert [one, other] != answer.json()["anything"]
    else:
        assert answer.status_code in {400, 401, 404}, answer.text


def test_order_of_one_name_is_part_of_the_question(target):
    """The last one counts, so nobody may leave the other's answer in the cache."""
    path = "/attack/kept/last"

    first = target.call("GET", f"{path}?x=1&x=2").json()
    other = target.call("GET", f"{path}?x=2&x=1").json()
    again = target.call("GET", f"{path}?x=1&x=2").json()

    assert ("2", "1") == (first["x"], other["x"])
    assert first == again


ROTATIONS = {
    "network": [f"2001:db8:0:1::{n:x}" for n in range(5)],
    "port": [f"198.51.100.7:{4000 + n}" for n in range(5)],
    "bracket": [f"[2001:db8:0:2::1]:{4000 + n}" for n in range(5)],
    "spelling": ["203.0.113.9", "::ffff:203.0.113.9", "::ffff:cb00:7109"] * 2,
}


@pytest.mark.parametrize("kind", ROTATIONS)
def test_nobody_is_many_callers(target, kind):
    """What one caller changes at will does not begin a new count."""
    codes = [
        target.call(
            "GET", "/attack/limited/few", headers={"X-Forwarded-For": address}
        ).status_code
        for address in ROTATIONS[kind]
    ]

    assert [200, 200, 200, 429, 429] == codes[:5]


CHUNK = b"4000\r\n" + b"1" * 0x4000 + b"\r\n"  # 16 KiB
CHUNKED = b"Host: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
JSON = b"Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"GET /attack/body/length", 1),
        (b"POST /attack/body/length", 1),
        (b"POST /auth/login-password", 65),
        (b"POST /auth/token-refresh", 65),
    ],
    ids=str,
)
def test_body_without_a_length_is_limited_as_well(target, line, number):
    """Whatever the method, and told as what it is: 413, at the first chunk too many."""
    head = line + b" HTTP/1.1\r\n" + CHUNKED + JSON + b"\r\n"

    status, text = sent(target, head + CHUNK * number)

    assert 413 == status, text
    assert '"body.too_large"' in text


def test_stream_in_the_background_stops_nothing(target):
    """It waited for its caller to leave, in a loop that never let go."""
    query = "select repeat('a', 1000) from generate_series(1, 5000)"

    answer = target.call(
        "POST",
        "/root/postgres-export?is_background=1",
        "root",
        json={"query": query},
    )

    assert "added in background" == answer.json()["message"]
    assert 200 == target.call("GET", "/").status_code
    deadline = time.monotonic() + 60
    found = []
    while not found and time.monotonic() < deadline:
        found = target.sql("select status_code from log_api where type = 1")
        time.sleep(0.05)
    assert 200 == found[0]["status_code"]


def test_file_is_not_held_for_the_background(target):
    """A gigabyte may be imported, not be kept in memory until somebody has time."""
    key = target.config["config_key_root"].encode()

    status, text = sent(
        target,
        b"POST /root/postgres-import?is_background=1 HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: Bearer " + key + b"\r\nConnection: close\r\n"
        b"Content-Length: 70000000\r\n\r\n",
    )

    assert 413 == status, text


@pytest.mark.parametrize("length", [b"0" * 5000 + b"5", b"9" * 40, b"+5", b"5, 5"])
def test_odd_length_is_the_callers_fault(target, length):
    """Python reads no number of 5,000 digits; that was a 500."""
    status, _ = sent(
        target,
        b"POST /auth/login-password HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        + b"Content-Length: "
        + length
        + b"\r\n\r\n12345",
    )

    assert 400 == status


NAMES = [
    "ad\ufe0fa",
    "ad\u3164a",
    "ad\u034fa",
    "ad\u115fa",
    "ad\u2800a",
    "a\U000e0101d",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_no_name_holds_what_is_not_seen(target, name):
    """Nobody signs up, or is renamed, to look like somebody else."""
    eve = target.person()
    body = {"type": 1, "username": name, "password": "long enough"}

    made = target.call("POST", "/auth/signup", json=body)
    renamed = target.call(
        "PUT",
        "/my/object-update?table=users",
        eve,
        json={"id": eve.id, "username": name},
    )

    for answer in (made, renamed):
        assert 400 == answer.status_code, answer.text
        assert "identity.unreadable" == answer.json()["code"]


def test_path_makes_no_line_of_the_log(target):
    """What a caller sends cannot look like a line of ours."""
    target.call("GET", "/attack/fault/x%0a2026-01-01%20ERROR%20atom%20forged%1b[31m")

    lines = target.log.read_text().splitlines()
    found = [line for line in lines if "forged" in line]
    assert found
    assert all("atom.http.step.error" in line and "\x1b" not in line for line in found)


def test_secret_is_starred_however_its_name_is_spelt(target):
    """`%70assword` is read as password, so it is masked as password."""
    secret = "hunter2hunter2"
    target.call(
        "GET",
        f"/public/info?seen=1&%70assword={secret}&access%5Ftok%65n={secret}"
        f"&%6Ftp={secret}&pwd={secret}",
    )

    deadline = time.monotonic() + 60
    found = []
    while not found and time.monotonic() < deadline:
        found = target.sql(
            "select query_param from log_api where query_param like '%seen=1%'"
        )
        time.sleep(0.05)
    assert 4 == found[0]["query_param"].count("***")
    assert secret not in found[0]["query_param"]


def test_view_that_takes_no_rows_is_the_callers_fault(target):
    """A statement PostgreSQL refuses for what it names is no fault of ours: was 500."""
    target.sql("update users set api_access = '6' where id = 1")
    login = {"type": 1, "username": "root"}
    answer = target.call(
        "POST",
        "/auth/login-password",
        json=login | {"password": target.config["config_root_password"]},
    )
    headers = {"Authorization": f"Bearer {answer.json()['message']}"}

    answer = target.call(
        "POST",
        "/admin/db-runner",
        headers=headers,
        json={"query": "delete from information_schema.tables"},
    )

    assert 400 == answer.status_code, answer.text


BOMBS = {
    "lines before": (csv_file, b"\n" * 1_300_000, "empty lines"),
    "lines after": (csv_file, b"title\n" + b"\n" * 1_300_000, "empty lines"),
    "lines of nothing": (jsonl_file, b"\n" * 1_300_000, "empty lines"),
    "open quote": (csv_file, b'title\n"' + b"\n" * 1_000_000, "500,000 lines"),
    "long cell": (csv_file, b"title\n" + b"a" * (17 * 2**20) + b"\nb\n", "16 MiB"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_small_file_that_unpacks_to_nothing_is_given_up(kind):
    """Nobody waits for its end, nor keeps it in memory."""
    reader, text, said = BOMBS[kind]
    file = Unzipped(io.BytesIO(gzip.compress(text, 1)))

    with pytest.raises(ApiError) as caught:
        list(reader.Reader(file))

    assert "transfer.unreadable_file" == caught.value.code
    assert said in caught.value.message


ODD_FILES = {
    "open quote": (b"config_app_name='a\nconfig_x=hush\n", ".env, line 1"),
    "no name": (b"config_x=1\n\n=hush\n", ".env, line 3"),
    "another encoding": ("config_app_name=hush é".encode("latin-1"), ".env cannot"),
}


@pytest.mark.parametrize("kind", ODD_FILES)
def test_line_of_env_that_is_none_is_told(tmp_path, kind):
    """Nothing of it is passed over: it may be what closes the docs."""
    text, said = ODD_FILES[kind]
    code = copied(tmp_path)
    (code / ".env").write_bytes(text)

    result, told = started(code)

    assert 0 != result
    assert said in told, told
    assert "hush" not in told
    assert "Traceback" not in told
