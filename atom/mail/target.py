"""Mails as a target of the relay: by SMTP, Resend or SES, or kept in a folder."""

import asyncio
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from atom.aws import send_email
from atom.client import needed
from atom.client.http import DENIED, RESEND_KEYS, ServiceRefused, send_mail
from atom.client.smtp import SMTP_HOST
from atom.errors import ApiError, Unavailable
from atom.event.outbox import Claimed
from atom.event.relay import Away, Refused
from atom.mail.letter import Letter, encoded, message, named, read
from atom.mail.publish import Mailer
from atom.observe.request_context import REQUEST_ID
from atom.port import Ports

log = logging.getLogger(__name__)

KEPT_MAX = 200  # mails in the folder, the newest
UNSET = (
    "no provider: set config_email_from and config_smtp_host, config_resend_key or "
    "config_ses_region_name"
)


class MailTarget:
    """The provider of config. `retry` are the pauses before each further try."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._mailer: Mailer = ports.mailer
        self.retry = ports.mailer.config.email_retry_sec

    async def deliver(self, claimed: Claimed) -> None:
        """Send one mail.

        Raises:
            Away: when the provider does not answer, or none is configured.
            Refused: when it will never take this mail.
            Exception: when this try failed.
        """
        event = claimed.event
        REQUEST_ID.set(str(event.metadata.get("request_id") or ""))
        try:
            letter = read(event.payload)
        except ValueError as error:
            raise Refused(str(error)) from error
        try:
            await self._send(letter, event.event_id, event.occurred_at)
        except Unavailable as error:
            raise Away(f"{error.message} {error.hint}".rstrip()) from error
        except ServiceRefused as error:
            # Of the key, or of the service itself: another try may be taken.
            if error.answered in DENIED or error.answered >= 500:
                raise
            raise Refused(error.message) from error
        except ApiError as error:
            raise Refused(f"{error.message} {error.hint}".rstrip()) from error

    async def _send(self, letter: Letter, event_id: str, occurred_at: str) -> None:
        config, clients = self._mailer.config, self._ports.clients
        sender = config.sender
        match config.provider:
            case "smtp":
                smtp = needed(clients, "client_smtp", SMTP_HOST)
                moment = datetime.fromisoformat(occurred_at)
                made = message(letter, sender, event_id, moment)
                await smtp.send(made, sender[1], letter.to)
            case "resend":
                service = needed(clients, "client_resend", ", ".join(RESEND_KEYS))
                await send_mail(
                    service,
                    letter.to,
                    letter.subject,
                    sender=str(named(sender)),
                    html=letter.html,
                    plain=letter.text,
                    idempotency_key=event_id,
                )
            case "ses":
                await send_email(
                    self._ports.aws,
                    encoded(sender),
                    letter.to,
                    letter.subject,
                    letter.text,
                    letter.html,
                )
            case "log":
                moment = datetime.fromisoformat(occurred_at)
                made = message(letter, sender, event_id, moment)
                folder = self._mailer.root / config.atom_folder / "mail"
                path = await asyncio.to_thread(keep, folder, made, event_id)
                shown = f"mail for {letter.to}, kept in {path}\n"
                shown += f"Subject: {letter.subject}\n\n{letter.text}"
                log.info("%s", shown, extra={"is_plain": True})
            case _:
                raise Away(UNSET)


def keep(folder: Path, made: Any, event_id: str) -> Path:
    """Write a mail into the folder, for its owner alone; the oldest are deleted."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    time = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    path = folder / f"{time}-{event_id}.eml"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(made.as_bytes())
    for old in sorted(folder.glob("*.eml"))[:-KEPT_MAX]:
        old.unlink(missing_ok=True)
    return path
