"""Passkeys by a real browser and its authenticator, as docs/accounts.md has them."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.acceptance.authenticator import first_step, profile, second_step
from tests.acceptance.browser import browser
from tests.acceptance.mailing import mailing

CREATE = """
navigator.credentials.create({publicKey:
  PublicKeyCredential.parseCreationOptionsFromJSON(%s)}).then(made => made.toJSON())
"""
GET = """
navigator.credentials.get({publicKey:
  PublicKeyCredential.parseRequestOptionsFromJSON(%s)}).then(made => made.toJSON())
"""
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
}


class Blank(BaseHTTPRequestHandler):
    """A page of the project's own site, with nothing on it."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>shop</title>")

    def log_message(self, *_):
        """Print nothing."""


@contextmanager
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Blank)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def origin():
    with site() as url:
        yield url


@pytest.fixture(scope="module")
def shop(tmp_path_factory, origin):
    config = {"config_mfa": "optional", "config_passkey_origin_list": origin}
    with mailing(tmp_path_factory.mktemp("browser"), **config) as made:
        yield made


@pytest.fixture
def page(tmp_path, origin):
    with browser(tmp_path) as opened:
        opened.open(f"{origin}/")
        opened.call("WebAuthn.enable")
        opened.call("WebAuthn.addVirtualAuthenticator", options=AUTHENTICATOR)
        yield opened


def asked(page, script, options):
    """Have the browser ask its authenticator. Return what it answers, as JSON."""
    found = page.call(
        "Runtime.evaluate",
        expression=script % json.dumps(options),
        returnByValue=True,
        awaitPromise=True,
        userGesture=True,
    )
    assert "exceptionDetails" not in found, found
    return found["result"]["value"]


def test_made_and_used_in_a_browser(shop, page):
    """Alone, and as the second factor."""
    ada = shop.user()
    options = shop.done("/my/passkey-create", ada, password=ada.password)["message"]
    made = asked(page, CREATE, options)
    shop.done("/my/passkey-confirm", ada, credential=made, name="this browser")

    options = shop.done("/auth/passkey-begin")["message"]
    pair = shop.done("/auth/login-passkey", credential=asked(page, GET, options))
    assert ada.id == profile(shop, pair["message"]).json()["message"]["id"]

    token = first_step(shop, ada)["mfa_token"]
    options = shop.done("/auth/passkey-begin", mfa_token=token)["message"]
    answer = second_step(shop, token, passkey=asked(page, GET, options))
    assert 200 == answer.status_code, answer.text
