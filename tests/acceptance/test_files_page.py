"""docs/files.md: its commands and its router, on a server that has S3."""

import json
import re
import subprocess
import threading

import httpx2
import pytest

from tests import machine
from tests.acceptance.conftest import serving
from tests.acceptance.test_files import DIRECT, PNG
from tests.served import ROOT
from tests.service.aws import keys

TEXT = (ROOT / "docs" / "files.md").read_text()
COMMANDS = re.findall(r"```sh\n# (?:root|user)\n(.*?)```", TEXT, re.DOTALL)
ROUTER = re.search(r"```python\n# router_file.py\n(.*?)```", TEXT, re.DOTALL)[1]


@pytest.fixture(scope="module")
def api(tmp_path_factory, aws_url):
    """A server as the page begins."""
    config = {**keys(aws_url), "config_s3_bucket_list": "atom-sample"}
    folder = tmp_path_factory.mktemp("page")
    with serving(folder, config=config, router_file=ROUTER) as running:
        yield running


def test_the_page_does_what_it_promises(api, tmp_path):
    """Bucket, upload, form, deletion, and a route of one's own."""
    machine.need("curl")
    (tmp_path / "photo.png").write_bytes(PNG)
    (tmp_path / "list.csv").write_bytes(b"a,b\n1,2\n")
    ada = api.person()
    env = {"URL": api.url, "ROOT": api.config["config_key_root"], "TOKEN": ada.token}

    def run(command, **more):
        script = command.replace("curl ", "curl -sS --fail-with-body ")
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=tmp_path,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **env, **more},
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return json.loads(done.stdout)

    made, upload, form, delete = COMMANDS
    for each in re.split(r"(?m)^(?=curl)", made):
        if each:
            assert "done" == run(each)["message"]
    files = run(upload)["message"]
    assert PNG == httpx2.get(files["photo.png"]).content  # anyone may read it
    posted = run(form)["message"]
    film = b"\0\0\0\x18ftypisom"
    sent = httpx2.post(posted["url"], data=posted["fields"], files={"file": film})
    assert 204 == sent.status_code
    listed = api.message("GET", "/my/file-list", ada)
    assert 3 == len(listed) and f"user_{ada.id}/film.mp4" in listed
    answer = run(delete, FILE=files["photo.png"])
    assert ("done", 1) == (answer["message"], answer["count"])
    assert 404 == httpx2.get(files["photo.png"]).status_code


def test_upload_is_not_held_in_memory(api):
    """The server grows by less than the half of what is sent."""
    process, ada = machine.process(api.process.pid), api.person()
    small = {"file": ("a.txt", b"a")}
    api.call("POST", DIRECT, ada, data={"bucket": "atom-sample"}, files=small)
    before, ended, seen = process.memory_info().rss, threading.Event(), [0]

    def watch():
        while not ended.wait(0.02):
            seen.append(process.memory_info().rss - before)

    watching = threading.Thread(target=watch)
    watching.start()
    content = b"a" * 9_000_000
    parts = [("file", (f"{number}.txt", content)) for number in range(5)]
    try:
        form = {"bucket": "atom-sample"}
        answer = api.call("POST", DIRECT, ada, data=form, files=parts)
    finally:
        ended.set()
        watching.join()

    assert 200 == answer.status_code, answer.text
    assert max(seen) < 5 * len(content) / 2
