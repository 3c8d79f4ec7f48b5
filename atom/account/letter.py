"""Mails of accounts: links that carry a token, and notices of what has happened."""

import logging
from typing import Any

from atom.account.config import AccountConfig
from atom.account.limit import require_room
from atom.account.name import validate
from atom.config.resolve import is_production
from atom.errors import ApiError, Unavailable
from atom.message import notification
from atom.port import Ports

log = logging.getLogger(__name__)

PAGE = "http://127.0.0.1:{port}/auth/page/{{purpose}}#token={{token}}"


def link(config: AccountConfig, purpose: str, token: str) -> str:
    """Return the page that a mail links. It never comes from the request."""
    page = config.account_link or PAGE.format(port=config.port)
    return page.replace("{purpose}", purpose).replace("{token}", token)


def require_mail(ports: Ports) -> None:
    """Check that links can be mailed.

    Raises:
        Unavailable: `account.no_mail`.
    """
    config = ports.account
    if not ports.mailer.config.provider:
        hint = "Set config_email_from and a provider: docs/mail.md."
    elif config.account_link is None and is_production(config.env):
        hint = "Set config_account_link."
    else:
        return
    raise Unavailable("Mails cannot be sent.", code="account.no_mail", hint=hint)


async def asked_for(ports: Ports, what: str, type: int, email: str, caller: str) -> str:
    """Return the normal form of an address that a link may be mailed to.

    The mail is written after the answer, which so takes the same time for any address.

    Raises:
        ApiError: `identity.unreadable`.
        RateLimited: `account.too_often`.
        Unavailable: `account.no_mail`.
    """
    require_mail(ports)
    address = validate("email", email)
    await require_room(ports.counter, what, f"{type} {address}", caller)
    return address


async def send_link(
    ports: Ports,
    template: str,
    to: str,
    purpose: str,
    token: str,
    seconds: int,
    **values: Any,
) -> None:
    """Write a mail with a link, on the transaction of its token."""
    hours = max(1, round(seconds / 3600))
    page = link(ports.account, purpose, token)
    await ports.mailer.write(
        ports, template, to, values | {"link": page, "hours": hours}
    )


async def notify(
    ports: Ports,
    user_id: int | None,
    to: str | None,
    subject: str,
    message: str,
    *,
    kind: str = "account",
) -> None:
    """Notify a user of what has happened, on the caller's transaction.

    The one place that does: by a notification, and by a mail where there is an address
    and mails are set up. `user_id` is None for an address that is not in `users`.
    """
    if user_id is not None:
        await notification.notify(ports, user_id, subject, message, kind=kind)
    if not to or not ports.mailer.config.provider:
        return
    values = {"subject": subject, "message": message}
    try:
        await ports.mailer.write(ports, "notice", to, values)
    except ApiError as error:
        # An address that an older version stored; it holds up nothing else.
        log.warning("no notice for user %s: %s", user_id, error.message)
