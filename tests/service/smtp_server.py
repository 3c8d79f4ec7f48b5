"""The server of smtp.py; it takes a port, a folder, a user and a password."""

import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult


def serve(port, folder, *account):
    """Take mails until the process is ended."""

    def authenticate(server, session, envelope, mechanism, data):
        """Accept one user; aiosmtpd answers 535 to others only if this has not."""
        right = [data.login.decode(), data.password.decode()] == list(account)
        return AuthResult(success=right, handled=False)

    Controller(
        Mailbox(folder),
        hostname="127.0.0.1",
        port=int(port),
        authenticator=authenticate,
        auth_require_tls=False,
    ).start()
    threading.Event().wait()


if __name__ == "__main__":
    serve(*sys.argv[1:])
