"""`static/follow.html`: in a real browser, and its script alone, run by Node."""

import json
import re
import shutil
import subprocess

import httpx2

from tests import machine
from tests.acceptance.browser import browser
from tests.acceptance.conftest import opened
from tests.acceptance.operations import eventually
from tests.acceptance.people import newcomer
from tests.served import ROOT, free_port, serve

CONFIG = {
    "config_stream_table_list": "test",
    "config_table_allowed_public_read_list": "test",
    "config_table_allowed_public_create_list": "test",
}
# As much of a page as the script uses.
PAGE = """
class Part {
  parts = []; textContent = ""; on = {};
  appendChild(part) { this.parts.push(part); return part; }
  replaceChildren(...parts) { this.parts = parts; }
  addEventListener(name, call) { this.on[name] = call; }
}
const ids = {};
globalThis.document = {
  getElementById: (id) => (ids[id] ??= new Part()),
  createElement: (tag) => new Part(),
};
globalThis.FormData = class extends Map {
  constructor() { super(Object.entries(GIVEN)); }
};
const inner = globalThis.fetch;
globalThis.fetch = (path, options) => inner(ORIGIN + path, options);
"""
RUN = """
document.getElementById("form").on.submit({ preventDefault() {} });
setInterval(() => {
  const rows = $("body").parts.map((row) => row.parts.map((cell) => cell.textContent));
  console.log(JSON.stringify({ state: $("state").textContent, rows }));
}, 50);
"""


def test_a_page_follows_a_table(tmp_path):
    """Rows that are there, that come, that change and that go."""
    machine.need("node")
    page = (ROOT / "static" / "follow.html").read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    with serve(CONFIG) as served:
        given = {"table": "test", "query": "column=id,title", "token": ""}
        head = f"const GIVEN = {json.dumps(given)}, ORIGIN = {json.dumps(served.url)};"
        path = tmp_path / "page.mjs"
        path.write_text(head + PAGE + script + RUN)
        create = f"{served.url}/public/object-create?table=test"
        bearer = {"Authorization": f"Bearer {served.config['config_key_root']}"}

        def send(mode, text):
            form = {"mode": mode, "table": "test"}
            files = {"file": ("x.csv", text)}
            url = f"{served.url}/root/postgres-import"
            answer = httpx2.post(url, data=form, files=files, headers=bearer)
            assert 200 == answer.status_code, answer.text

        first = httpx2.post(create, json={"title": "first"}).json()["message"]
        log = tmp_path / "log"
        with log.open("wb") as out:
            node = subprocess.Popen(
                [shutil.which("node"), path], stdout=out, stderr=out
            )
        try:

            def shows(*titles):
                def true():
                    lines = log.read_text().splitlines()[:-1]
                    seen = json.loads(lines[-1])["rows"] if lines else []
                    return sorted(row[1] for row in seen) == sorted(titles)

                eventually(true, 20)

            shows("first")
            httpx2.post(create, json={"title": "second"})
            shows("first", "second")
            send("update", f"id,title\n{first},changed\n")
            shows("changed", "second")
            send("delete", f"id\n{first}\n")
            shows("second")
        finally:
            node.kill()
            node.wait()


def test_a_browser_follows_the_rows_of_its_user(tmp_path):
    """Rows come, change and go; after a restart they go on, and are not read again."""
    keys = {"config_key_root": "r" * 32, "config_key_jwt": "j" * 64}
    folder, port = tmp_path / "atom", free_port()
    with browser(tmp_path) as page:
        with serve(CONFIG | keys, folder=folder, port=port) as served:
            api = opened(served)
            person = newcomer(api)
            first = create(api, person, "first")
            page.open(f"{served.url}/public/page/follow")
            fill(page, query="column=id,title", token=person.token)
            eventually(lambda: titles(page) == ["first"])
            create(api, newcomer(api), "of another")
            second = create(api, person, "<b>second</b>")
            eventually(lambda: titles(page) == ["<b>second</b>", "first"])
            write(api, person, "PATCH", f"/my/rows/test/{first}", json={"title": "1"})
            eventually(lambda: titles(page) == ["<b>second</b>", "1"])
            write(api, person, "DELETE", f"/my/rows/test/{second}")
            eventually(lambda: titles(page) == ["1"])
            api.http.close()

        eventually(lambda: "connecting again" in state(page))
        with serve(CONFIG | keys, folder=folder, port=port) as served:
            api = opened(served)
            create(api, person, "third")
            eventually(lambda: titles(page) == ["third", "1"])
            api.http.close()
        follows = page.requests("/my/rows/test/stream?")
        reads = page.requests("/my/rows/test?")

    assert 1 == len(reads)
    assert "Last-Event-ID" not in follows[0]
    assert follows[-1]["Last-Event-ID"].isdecimal()


def create(api, person, title):
    """Create a row over HTTP. Return its id."""
    return write(api, person, "POST", "/my/rows/test", json={"title": title})


def write(api, person, method, path, **options):
    """Write as a user. Return the message of the answer."""
    options["headers"] = person.headers
    answer = api.http.request(method, api.url + path, **options)
    assert 200 == answer.status_code, answer.text
    return answer.json()["message"]


def fill(page, **values):
    """Fill in the form and send it, as a user does."""
    for name, value in values.items():
        page.run(f"document.forms[0].elements.{name}.value = {json.dumps(value)}")
    page.run("document.querySelector('button').click()")


def titles(page):
    """Return the titles that the table shows, from its top."""
    cells = "[...document.querySelectorAll('#body tr')].map((row) => row.cells[1])"
    return page.run(f"{cells}.map((cell) => cell.textContent)")


def state(page):
    """Return what the page shows of its connection."""
    return page.run("document.getElementById('state').textContent")
