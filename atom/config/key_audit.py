"""The keys of what is kept for some days."""

from atom.config.parse import whole
from atom.config.resolve import Key

AUDIT = (
    Key(
        "config_audit_retention_day",
        whole(0, 36_500),
        365,
        "Days that changes of audited tables are kept. 0: for ever.",
    ),
    Key(
        "config_notification_retention_day",
        whole(0, 36_500),
        90,
        "Days that notifications are kept, read or not. 0: for ever.",
    ),
    Key(
        "config_security_event_retention_day",
        whole(0, 36_500),
        365,
        "Days that logins, refusals and changes of rights are kept. 0: for ever.",
    ),
)
