"""SMTP: aiosmtpd takes mails into a Maildir, with or without a sign-on.

`received(url, "ada@example.com")` returns what has come for an address.
"""

import importlib.util
import mailbox
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.served import ROOT, free_port
from tests.service.server import AbsentError, Server

USER, PASSWORD = "atom", "the right one"


@contextmanager
def smtp(folder: Path) -> Iterator[Server]:
    """Build a server; the path of its URL is the Maildir."""
    if importlib.util.find_spec("aiosmtpd") is None:
        raise AbsentError("aiosmtpd is not installed: requirements-test.lock has it")
    port, mails = free_port(), folder / "mails"
    words = [ROOT / "tests/service/smtp_server.py", port, mails, USER, PASSWORD]
    yield Server(
        what="SMTP (aiosmtpd)",
        url=f"smtp://127.0.0.1:{port}{mails}",
        command=[sys.executable, *words],
        folder=folder,
        port=port,
    )


def received(url: str, address: str) -> list[mailbox.MaildirMessage]:
    """Return the mails for an address, in the order in which they came."""
    kept = mailbox.Maildir(urllib.parse.urlsplit(url).path, create=False)
    found = [mail for mail in kept if address in mail["X-RcptTo"]]
    return sorted(found, key=lambda mail: mail.get_date())
