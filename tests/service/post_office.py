"""A mail server inside of a test, on loopback, that can be as difficult as a real one.

What it does with a mail depends on the recipient: `refused…@` is refused for ever,
`grey…@` the first two times, `hang…@` is taken and never confirmed.
"""

import email
import threading
import time
from collections import Counter
from contextlib import contextmanager
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.served import free_port

USER, PASSWORD = "shop", "pa55-of-the-shop"


class Office:
    """The mails that have come, and how the server behaves."""

    def __init__(self, account):
        self.account = account
        self.port = free_port()
        self.mails = []
        self.tried = Counter()
        self.signed_on = []
        self.encrypted = []
        self.connections = 0
        self._ending = threading.Event()
        self._controller = None
        self._options = {}

    def authenticate(self, server, session, envelope, mechanism, data):
        """Accept one user."""
        found = (data.login.decode(), data.password.decode())
        self.signed_on.append(found)
        return AuthResult(success=found == self.account, handled=False)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        """Note each connection."""
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        """Take a recipient, or not."""
        self.tried[address] += 1
        if address.startswith("refused"):
            return "550 5.1.1 there is no such mailbox"
        if address.startswith("grey") and self.tried[address] <= 2:
            return "451 4.7.1 greylisted, try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        """Take the words."""
        import asyncio

        self.encrypted.append(bool(server.transport.get_extra_info("ssl_object")))
        if envelope.rcpt_tos[0].startswith("hang"):
            while not self._ending.is_set():
                await asyncio.sleep(0.05)
            return "451 4.3.0 closing"
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 taken"

    def open(self, **options):
        """Begin to listen."""
        self._options = options or self._options
        given = {"authenticator": self.authenticate, "auth_require_tls": False}
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, **{**given, **self._options}
        )
        self._controller.start()

    def close(self):
        """Listen no longer."""
        self._ending.set()
        if self._controller is not None:
            self._controller.stop()
            self._controller = None
        self._ending.clear()

    def read(self, address):
        """Return the mails that have come for an address."""
        return [
            email.message_from_bytes(content, policy=default)
            for _, to, content in list(self.mails)
            if to == [address]
        ]

    def wait(self, address, count=1, seconds=30):
        """Wait until so many mails have come for an address, and return them."""
        deadline = time.monotonic() + seconds
        while len(found := self.read(address)) < count:
            assert time.monotonic() < deadline, f"no mail for {address}"
            time.sleep(0.02)
        return found


@contextmanager
def post_office(account=(USER, PASSWORD), **options):
    """Run a server until the end of the block; `options` are aiosmtpd's."""
    office = Office(account)
    office.open(**options)
    try:
        yield office
    finally:
        office.close()
