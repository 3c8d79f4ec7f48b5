"""One local HTTP server that stands in for services which speak HTTP.

OpenAI, PostHog, Sentry, Fast2SMS, Resend, Google's sign-in, and receivers of webhooks:
each under a path of its own, each refusing what the real one would. A test has a space
of its own in it: what was received there, and answers that are asked for in advance.

    web.url + "/openai/v1"        base URL of the SDK
    web.url + "/posthog"          host
    web.dsn                       of Sentry
    web.url + "/fast2sms/dev/bulkV2"
    web.url + "/resend"           base URL: POST /emails
    web.url + "/google"           /oauth2/v1/certs, /oauth2/v3/certs, /id-token?aud=…
    web.url + "/hook/anything"    a receiver; signatures are checked after `sign_with`
"""

import http.client
import json
import os
import secrets
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.served import ROOT, free_port
from tests.service.server import Server


@contextmanager
def web(folder: Path) -> Iterator[Server]:
    """Build the server."""
    port = free_port()
    yield Server(
        what="HTTP services (OpenAI, PostHog, Sentry, SMS, mail, Google, webhooks)",
        url=f"http://127.0.0.1:{port}",
        command=[sys.executable, "-m", "tests.service.web_server", port],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        folder=folder,
        port=port,
        state="stood in",
    )


class Space:
    """The part of the server that is one test's."""

    def __init__(self, base: str) -> None:
        self._host = urllib.parse.urlsplit(base).netloc
        self.name = secrets.token_hex(6)
        self.url = f"{base}/{self.name}"
        self.dsn = f"http://public@{self._host}/{self.name}/sentry/42"

    def requests(self, vendor: str = "") -> list[dict[str, Any]]:
        """Return the requests received, in order, of one service or of all.

        Each has vendor, method, path, query, headers (lower case), body (text), json
        (None when the body is not JSON; the items of an envelope for Sentry), status,
        and refused (why the real service would not have taken it, or None).
        """
        return self._ask("GET", f"/_requests?vendor={vendor}")

    def script(self, vendor: str, *answers: dict[str, Any]) -> None:
        """Have the next requests to a service answered so, one answer each.

        An answer has status, body (JSON), headers, delay (seconds before it), and cut
        (close the connection instead).
        """
        self._ask("POST", "/_script", {"vendor": vendor, "answers": answers})

    def sign_with(self, *hook_secrets: str) -> None:
        """Have webhooks refused unless one of these secrets has signed them."""
        self._ask("POST", "/_secrets", {"secrets": hook_secrets})

    def id_token(self, **claims: str) -> str:
        """Return an ID token of Google: aud, iss, sub, email; exp in seconds."""
        found = self._ask("GET", "/google/id-token?" + urllib.parse.urlencode(claims))
        return found["id_token"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection(self._host, timeout=30)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, f"/{self.name}{path}", sent)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            return json.loads(text)
        finally:
            connection.close()
