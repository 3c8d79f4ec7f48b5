"""One mail to one address: in the queue as JSON, on its way as a message."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, formataddr
from typing import Any

from atom.account.name import validate
from atom.errors import ApiError
from atom.mail.template import one_line

# What would end an address in a command of SMTP or in a header is in none.
LOCAL = re.compile(r"[^\s@<>()\[\],;:\\\"]+")


@dataclass(frozen=True, slots=True)
class Letter:
    """What one address gets."""

    to: str
    subject: str
    html: str
    text: str

    def as_payload(self) -> dict[str, Any]:
        """Return it as the queue keeps it."""
        return asdict(self)


def read(payload: Any) -> Letter:
    """Read a mail of the queue.

    Raises:
        ValueError: when it is not one.
    """
    if not isinstance(payload, Mapping):
        raise ValueError("not a mail")
    try:
        return Letter(**{name: str(payload[name]) for name in Letter.__slots__})
    except KeyError as error:
        raise ValueError(f"a mail without {error}") from None


def recipient(address: Any) -> str:
    """Return the normal form of an address.

    Raises:
        ApiError: `identity.unreadable`.
    """
    plain = validate("email", str(address))
    if not LOCAL.fullmatch(plain.rpartition("@")[0]):
        raise ApiError(
            "email must look like name@example.com", code="identity.unreadable"
        )
    return plain


def named(sender: tuple[str, str]) -> Address:
    """Return the name and the address that mails come from, as a header has them."""
    name, address = sender
    return Address(one_line(name), addr_spec=address)


def encoded(sender: tuple[str, str]) -> str:
    """Return the same in ASCII, as SES takes it.

    >>> encoded(("Café", "a@x.com"))
    '=?utf-8?b?Q2Fmw6k=?= <a@x.com>'
    """
    return formataddr((one_line(sender[0]), sender[1]))


def message(
    letter: Letter, sender: tuple[str, str], event_id: str, moment: datetime
) -> EmailMessage:
    """Build the message: text and HTML, with the same id at each try."""
    wide = not letter.to.isascii()
    made = EmailMessage(policy=SMTPUTF8 if wide else SMTP)
    made["Subject"] = one_line(letter.subject)
    made["From"] = named(sender)
    local, _, domain = letter.to.rpartition("@")
    made["To"] = Address(username=local, domain=domain)
    made["Date"] = format_datetime(moment.astimezone(UTC))
    made["Message-ID"] = f"<{event_id}@{sender[1].rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(letter.text)
    made.add_alternative(letter.html, subtype="html")
    return made
