"""A server that mails to a real SMTP server on loopback, for the flows of accounts."""

import itertools
import re
import time
from contextlib import contextmanager
from types import SimpleNamespace

from tests.acceptance.conftest import serving
from tests.service.post_office import PASSWORD, USER, post_office

NUMBERS = itertools.count()
LINK = re.compile(r"http://127\.0\.0\.1:\d+/auth/page/([a-z-]+)#token=([\w-]+)")


class Mailing(SimpleNamespace):
    """`api` and `office`."""

    def post(self, path, who=None, **body):
        """Ask, as a caller from an address of its own."""
        return self.api.call("POST", path, who, json=body, headers=far())

    def done(self, path, who=None, **body):
        """Ask, expect 200, and return the body."""
        answer = self.post(path, who, **body)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def link(self, address, purpose, count=1, seconds=30):
        """Wait for so many links of a purpose; return the token of the newest."""
        deadline = time.monotonic() + seconds
        while len(found := self.links(address, purpose)) < count:
            assert time.monotonic() < deadline, f"no {purpose} for {address}"
            time.sleep(0.02)
        return found[-1]

    def links(self, address, purpose):
        """Return the tokens of a purpose that were mailed to an address."""
        texts = (
            mail.get_body(("plain",)).get_content()
            for mail in self.office.read(address)
        )
        found = (match for text in texts for match in LINK.findall(text))
        return [token for kind, token in found if kind == purpose]

    def user(self, **columns):
        """Make a user with an address and a password."""
        made = self.api.person(**{"email": address(), **columns})
        (row,) = self.api.sql("select email from users where id = $1", made.id)
        made.email = row["email"]
        return made

    def login(self, **body):
        """Log in, by e-mail or username, and return the answer."""
        by = "-email" if "email" in body else ""
        return self.post(f"/auth/login-password{by}", **body)


def address():
    """Return an address that no one has."""
    return f"p{next(NUMBERS)}@example.com"


def far():
    """Return headers of a caller who was not seen before."""
    number = next(NUMBERS)
    return {
        "x-forwarded-for": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    }


@contextmanager
def mailing(folder, own="", **config):
    """Serve a project with a mail server."""
    with post_office() as office:
        values = {
            "config_smtp_host": "127.0.0.1",
            "config_smtp_port": str(office.port),
            "config_smtp_user": USER,
            "config_smtp_password": PASSWORD,
            "config_smtp_tls": "0",
            "config_email_from": "shop@example.com",
            "config_trusted_proxy_list": "127.0.0.1",
            **config,
        }
        with serving(folder, config=values, config_own=own) as api:
            yield Mailing(api=api, office=office)
