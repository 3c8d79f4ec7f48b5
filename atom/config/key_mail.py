"""The keys of mail. Those of an SMTP server are in atom/client/smtp.py."""

import re
from typing import Any

from atom.config.parse import all_seconds, one_of, text
from atom.config.resolve import Key

ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def address(value: Any) -> str | None:
    """Parse an address without a name.

    >>> address("shop@example.com")
    'shop@example.com'
    """
    found = text(value)
    if found and not (found.isascii() and ADDRESS.fullmatch(found)):
        raise ValueError("expected an address such as shop@example.com")
    return found


MAIL = (
    Key("config_email_from", address, None, "Address that mails come from."),
    Key(
        "config_email_from_name",
        text,
        None,
        "Name that mails come from. Unset: config_app_name.",
    ),
    Key(
        "config_email_provider",
        one_of("smtp", "resend", "ses", "log"),
        None,
        "smtp, resend, ses or log. Unset: the first of them that is configured and, "
        "outside of production, log: mails are logged and kept in "
        "config_atom_folder/mail.",
    ),
    Key(
        "config_email_retry_sec",
        all_seconds,
        (60, 300, 900, 3600, 7200, 14_400, 28_800),
        "Seconds before each further try of a mail that was not taken. After the last "
        "it is dead.",
    ),
)
