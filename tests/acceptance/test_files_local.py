"""Files in a folder: no S3, the same routes, and links that open them."""

import hashlib
import json
import os
import re
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from atom.file.link import Signer
from tests import machine
from tests.acceptance.conftest import serving
from tests.served import ROOT

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
DIRECT, PRESIGNED = (
    "/private/file-upload-s3-direct",
    "/private/file-upload-s3-presigned",
)
LINK, DELETE, OPEN = "/private/file-link", "/private/file-delete", "/public/file"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A server without S3 that takes files of 64 KiB, 1 MiB for each user."""
    config = {
        "config_file_folder": str(tmp_path_factory.mktemp("kept")),
        "config_file_quota_mb": "1",
        "config_file_link_sec": "60",
        "config_s3_upload_max_kb": "512",
    }
    with serving(tmp_path_factory.mktemp("local"), config=config) as running:
        yield running


@pytest.fixture(scope="module")
def ada(api):
    return api.person()


def sent(api, who, *files, key="", bucket="local"):
    parts = [("bucket", (None, bucket)), ("key", (None, key))]
    parts += [("file", (name, content)) for name, content in files]
    return api.call("POST", DIRECT, who, files=parts)


def url_of(api, who, name="a.png", content=PNG, **form):
    answer = sent(api, who, (name, content), **form)
    assert 200 == answer.status_code, answer.text
    return answer.json()["message"][name]


def signing(api):
    """Return what signs the links of a server."""
    return Signer(api.config["config_key_jwt"])


def refusal(answer):
    return answer.status_code, answer.json()["code"]


def kept(api):
    """Return the files in the folder."""
    folder = Path(api.config["config_file_folder"])
    return [each for each in folder.rglob("*") if each.is_file()]


class TestUpload:
    """The routes of S3, without it."""

    def test_file_is_opened_by_its_link_and_by_nothing_else(self, api, ada):
        """No token is needed; the path has nothing of the user's."""
        url = url_of(api, ada)
        answer = api.http.get(url)

        assert (200, PNG) == (answer.status_code, answer.content)
        assert url.startswith(f"{api.url}{OPEN}?token=")
        named = [str(each) for each in kept(api)]
        assert named and not any("a.png" in each for each in named)
        modes = {stat.S_IMODE(each.stat().st_mode) for each in kept(api)}
        assert {0o600} == modes

    def test_answer_runs_nothing_in_a_browser(self, api, ada):
        """Type by the ending, shown only where it is an image or a PDF."""
        shown = api.http.get(url_of(api, ada)).headers
        page = b"a,b\n<script>1</script>\n"
        saved = api.http.get(url_of(api, ada, "t\u00e4.csv", page)).headers

        assert "image/png" == shown["content-type"]
        assert shown["content-disposition"].startswith("inline;")
        assert saved["content-type"].startswith("text/csv")
        assert saved["content-disposition"].startswith("attachment;")
        for headers in (shown, saved):
            assert "nosniff" == headers["x-content-type-options"]
            assert headers["content-security-policy"].startswith("sandbox")
            assert headers["cache-control"].startswith("private, max-age=")

    def test_parts_and_repeats_are_answered_as_http_has_it(self, api, ada):
        """HEAD, ranges, conditions."""
        url = url_of(api, ada)

        def ask(**headers):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return api.http.get(url, headers=named)

        head = api.http.head(url)
        etag = head.headers["etag"]
        assert (200, b"", str(len(PNG))) == (
            head.status_code,
            head.content,
            head.headers["content-length"],
        )
        part = ask(range="bytes=2-5")
        assert (206, PNG[2:6]) == (part.status_code, part.content)
        assert f"bytes 2-5/{len(PNG)}" == part.headers["content-range"]
        assert PNG[-7:] == ask(range="bytes=-7").content
        assert PNG[5000:] == ask(range="bytes=5000-99999999999999").content
        assert 416 == ask(range=f"bytes={len(PNG)}-").status_code
        for whole in ("bytes=0-1,3-4", "bytes=5-2", "lines=1-2", "bytes=-"):
            assert (200, PNG) == (
                ask(range=whole).status_code,
                ask(range=whole).content,
            )
        assert 304 == ask(if_none_match=etag).status_code
        assert 304 == ask(if_none_match=f'"x", W/{etag}').status_code
        assert 200 == ask(if_none_match='"x"').status_code
        assert 206 == ask(range="bytes=0-0", if_range=etag).status_code
        assert 200 == ask(range="bytes=0-0", if_range='"x"').status_code

    def test_form_stores_one_file_once(self, api, ada):
        """The key is the signed one; a second file finds it taken."""
        body = {"bucket": "local", "key": "trip/film.png"}
        form = api.message("POST", PRESIGNED, ada, json=body)
        first = api.http.post(form["url"], data=form["fields"], files={"file": PNG})
        again = api.http.post(form["url"], data=form["fields"], files={"file": PNG})

        # The name of the part counts for nothing.
        assert 200 == first.status_code, first.text
        assert (409, "file.exists") == refusal(again)
        assert PNG == api.http.get(form["url_final"]).content
        text = {"file": ("a.txt", b"text")}
        other = {"bucket": "local", "key": "other.png"}
        form = api.message("POST", PRESIGNED, ada, json=other)
        lied = api.http.post(form["url"], data=form["fields"], files=text)
        assert (400, "file.wrong_content") == refusal(lied)

    def test_key_that_is_taken_is_not_overwritten(self, api, ada):
        """Twelve at once: exactly one is stored."""
        answers = []

        def run(number):
            content = PNG + bytes([number])
            answers.append(sent(api, ada, ("a.png", content), key="one.png"))

        threads = [threading.Thread(target=run, args=(n,)) for n in range(12)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

        codes = sorted(answer.status_code for answer in answers)
        assert [200] + [409] * 11 == codes
        won = next(a for a in answers if 200 == a.status_code)
        content = api.http.get(won.json()["message"]["a.png"]).content
        assert PNG == content[:-1]

    def test_deleted_file_is_gone_and_its_key_is_free(self, api, ada):
        """By its own user alone, by a link that may have ended."""
        url = url_of(api, ada, key="gone.png")
        bob = api.person()
        assert (403, "file.key_not_allowed") == refusal(
            api.call("POST", DELETE, bob, json={"url": url})
        )
        before = len(kept(api))
        assert "done" == api.message("POST", DELETE, ada, json={"url": url})

        assert (404, "file.missing") == refusal(api.http.get(url))
        assert before - 1 == len(kept(api))
        assert (404, "file.missing") == refusal(
            api.call("POST", DELETE, ada, json={"url": url})
        )
        assert PNG == api.http.get(url_of(api, ada, key="gone.png")).content

    def test_quota_is_of_one_user_and_holds_for_uploads_at_once(self, api):
        """Six of 300 KiB in 1 MiB: three fit; another user has their own."""
        eve, content = api.person(), PNG + b"x" * 300 * 1024
        answers = []

        def run():
            answers.append(sent(api, eve, ("a.png", content)))

        threads = [threading.Thread(target=run) for _ in range(6)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

        codes = sorted(answer.status_code for answer in answers)
        assert [200] * 3 + [413] * 3 == codes
        full = next(a for a in answers if 413 == a.status_code)
        assert "file.quota_exceeded" == full.json()["code"]
        assert url_of(api, api.person(), content=content)
        won = next(a for a in answers if 200 == a.status_code).json()["message"]
        api.message("POST", DELETE, eve, json={"url": won["a.png"]})
        assert url_of(api, eve, content=content)

    @pytest.mark.parametrize(
        ("name", "content", "code"),
        [
            ("a.svg", b"<svg onload=alert(1)>", "extension_not_allowed"),
            ("a.png.html", b"<p>", "extension_not_allowed"),
            ("a.png", b"<svg>", "wrong_content"),
            ("a.pdf", b"\n%PDF-1.7", "wrong_content"),
            ("a.txt", b"", "wrong_content"),
            ("a.png", b"", "wrong_content"),
        ],
    )
    def test_file_that_is_not_allowed_is_refused(self, api, ada, name, content, code):
        """And nothing of it is left."""
        before = len(kept(api))

        assert (400, f"file.{code}") == refusal(sent(api, ada, (name, content)))
        assert before == len(kept(api))

    def test_file_that_is_too_large_is_refused_while_it_arrives(self, api, ada):
        """The rest of a long body is not waited for."""
        before = len(kept(api))
        answer = sent(api, ada, ("a.png", PNG + b"x" * 600 * 1024))

        assert (413, "file.too_large") == refusal(answer)
        assert before == len(kept(api))

    def test_file_that_no_record_knows_is_left_alone(self, api, ada):
        """As after the database was restored: it is neither replaced nor deleted."""
        url = url_of(api, ada, key="lost.png")
        key = f"user_{ada.id}/lost.png"
        api.sql("delete from atom.file where key = $1", key)
        again = sent(api, ada, ("a.png", PNG + b"2"), key="lost.png")

        assert (409, "file.exists") == refusal(again)
        assert PNG == api.http.get(url).content
        assert [] == api.sql("select 1 from atom.file where key = $1", key)

    def test_folder_that_takes_nothing_is_503_and_leaves_no_record(self, api, ada):
        """As a disk that is full: the next upload is whole again."""
        new = Path(api.config["config_file_folder"]) / "new"
        new.rmdir()
        new.write_text("in the way")
        try:
            answer = sent(api, ada, ("a.png", PNG), key="full.png")
        finally:
            new.unlink()

        assert (503, "client.silent") == refusal(answer)
        assert PNG == api.http.get(url_of(api, ada, key="full.png")).content
        assert [] == list(new.iterdir())

    def test_names_are_only_shown(self, api, ada):
        """Very long, with folders, with what no one sees: an ordinary file."""
        for name in ("x" * 3000 + ".png", "../../etc/a.png", "a\u202egpj.exe.png"):
            headers = api.http.get(url_of(api, ada, name)).headers
            assert "/" not in headers["content-disposition"]
            assert len(headers["content-disposition"]) < 700

    def test_bucket_that_is_not_there_is_refused(self, api, ada):
        """Without a list there is one, local."""
        answer = sent(api, ada, ("a.png", PNG), bucket="../local")

        assert (403, "file.bucket_not_allowed") == refusal(answer)


class TestLink:
    """A link opens one file, for a time."""

    def test_link_that_was_changed_opens_nothing(self, api, ada):
        """Every letter counts, the purpose too."""
        url = url_of(api, ada)
        body = {"bucket": "local", "key": "w.png"}
        form = api.message("POST", PRESIGNED, ada, json=body)
        words = [url[:-1] + ("A" if url[-1] != "A" else "B"), url + "=", f"{url}."]
        words.append(url.replace("token=", "token=x"))
        words += [
            f"{api.url}{OPEN}?token={word}" for word in ("", ".", "a.b", "\u00e4")
        ]
        words.append(form["url"].replace("file-receive", "file"))

        for each in words:
            answer = api.http.get(each)
            assert (403, "file.link_invalid") == refusal(answer), each
        used = url.replace("/file?", "/file-receive?")
        assert (403, "file.link_invalid") == refusal(
            api.http.post(used, files={"file": PNG})
        )

    def test_link_ends_and_a_new_one_opens_the_file(self, api, ada, tmp_path_factory):
        """By the user it belongs to."""
        url = url_of(api, ada)
        signer, (begin, _, word) = signing(api), url.partition("token=")
        about = {**signer.verify("read", word)}
        assert about.pop("until") <= time.time() + 60
        ended, _ = signer.sign("read", 0, **about)
        asked = {"url": f"{begin}token={ended}"}

        assert (403, "file.link_invalid") == refusal(api.http.get(asked["url"]))
        new = api.message("POST", LINK, ada, json=asked)
        assert PNG == api.http.get(new["url"]).content
        assert time.time() < _seconds(new["expires_at"]) <= time.time() + 61
        assert (403, "file.key_not_allowed") == refusal(
            api.call("POST", LINK, api.person(), json=asked)
        )
        assert 401 == api.call("POST", LINK, json=asked).status_code

    def test_user_who_is_refused_stores_nothing_by_an_old_form(self, api):
        """The form was made before."""
        eve = api.person()
        body = {"bucket": "local", "key": "w.png"}
        form = api.message("POST", PRESIGNED, eve, json=body)
        admin = api.person(api_access="8")
        change = {"id": eve.id, "is_active": 0}
        api.message("PUT", "/admin/user-rights-update", admin, json=change)
        answer = api.http.post(form["url"], files={"file": PNG})

        assert (403, "active.inactive") == refusal(answer)

    def test_symbolic_link_in_the_folder_is_not_followed(self, api, ada, tmp_path):
        """Not by the last part, and not by a folder."""
        url = url_of(api, ada, key="linked.png")
        name = hashlib.sha256(f"local\0user_{ada.id}/linked.png".encode()).hexdigest()
        file = next(each for each in kept(api) if each.name == name)
        secret = tmp_path / "secret"
        secret.write_bytes(b"secret")
        file.unlink()
        file.symlink_to(secret)
        assert (404, "file.missing") == refusal(api.http.get(url))
        file.unlink()
        outside = tmp_path / "folder"
        os.rename(file.parent, outside)
        (outside / name).write_bytes(b"secret")
        file.parent.symlink_to(outside)
        assert (404, "file.missing") == refusal(api.http.get(url))


def _seconds(text):
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_the_page_does_what_it_promises(api, tmp_path):
    """docs/files.md: a file, a new link, and its end."""
    machine.need("curl")
    text = (ROOT / "docs" / "files.md").read_text()
    upload, more = re.findall(r"```sh\n# local\n(.*?)```", text, re.DOTALL)
    link, delete = filter(None, re.split(r"(?m)^(?=curl)", more))
    (tmp_path / "photo.png").write_bytes(PNG)
    env = {"URL": api.url, "TOKEN": api.person().token}

    def run(command, **also):
        script = command.replace("curl ", "curl -sS --fail-with-body ")
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=tmp_path,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **env, **also},
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return json.loads(done.stdout)["message"]

    url = run(upload)["photo.png"]
    assert PNG == api.http.get(run(link, FILE=url)["url"]).content
    assert "done" == run(delete, FILE=url)
    assert 404 == api.http.get(url).status_code
