"""`static/follow.html`: its script, run by Node against a server, with a small page."""

import json
import re
import shutil
import subprocess

import httpx2

from tests import machine
from tests.acceptance.operations import eventually
from tests.served import ROOT, serve

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
