"""The routes of export, import, runner, info and pages, over HTTP."""

import httpx2
import pytest

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


def send(root, mode, text, table="test"):
    form = {"mode": mode, "table": table}
    return root.post(
        "/root/postgres-import", data=form, files={"file": ("x.csv", text, "text/csv")}
    )


def export(root, query):
    return root.post("/root/postgres-export", json={"query": query})


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
    assert "transfer.not_read_only" == answer.json()["code"]


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
    assert (403, "transfer.secret") == (secret.status_code, secret.json()["code"])


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
