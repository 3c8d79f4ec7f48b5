"""The routes of export, import, runner, info and pages, over HTTP."""

import gzip
import threading

import httpx2
import pytest

from tests import machine
from tests.served import ROOT, serve


@pytest.fixture(scope="module")
def served():
    with serve() as found:
        yield found


@pytest.fixture(scope="module")
def root(served):
    """The operator."""
    bearer = {"Authorization": f"Bearer {served.config['config_key_root']}"}
    with httpx2.Client(base_url=served.url, headers=bearer, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def admin(served, root):
    """User 1, who has api id 6."""
    body = {
        "type": 1,
        "username": served.config["config_root_username"],
        "password": served.config["config_root_password"],
    }
    told = httpx2.post(f"{served.url}/auth/login-password", json=body).json()
    bearer = {"Authorization": f"Bearer {told['message']}"}
    with httpx2.Client(base_url=served.url, headers=bearer, timeout=30) as client:
        yield client


def send(root, mode, text, table="test", name="x.csv", media="text/csv", **form):
    form = {"mode": mode, "table": table, **form}
    return root.post(
        "/root/postgres-import", data=form, files={"file": (name, text, media)}
    )


def export(root, query, **asked):
    return root.post("/root/postgres-export", json={"query": query}, params=asked)


def test_an_export_is_an_attached_csv(root):
    """With the name and the bytes that clients know."""
    answer = export(root, "select 1 as a")

    assert (200, b"a\r\n1\r\n") == (answer.status_code, answer.content)
    assert answer.headers["content-type"].startswith("text/csv")
    named = "attachment; filename=query_result.csv"
    assert named == answer.headers["content-disposition"]


def test_an_export_that_is_refused_is_an_error_and_no_csv(root):
    """Before any 200."""
    answer = export(root, "delete from test")

    assert 400 == answer.status_code
    assert "query.not_read_only" == answer.json()["code"]


def test_an_export_that_fails_in_the_middle_never_ends_well(root):
    """The connection is broken off, so no client takes a part for the whole."""
    query = "select 1 / (200000 - generate_series(1, 300000))"
    with pytest.raises(httpx2.RemoteProtocolError):
        export(root, query)


def test_an_import_answers_the_number_of_rows(root):
    """Create, then update and delete what was made."""
    text = "id,title\n900001,a\n900002,b\n"

    assert 2 == send(root, "create", text).json()["message"]
    assert 2 == send(root, "update", text).json()["message"]
    assert 2 == send(root, "delete", text).json()["message"]


def test_an_import_meets_rows_that_are_there(root):
    """By the columns of a unique rule; those that are left alone do not count."""
    by = {"on_conflict": "id"}
    assert 1 == send(root, "create", "id,title\n900011,a\n").json()["message"]
    text = "id,title\n900011,b\n900012,c\n"
    assert 2 == send(root, "upsert", text, **by).json()["message"]
    ignored = send(root, "upsert", text, existing="ignore", **by)
    assert 0 == ignored.json()["message"]
    shown = export(
        root, "select title from test where id in (900011, 900012) order by 1"
    )
    assert b"title\r\nb\r\nc\r\n" == shown.content
    bare = send(root, "upsert", text)
    assert (400, "row.no_unique") == (bare.status_code, bare.json()["code"])
    assert 2 == send(root, "delete", "id\n900011\n900012\n").json()["message"]


LINES = b'{"id": 900021, "title": "x"}\n{"id": 900022}\n'


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (LINES, {"name": "x.jsonl"}),
        (LINES, {"name": "x.ndjson", "media": "application/octet-stream"}),
        (LINES, {"name": "x", "media": "application/x-ndjson"}),
        (LINES, {"name": "x.csv", "format": "jsonl"}),
        (gzip.compress(LINES), {"name": "x.JSONL.gz", "media": "application/gzip"}),
        (b"id,title\n900021,x\n900022,\n", {"name": "x.jsonl", "format": "csv"}),
    ],
    ids=["ending", "ndjson", "media", "asked", "packed", "asked-csv"],
)
def test_the_format_is_that_of_the_ending_the_media_type_or_asked(root, text, asked):
    """What is asked for goes before the ending, the ending before the media type."""
    assert 2 == send(root, "create", text, **asked).json()["message"]
    assert 2 == send(root, "delete", text, **asked).json()["message"]


def test_a_format_that_is_none_is_refused(root):
    """In and out, with the right words."""
    answers = [
        send(root, "create", LINES, format="xml"),
        export(root, "select 1", format="xml"),
        export(root, "select 1", format="jsonl", is_formula_safe=True),
    ]

    assert [400] * 3 == [answer.status_code for answer in answers]
    assert "csv or jsonl" in answers[0].json()["message"]
    assert "csv or jsonl" in answers[1].json()["message"]


def test_an_export_as_json_lines_says_so(root):
    """One object a line, as row routes answer it."""
    answer = export(root, "select 1 as a, null as b", format="jsonl")

    assert (200, b'{"a":1,"b":null}\n') == (answer.status_code, answer.content)
    assert "application/x-ndjson" == answer.headers["content-type"]
    named = "attachment; filename=query_result.jsonl"
    assert named == answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("head", "row", "name"),
    [
        ("description\n", "x" * 6000 + "\n", "x.csv"),
        ("", '{"description":"' + "x" * 6000 + '"}\n', "x.jsonl"),
    ],
    ids=["csv", "jsonl"],
)
def test_an_upload_is_kept_on_the_disk(root, served, head, row, name):
    """The server holds no more of 60 MB than of a few rows."""
    processes = [machine.process(served.process.pid)]
    processes += processes[0].children(recursive=True)
    server = [p for p in processes if "main.py" in " ".join(p.cmdline())]
    send(root, "create", head + row, name=name)
    before = sum(p.memory_info().rss for p in server)
    most, ended = 0, threading.Event()

    def watch():
        nonlocal most
        while not ended.wait(0.01):
            most = max(most, sum(p.memory_info().rss for p in server))

    watching = threading.Thread(target=watch)
    watching.start()
    made = send(root, "create", head + row * 10_000, name=name)
    ended.set()
    watching.join()

    assert 10_000 == made.json()["message"]
    assert most - before < 40_000_000


def test_an_import_says_what_is_missing(root):
    """A wrong mode names the modes; no file and no table name themselves."""
    mode = send(root, "zzz", "title\nx\n")
    bare = root.post("/root/postgres-import", data={"mode": "create"})

    assert (400, True) == (mode.status_code, "update" in mode.json()["message"])
    assert (422, True) == (bare.status_code, "file" in bare.json()["message"])


def test_the_runner_answers_rows_and_lets_user_1_write(admin):
    """Rows as a list; a number where there are none."""
    run = "/admin/db-runner"
    rows = admin.post(run, json={"query": "select 1 as a"})
    made = admin.post(run, json={"query": "insert into test (title) values ('runner')"})
    gone = admin.post(run, json={"query": "delete from test where title = 'runner'"})
    secret = admin.post(run, json={"query": "select * from users"})

    assert {"status": 1, "message": [{"a": 1}]} == rows.json()
    assert (1, 1) == (made.json()["message"], gone.json()["message"])
    assert (403, "query.secret") == (secret.status_code, secret.json()["code"])


def test_info_tells_open_things_alone(served):
    """No root route, no table that is not listed, no secret column."""
    told = httpx2.get(f"{served.url}/public/info").json()["message"]
    paths = {entry["path"]: entry for entry in told["api_list"]}

    assert not [path for path in paths if path.startswith("/root")]
    assert 1 == paths["/my/profile"]["is_token"]
    assert ["POST"] == paths["/auth/signup"]["methods"]
    assert {"test"} == set(told["postgres_schema"])
    assert {"datatype", "default", "is_null", "is_index"} == set(
        told["postgres_schema"]["test"]["id"]
    )


def test_a_page_is_served_with_a_policy(served):
    """As HTML, with the scripts that are in it and no others."""
    answer = httpx2.get(f"{served.url}/public/page/welcome")

    assert (200, "text/html; charset=utf-8") == (
        answer.status_code,
        answer.headers["content-type"],
    )
    assert (ROOT / "static" / "welcome.html").read_bytes() == answer.content
    assert "script-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "name",
    [
        "nope",
        "../config",
        "..%2fconfig",
        "%2e%2e%2fmain",
        "a.b",
        "welcome%00",
        "x" * 101,
    ]
    + ["welcome.html", "..", "%252e%252e%252fmain", "wel%0acome", "welcome%0a"],
)
def test_a_page_that_is_not_one_of_the_folder_is_404(served, name):
    """Whatever the name is made of."""
    assert 404 == httpx2.get(f"{served.url}/public/page/{name}").status_code
