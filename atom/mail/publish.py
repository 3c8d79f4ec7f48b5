"""A mail put into the queue: a row of `atom.outbox`, on the caller's transaction.

It is sent after that transaction is committed, and never if it is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atom.config.resolve import is_production
from atom.config.view import view
from atom.event.envelope import metadata_text
from atom.event.publish import write
from atom.mail.config import MailConfig
from atom.mail.letter import Letter, recipient
from atom.mail.template import Templates
from atom.reply import dump
from atom.uuid7 import uuid7

INSERT = """
insert into atom.outbox (event_id, target, event_type, aggregate_type, metadata,
  payload)
select event_id, 'mail', 'mail', $3, $4::text::jsonb, payload::jsonb
from unnest($1::uuid[], $2::text[]) as mail (event_id, payload)
"""


@dataclass(frozen=True, slots=True)
class Mailer:
    """What a process needs to write mails and to send them."""

    config: MailConfig
    root: Path
    templates: Templates

    async def write(
        self, source: Any, template: str, to: str, values: Mapping[str, Any]
    ) -> None:
        """Write a mail to one address, as `publish`."""
        await publish(source, self, template, to, values)


def mailer(root: Path, config: Mapping[str, Any]) -> Mailer:
    """Return what writes the mails of a project."""
    given = view(MailConfig, config)
    fixed = is_production(given.env)
    values = {"app_name": given.app_name}
    return Mailer(given, root, Templates(root, values, is_fixed=fixed))


async def publish(
    source: Any,
    by: Mailer,
    template: str,
    to: str | list[str],
    values: Mapping[str, Any],
) -> str | list[str]:
    """Write a mail, or one for each of several addresses. Return the id, or ids.

    `source` is an app, a request, a hook or ports, or a connection, as for an event.

    Raises:
        MailError: for an unknown template, and a value it lacks.
        ApiError: `identity.unreadable` for what is not an address.
    """
    addresses = [to] if isinstance(to, str) else list(to)
    plain = [recipient(each) for each in addresses]
    content = await by.templates.fill(template, values)
    ids = [str(uuid7()) for _ in plain]
    letters = [
        Letter(each, content.subject, content.html, content.text) for each in plain
    ]
    rows = [dump(each.as_payload()).decode() for each in letters]
    if ids:
        await write(source, INSERT, ids, rows, template, metadata_text())
    return ids[0] if isinstance(to, str) else ids
