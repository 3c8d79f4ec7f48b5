"""The server of smtp.py; it takes a port, a folder, a user and a password."""

import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult

port, folder, *account = sys.argv[1:]


def authenticate(server, session, envelope, mechanism, data):
    """Accept one user; aiosmtpd answers 535 to others only if this has not."""
    right = [data.login.decode(), data.password.decode()] == account
    return AuthResult(success=right, handled=False)


Controller(
    Mailbox(folder),
    hostname="127.0.0.1",
    port=int(port),
    authenticator=authenticate,
    auth_require_tls=False,
).start()
threading.Event().wait()
