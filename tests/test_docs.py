"""What is declared is documented, what is told is true, and what is shown runs."""

import ast
import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path

import asyncpg
import pytest
import websockets

from atom.client.all import CLIENTS
from atom.command import welcome
from atom.config.keys import KEYS
from atom.http.pipeline import STEPS, keys_of
from embedded.folder import urls
from tests.acceptance.checkout import copied
from tests.served import ROOT, serve
from tests.smoke import parse
from tools import document

DOCS = sorted(
    [ROOT / "readme.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
)
CODE = [
    path
    for place in ("atom", "embedded", "tools", "router", "config")
    for path in sorted((ROOT / place).rglob("*.py"))
] + sorted(ROOT.glob("*.py"))
HERE = "http://127.0.0.1:8000"
CODE_BLOCK = re.compile(r"```python\n# (\w+)\.py\n(.*?)```", re.DOTALL)
RUN = re.compile(r"<!-- (?:run|curls) -->\n```sh\n(.*?)```", re.DOTALL)
MISSING = re.compile(r"<!-- missing -->(.*?)<!-- /missing -->", re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]*))?\)")
# Names that begin like a key and are none: what config files hold besides keys.
# Routes of the files that the docs show.
SHOWN = {
    *("/shop/order", "/shop/order/{id}", "/my/note-count", "/fast"),
    *(
        "/my/file-list",
        "/my/order-pay",
        "/score",
        "/score/all",
        "/public/free-rooms",
        "/my/check-out",
    ),
}
NO_KEYS = {
    *("config_api", "config_error", "config_postgres_schema", "config_role"),
    *("config_rpc", "config_table_allowed_public_"),
    "config_is_embedded",
}


def read(name):
    return (ROOT / name).read_text()


def table(text):
    """Return the rows of the tables of a document, each as its cells."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    split = (re.split(r"(?<!\\)\|", line)[1:-1] for line in lines)
    return [[cell.strip() for cell in cells] for cells in split]


# made from the code


def test_made_parts_are_fresh():
    """`python -m tools.document` has nothing to write."""
    assert [] == document.stale(), "run: .venv/bin/python -m tools.document"


def test_every_key_is_documented():
    """In docs/config.md and, ready to copy, in .env.example."""
    told = {row[0].strip("`") for row in table(read("docs/config.md"))}
    lines = read(".env.example").splitlines()

    assert set() == {key.name for key in KEYS} - told
    assert {key.name for key in KEYS} == {
        line[1:].partition("=")[0] for line in lines if line.startswith("#config_")
    }


def test_env_example_holds_no_secret():
    """A copy of it changes nothing, and gives nothing away."""
    lines = read(".env.example").splitlines()
    secret = {key.name for key in KEYS if key.secret}

    assert all(line.startswith("#") for line in lines if line)
    assert {""} == {
        line.partition("=")[2] for line in lines if line[1:].partition("=")[0] in secret
    }


def test_no_key_is_read_that_is_not_declared():
    """A key that is not in KEYS has no default, no reader and no documentation."""
    used = {
        (node.value, path.name)
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"config_[a-z0-9_]+", node.value)
    }
    declared = {key.name for key in KEYS} | NO_KEYS

    assert set() == {(name, where) for name, where in used if name not in declared}


def test_every_key_of_config_api_is_documented():
    """docs/config.md lists what an entry may hold."""
    told = {row[0].strip("`") for row in table(read("docs/config.md"))}

    assert set() == {key.name for key in keys_of(STEPS)} - told


def test_every_client_is_documented():
    """docs/extend.md names what is on app.state."""
    told = {row[0].strip("`") for row in table(read("docs/extend.md"))}

    assert set() == {client.name for client in CLIENTS} - told


def test_every_function_is_documented():
    """docs/extend.md shows each function_ name with its signature."""
    import function

    told = {
        row[0].strip("`").removeprefix("await ").partition("(")[0]
        for row in table(read("docs/extend.md"))
    }

    assert set() == {n for n in function.__all__ if n.startswith("function_")} - told


def test_every_step_is_told_in_its_order():
    """docs/pipeline.md numbers the steps as they run."""
    told = re.findall(r"^\| \d+ \| `(\w+)`", read("docs/pipeline.md"), re.MULTILINE)

    assert [step.name for step in STEPS] == told


# the documents themselves


def anchors(path):
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    """Every relative link is a file, and its anchor a heading there."""
    for name, anchor in LINK.findall(path.read_text()):
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), f"{name}#{anchor}"


def test_every_document_is_found_from_the_readme():
    """Nobody has to list the folder."""
    linked = set()
    for path in DOCS:
        linked |= {
            (path.parent / name).resolve()
            for name, _ in LINK.findall(path.read_text())
            if name
        }

    assert [] == [
        path.name for path in DOCS if path not in linked and path.name != "readme.md"
    ]


def test_readme_says_what_the_ci_runs():
    """The test command is that of .ci/run, word for word; serving ends otherwise."""
    blocks = dict(
        re.findall(r"<!-- (serve|test) -->\n```sh\n(.*?)\n```", read("readme.md"))
    )
    expected = blocks["test"].replace("-test.lock", ".lock")

    assert blocks["test"] == read(".ci/run").splitlines()[-1]
    assert expected.replace("-m tests", "main.py") == blocks["serve"]


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_commands_name_files_that_exist(path):
    """What is run by name is there."""
    for name in re.findall(
        r"(?:python3?|\./)\s?([\w/]+\.(?:py|sh))\b", path.read_text()
    ):
        assert (ROOT / name).exists() or name[:-3] in shown_files(), name
    for name in re.findall(r"python -m (\w+(?:\.\w+)*)", path.read_text()):
        place = ROOT / name.replace(".", "/")
        assert (
            place.is_dir()
            or place.with_suffix(".py").exists()
            or name in {"venv", "pytest"}
        ), name


# what is shown, run on a copy into which the documents' own files are dropped


def test_tests_that_are_named_exist():
    """`test_x.py`, and `test_x.py::test_y`, which may be in a class."""
    files = defaultdict(str)
    for path in ROOT.glob("tests/**/test_*.py"):
        files[path.name] += path.read_text()
    text = (ROOT / "docs" / "asvs.md").read_text()
    named = re.findall(r"(test_\w+\.py)(?:::(\w+))?", text)
    gone = [
        (name, test)
        for name, test in named
        if not re.search(rf"def {test or 'test_'}", files[name])
    ]
    assert not gone
    assert len(named) > 50


def shown_files():
    """Return the files the documents show, by name."""
    return {
        name: text
        for path in DOCS
        for name, text in CODE_BLOCK.findall(path.read_text())
    }


CURL = shutil.which("curl")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server as a newcomer has it: keys, data and root login made by itself."""
    code = copied(tmp_path_factory.mktemp("docs"), **shown_files())
    venv(code)
    made = ("config_key_root", "config_key_jwt", "config_root_password")
    unset = {**dict.fromkeys(made, ""), "config_atom_folder": ".atom"}
    with serve(unset, code=code) as served:
        yield served, code


def tool(folder, real):
    """Make a `curl` that fails when the answer is an error, and notes the last answer.

    Where there is no curl, tests/curl.py stands in.
    """
    words = [real] if real else [sys.executable, str(ROOT / "tests" / "curl.py")]
    words += ["-q", "-sS", "--max-time", "60", "--fail-with-body"]
    path = folder / "curl"
    path.write_text(
        f'#!/bin/sh\n{shlex.join(words)} "$@" > "$LAST"; code=$?\n'
        'cat "$LAST"; echo\nexit $code\n'
    )
    path.chmod(0o755)


def venv(code):
    """Make the `.venv/bin/python` a newcomer has: ours."""
    path = code / ".venv" / "bin" / "python"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    path.chmod(0o755)


def script(text, url):
    """Turn the blocks of a document into one script; `# {…}` is the answer expected."""
    lines = ["set -e"]
    for line in text.replace(HERE, url).splitlines():
        if line.startswith("# {"):
            line = f'printf "%s" {shlex.quote(line[2:])} | diff - "$LAST"'
        lines.append(line)
    return "\n".join(lines)


def run(shop, folder, *blocks, curl=CURL):
    """Run blocks as one pastes them, in the folder of the server."""
    served, code = shop
    tool(folder, curl)
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", script("\n".join(blocks), served.url)],
        cwd=code,
        env={"PATH": path, "LAST": str(folder / "last"), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    "path", [p for p in DOCS if RUN.search(p.read_text())], ids=lambda p: p.name
)
def test_blocks_run_when_they_are_pasted(shop, tmp_path, path):
    """Every answer is a success, and the one that is shown where one is shown."""
    done = run(shop, tmp_path, *RUN.findall(path.read_text()))

    assert 0 == done.returncode, done.stdout[-3000:] + done.stderr


@pytest.mark.parametrize(("username", "curl"), [("grace", CURL), ("edsger", None)])
def test_printed_curls_work_when_pasted(shop, tmp_path, username, curl):
    """Those of the first start, taken from what the server printed."""
    served, _ = shop
    said = served.log.read_text()
    printed = textwrap.dedent(said.partition("Try:\n")[2].partition("\n\n")[0])
    done = run(shop, tmp_path, printed.replace("ada", username), curl=curl)

    assert (
        printed.strip() == textwrap.dedent(welcome.CURLS.format(url=served.url)).strip()
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line]
    assert [1, 1, 1] == [answer["status"] for answer in answers]
    assert "hello" == answers[2]["message"][0]["title"]
    assert "root user  root  password" in said


def ask(shop, path, body=None, token="", method=None):
    """Return status, headers and JSON of an answer."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    text = None if body is None else json.dumps(body).encode()
    url = f"{shop[0].url}{path}"
    request = urllib.request.Request(url, text, headers, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers, json.loads(answer.read())


async def execute(url, text):
    """Run one statement past the server."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(text)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def token(shop):
    """The token of somebody who signed up."""
    body = {"type": 1, "username": "reader", "password": "correct horse"}
    return ask(shop, "/auth/signup", body)[2]["message"]


class TestShownFiles:
    """What the documents say of the files they show."""

    def test_order_needs_a_token_and_is_limited(self, shop, token):
        """The readme's config_shop.py."""
        refused, _, told = ask(shop, "/shop/order", {"title": "tea"})
        placed, headers, _ = ask(shop, "/shop/order", {"title": "tea"}, token)

        assert (401, "token.missing") == (refused, told["code"])
        assert 200 == placed
        assert "q=60;w=60" in headers["ratelimit-policy"]

    def test_order_is_shown_from_the_cache(self, shop, token):
        """The second answer is a copy; what is not there is a 404 both times."""
        made = ask(shop, "/shop/order", {"title": "milk"}, token)[2]["message"]
        answers = [ask(shop, f"/shop/order/{made}") for _ in range(2)]

        assert "milk" == answers[0][2]["message"]["title"]
        assert "hit" == answers[1][1]["x-cache"]
        assert [404, 404] == [ask(shop, "/shop/order/0")[0] for _ in range(2)]

    def test_fast_route_answers_rows(self, shop, token):
        """Of docs/extend.md: Request in, Response out."""
        ask(shop, "/shop/order", {"title": "quick"}, token)

        assert "title" in ask(shop, "/fast")[2][0]

    def test_room_is_full_by_its_hook(self, shop, token):
        """Of docs/extend.md: a bed is taken with the stay, and given back."""
        sql = "insert into room (id, name, free) values (7, 'blue', 1)"
        asyncio.run(execute(urls(str(shop[1] / ".atom"))["config_postgres_url"], sql))
        path = "/my/object-create?table=stay"
        taken = ask(shop, path, {"room_id": 7}, token)
        full = ask(shop, path, {"room_id": 7}, token)

        assert (200, 409) == (taken[0], full[0])
        assert "The room is full." == full[2]["message"]
        stay = ask(shop, "/my/object-read?table=stay", None, token)[2]["message"]
        assert ["open"] == [each["state"] for each in stay]
        mine = f"/my/object-delete-any?table=stay&id==,{taken[2]['message']}"
        assert 200 == ask(shop, mine, None, token, "DELETE")[0]
        assert 200 == ask(shop, path, {"room_id": 7}, token)[0]

    def test_free_rooms_are_answered_by_a_function(self, shop, token):
        """Of docs/extend.md: a value, the caller, and one that is wrong."""
        sql = "insert into room (id, name, free) values (8, 'green', 3)"
        asyncio.run(execute(urls(str(shop[1] / ".atom"))["config_postgres_url"], sql))
        found = ask(shop, "/public/free-rooms?beds=3")[2]["message"]
        wrong = ask(shop, "/public/free-rooms?beds=x")

        assert [{"id": 8, "name": "green", "free": 3}] == found
        assert 400 == wrong[0] and "'beds' takes" in wrong[2]["message"]
        made = ask(shop, "/my/object-create?table=stay", {"room_id": 8}, token)
        stay = {"stay": made[2]["message"]}
        assert 401 == ask(shop, "/my/check-out", stay)[0]
        assert [stay] == ask(shop, "/my/check-out", stay, token)[2]["message"]
        assert [] == ask(shop, "/my/check-out", stay, token)[2]["message"]

    def test_socket_echoes_to_who_is_known(self, shop, token):
        """Of docs/extend.md, with the token in the URL as from a browser."""

        async def echo():
            url = f"{shop[0].url.replace('http', 'ws')}/note/echo?token={token}"
            async with websockets.connect(url) as socket:
                await socket.send("hello")
                return await socket.recv()

        assert asyncio.run(echo()).endswith(": hello")

    def test_invoice_is_served_as_declared(self, shop, token):
        """The table of docs/schema.md, with its constraint."""
        path = "/my/object-create?table=invoice"
        body = {"title": "tea", "amount": 12.5}

        assert 200 == ask(shop, path, body, token)[0]
        assert 422 == ask(shop, path, {**body, "amount": -1}, token)[0]

    def test_ticket_is_served_as_declared(self, shop, token):
        """The long form of docs/schema.md: default, choice, reference, unique rule."""
        path = "/my/object-create?table=ticket"
        bodies = [{"user_id": 1}, {"user_id": 1, "state": "new"}]
        bodies += [{"user_id": 1, "state": "gone"}, {"user_id": 999_999}]

        assert [200, 409, 422, 409] == [ask(shop, path, b, token)[0] for b in bodies]


def served_paths(shop):
    return ask(shop, "/openapi.json")[2]["paths"]


def test_what_is_said_to_be_missing_is_missing(shop):
    """A route that came is taken out of the readme's list."""
    told = re.findall(r"`(/[\w/-]+)`", MISSING.search(read("readme.md"))[1])

    assert [] == [path for path in told if path in served_paths(shop)]


def test_every_shipped_route_is_in_curl_txt(shop):
    """As a line that is run, or one that is skipped and says so by its `0`."""
    lines = [" ".join(line.words) for line in parse(read("curl.txt"))]
    asked = {
        (method(line), found[1])
        for line in lines
        if (found := re.search(r"\$baseurl(/[^?\"' ]*)", line))
    }
    ours = {
        (verb.upper(), path)
        for path, verbs in served_paths(shop).items()
        for verb in verbs
        if path not in SHOWN
        and not re.search("/rows/(?!test$)", path)  # one for each table
    }
    lacking = {
        (verb, path)
        for verb, path in ours
        if not any(
            verb == other and re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), there)
            for other, there in asked
        )
    }

    assert set() == lacking


def method(line):
    found = re.search(r"-X (\w+)", line)
    if found:
        return found[1]
    return "POST" if " -d " in line or " -F " in line else "GET"
