"""Mail in development: logged and kept, templates built and shown."""

import email
import subprocess
import sys
import time
from email.policy import default
from types import SimpleNamespace

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.test_mail import ROUTER, VALUES
from tests.served import environment, serve

SOURCE = """<mjml><mj-head><mj-title>{{ name }} waits</mj-title></mj-head><mj-body>
<mj-include path="_top.mjml" />
<mj-section><mj-column><mj-text>Hello {{ name }}.</mj-text></mj-column></mj-section>
</mj-body></mjml>
"""


def command(code, config, *words):
    """Run a command of the project."""
    return subprocess.run(
        [sys.executable, "main.py", *words],
        cwd=code,
        env=environment(config),
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server as a newcomer has it, with a template built before it started."""
    code = copied(tmp_path_factory.mktemp("mail"), router_mail=ROUTER)
    (code / "email").mkdir()
    (code / "email" / "waits.mjml").write_text(SOURCE)
    built = command(code, {}, "email", "build")
    assert "email/waits.html built.\n" == built.stdout, built.stderr
    (code / "email" / "late.mjml").write_text(SOURCE)
    with serve({"config_atom_folder": ".atom"}, code=code) as served:
        api = opened(
            SimpleNamespace(
                url=served.url,
                config={**served.config, "config_atom_folder": str(code / ".atom")},
                log=served.log,
                process=served.process,
            )
        )
        yield SimpleNamespace(api=api, code=code, config=served.config)
        api.http.close()


def test_a_mail_is_logged_and_kept(shop):
    """With the link as it is; the file is its owner's."""
    link = "https://shop.example/verify?token=abc123"
    body = {"template": "verify_email", "to": "ada@x.com"}
    body["values"] = {**VALUES, "link": link}
    shop.api.message("POST", "/send", json=body)
    deadline = time.monotonic() + 30
    while f"Confirm: {link}" not in shop.api.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (path,) = (shop.code / ".atom" / "mail").glob("*.eml")
    mail = email.message_from_bytes(path.read_bytes(), policy=default)

    assert ("ada@x.com", "Confirm your e-mail address for atom") == (
        mail["to"],
        mail["subject"],
    )
    assert link in mail.get_body(("plain",)).get_content()
    assert 0o600 == path.stat().st_mode & 0o777


def test_the_page_shows_templates_and_runs_nothing(shop):
    """With sample values; the text as well."""
    index = shop.api.call("GET", "/email-preview")
    assert 'href="email-preview/verify_email"' in index.text
    assert 'href="email-preview/waits"' in index.text
    html = shop.api.call("GET", "/email-preview/verify_email")
    assert "Hello Ada," in html.text
    assert "sandbox" in html.headers["content-security-policy"]
    text = shop.api.call("GET", "/email-preview/waits?part=text")
    assert text.text.startswith("Subject: [name] waits\n\natom\n\nHello [name].")
    lost = shop.api.call("GET", "/email-preview/waits2")
    assert (404, "page.missing") == (lost.status_code, lost.json()["code"])
    assert "email-preview" not in shop.api.call("GET", "/openapi.json").text


def test_what_was_not_built_is_a_remark(shop):
    """At the start, and with `--check`."""
    assert "email/late.mjml: the HTML is not built of it" in shop.api.log.read_text()
    assert "email/waits.mjml" not in shop.api.log.read_text()
    checked = command(shop.code, shop.config, "email", "build", "--check")

    assert (1, "email/late.html is stale.\n") == (checked.returncode, checked.stdout)


def test_preview_reads_as_the_mail_will(shop):
    """On the terminal."""
    found = command(shop.code, shop.config, "email", "preview", "code")

    assert 0 == found.returncode, found.stderr
    assert found.stdout.startswith("Subject: Your code for atom\n\natom\n\nHello Ada,")
    assert "for 10 minutes" in found.stdout
