"""Mail: what a route sends arrives once, whatever the server on the other side does."""

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.served import environment, serve
from tests.service.post_office import PASSWORD, USER, post_office

ROUTER = """
from fastapi import APIRouter, Request
from function import function_email, function_transaction

router = APIRouter()


@router.post("/send")
async def send(request: Request):
    body = await request.json()
    how, ends = body.pop("how", "app"), body.pop("ends", "commit")
    state = request.app.state
    if how == "pool":
        async with state.client_postgres_asyncpg_pool.acquire() as raw:
            async with raw.transaction():
                return {"status": 1, "message": await function_email(raw, **body)}
    try:
        async with function_transaction(request.app):
            made = await function_email(request, **body)
            if ends == "rollback":
                raise RuntimeError("undone")
    except RuntimeError:
        return {"status": 1, "message": "undone"}
    return {"status": 1, "message": made}
"""
CONFIG = {
    "config_smtp_host": "127.0.0.1",
    "config_smtp_user": USER,
    "config_smtp_password": PASSWORD,
    "config_smtp_tls": "0",
    "config_smtp_timeout_sec": "1.5",
    "config_email_from": "shop@example.com",
    "config_email_from_name": "Bücher & Söhne",
    "config_email_retry_sec": "0.1,0.1,0.1",
}
LINK = "https://shop.example/verify#token=planted-secret-7f3a"
VALUES = {"name": "Ada", "link": LINK, "hours": 24}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server with a mail server; a template of its own goes before Atom's."""
    code = copied(tmp_path_factory.mktemp("mail"), router_mail=ROUTER)
    (code / "email").mkdir()
    (code / "email" / "order.html").write_text(
        "<title>{{ plural(count, 'parcel') }} for {{ name }}</title>"
        "<p>{{ name }} has {{ plural(count, 'entry', 'entries') }}.</p>"
    )
    (code / "email" / "order.txt").write_text("{{ name }}: {{ count }} & more\n")
    with post_office() as office:
        values = {**CONFIG, "config_smtp_port": str(office.port)}
        with serve(values, code=code) as served:
            api = opened(served)
            found = SimpleNamespace(api=api, office=office, code=code, served=served)
            found.hung = sent(found, "hang@x.com")  # while all the others are sent
            yield found
            api.http.close()


def send(shop, to, template="verify_email", values=None, **more):
    body = {"template": template, "to": to, "values": values or VALUES, **more}
    return shop.api.call("POST", "/send", json=body)


def sent(shop, *given, **more):
    answer = send(shop, *given, **more)
    assert 200 == answer.status_code, answer.text
    return answer.json()["message"]


def row(shop, event_id):
    (found,) = shop.api.sql("select * from atom.outbox where event_id = $1", event_id)
    return found


def settled(shop, event_id, state, seconds=30):
    """Wait until a mail is in a state, and return its row."""
    deadline = time.monotonic() + seconds
    while (found := row(shop, event_id))["state"] != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def command(shop, *words):
    """Run a command of the project."""
    return subprocess.run(
        [sys.executable, "main.py", *words],
        cwd=shop.code,
        env=environment(shop.served.config),
        capture_output=True,
        text=True,
    )


class TestArrives:
    """What comes out at the other end."""

    def test_text_and_html_from_the_name_of_the_shop(self, shop):
        """Both parts, each readable; the headers of a mail that a machine wrote."""
        made = sent(shop, "Ada.One@Example.com")
        (mail,) = shop.office.wait("ada.one@example.com")

        assert "Confirm your e-mail address for atom" == mail["subject"]
        assert "Bücher & Söhne" == mail["from"].addresses[0].display_name
        assert "shop@example.com" == mail["from"].addresses[0].addr_spec
        assert "ada.one@example.com" == mail["to"]
        assert f"<{made}@example.com>" == mail["message-id"]
        assert "auto-generated" == mail["auto-submitted"]
        text = mail.get_body(("plain",)).get_content()
        html = mail.get_body(("html",)).get_content()
        assert "Hello Ada," in text and f"Confirm: {LINK}" in text
        assert "for 24 hours" in text
        assert "<" not in text
        assert f'href="{LINK}"' in html and html.startswith("<!doctype html>")
        assert [(USER, PASSWORD)] == list(set(shop.office.signed_on))

    def test_what_a_user_wrote_is_escaped(self, shop):
        """In the HTML; text and subject have no markup to escape."""
        values = {"name": '<b>Eve</b> & "co"', "count": 1}
        sent(shop, "escaped@x.com", "order", values)
        (mail,) = shop.office.wait("escaped@x.com")

        html = mail.get_body(("html",)).get_content()
        assert "&lt;b&gt;Eve&lt;/b&gt; &amp; &#34;co&#34; has 1 entry." in html
        assert '1 parcel for <b>Eve</b> & "co"' == mail["subject"]
        text = mail.get_body(("plain",)).get_content()
        assert '<b>Eve</b> & "co": 1 & more' == text.strip()

    def test_plurals_are_of_the_template(self, shop):
        """In the subject as well."""
        sent(shop, "plural@x.com", "order", {"name": "Zoë", "count": 2})
        (mail,) = shop.office.wait("plural@x.com")

        assert "2 parcels for Zoë" == mail["subject"]
        assert "2 entries" in mail.get_body(("html",)).get_content()

    def test_several_addresses_do_not_see_each_other(self, shop):
        """Each gets a mail of its own."""
        ids = sent(shop, ["one@x.com", "two@x.com"])

        assert 2 == len(set(ids))
        for address in ("one@x.com", "two@x.com"):
            (mail,) = shop.office.wait(address)
            assert address == mail["to"]
            assert mail["cc"] is None and mail["bcc"] is None

    def test_on_a_connection_of_one_s_own(self, shop):
        """As for an event: it is written by that connection."""
        sent(shop, "pool@x.com", how="pool")
        shop.office.wait("pool@x.com")

    def test_connections_are_used_again(self, shop):
        """Twenty mails do not sign on twenty times."""
        before = shop.office.connections
        sent(shop, [f"many{number}@x.com" for number in range(20)])
        for number in range(20):
            shop.office.wait(f"many{number}@x.com")

        assert shop.office.connections - before <= 8


class TestNeverArrives:
    """What must not be sent."""

    def test_nothing_of_a_transaction_that_is_undone(self, shop):
        """A mail after it in the same lane has come, and it has not."""
        sent(shop, "undone@x.com", ends="rollback")
        sent(shop, "after@x.com")
        shop.office.wait("after@x.com")

        assert [] == shop.office.read("undone@x.com")

    @pytest.mark.parametrize(
        "break_", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\0"]
    )
    def test_no_header_is_added_by_a_name(self, shop, break_):
        """A line that ends early in a subject is a blank."""
        address = f"inject{ord(break_[-1]):x}{len(break_)}@x.com"
        name = f"Ada{break_}Bcc: eve@evil.com{break_}{break_}words"
        sent(shop, address, "order", {"name": name, "count": 1})
        (mail,) = shop.office.wait(address)

        assert "1 parcel for Ada Bcc: eve@evil.com words" == mail["subject"]
        assert mail["bcc"] is None
        assert {"eve@evil.com"}.isdisjoint(shop.office.tried)

    @pytest.mark.parametrize(
        "address",
        [
            "eve",
            "a@b",
            "a@x.com\r\nBcc: b@x.com",
            "a@x.com, b@x.com",
            "a,b@x.com",
            "<a@x.com>",
            "Ada <a@x.com>",
            "a>@x.com",
            '"a b"@x.com',
            "a@x.com\0",
            "",
        ],
    )
    def test_what_is_not_one_address_is_refused(self, shop, address):
        """To the caller, at once."""
        answer = send(shop, address)

        assert 400 == answer.status_code
        assert "identity.unreadable" == answer.json()["code"]

    def test_an_unknown_template_or_value_is_a_fault_of_the_code(self, shop):
        """The log has the nearest, or the place; nothing is queued."""
        count = "select count(*) as n from atom.outbox"
        before = shop.api.sql(count)
        assert 500 == send(shop, "a@x.com", "verify_emial").status_code
        assert 500 == send(shop, "a@x.com", "../config").status_code
        assert 500 == send(shop, "a@x.com", "order", {"count": 1}).status_code

        assert before == shop.api.sql(count)
        log = shop.api.log.read_text()
        assert "no template email/verify_emial.html." in log
        assert "Did you mean 'verify_email'?" in log
        assert "email/order.html: 'name' is undefined" in log


class TestDifficultServer:
    """The request is answered, the mail waits, and what became of it can be seen."""

    def test_refused_for_ever_is_dead_at_once(self, shop):
        """With the words of the server; `email replay` sends it again."""
        made = sent(shop, "refused1@x.com")
        dead = settled(shop, made, "dead")

        assert 1 == dead["attempts"] == shop.office.tried["refused1@x.com"]
        assert "550 5.1.1 there is no such mailbox" in dead["error"]
        listed = command(shop, "email", "dead", "--json")
        assert 0 == listed.returncode, listed.stderr
        (line,) = [
            each
            for each in map(json.loads, listed.stdout.splitlines())
            if each["id"] == made
        ]
        assert ("refused1@x.com", "verify_email") == (line["to"], line["template"])
        assert LINK not in listed.stdout
        again = command(shop, "email", "replay", made)
        assert "1 to be sent again.\n" == again.stdout, again.stderr
        deadline = time.monotonic() + 30
        while shop.office.tried["refused1@x.com"] < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def test_greylisted_comes_later(self, shop):
        """At the third try, once."""
        made = sent(shop, "grey@x.com")
        shop.office.wait("grey@x.com")

        assert 3 == settled(shop, made, "done")["attempts"]
        assert 1 == len(shop.office.read("grey@x.com"))

    def test_a_server_that_hangs_holds_up_no_other_mail(self, shop):
        """All above have come. That one is tried again, and dead after the last try."""
        dead = settled(shop, shop.hung, "dead")
        assert 4 == dead["attempts"]
        assert "did not answer in time" in dead["error"]

    def test_a_server_that_is_away_costs_no_try(self, shop):
        """What waits is sent when it is back."""
        shop.office.close()
        try:
            made = sent(shop, "away@x.com")
            deadline = time.monotonic() + 30
            while "outbox: mail is away" not in shop.api.log.read_text():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert "pending" == row(shop, made)["state"]
        finally:
            shop.office.open()
        shop.office.wait("away@x.com")

        assert 1 == settled(shop, made, "done")["attempts"]


class TestSecret:
    """A token in a mail is in that mail alone."""

    def test_nothing_is_left_of_it(self, shop):
        """Not in the queue once it is sent, and in no log."""
        made = sent(shop, "secret@x.com")
        shop.office.wait("secret@x.com")
        done = settled(shop, made, "done")

        assert {"to": "secret@x.com"} == json.loads(done["payload"])
        text = "select count(*) as n from log_api l where l::text like $1"
        assert 0 == shop.api.sql(text, "%planted-secret%")[0]["n"]
        assert "planted-secret" not in shop.api.log.read_text()
        assert PASSWORD not in shop.api.log.read_text()

    def test_the_queue_is_read_by_no_route(self, shop):
        """Not by the operator's SQL either."""
        for words in ("select payload from atom.outbox", "select * from atom.outbox"):
            answer = shop.api.call(
                "POST", "/root/postgres-export", "root", json={"query": words}
            )
            assert 400 <= answer.status_code < 500, answer.text
        for table in ("outbox", "atom.outbox"):
            answer = shop.api.call("GET", f"/admin/object-read?table={table}", "root")
            assert 400 <= answer.status_code < 500


def test_doctor_signs_on(shop):
    """The row of the client is well."""
    found = shop.api.message("GET", "/root/doctor", "root")
    (smtp,) = [each for each in found if each["name"] == "client_smtp"]

    assert ("ok", True, True) == (smtp["state"], smtp["reachable"], smtp["permitted"])
