"""The keys of events and of what delivers them."""

from atom.config.parse import flag, mapping, seconds
from atom.config.resolve import Key

EVENT = (
    Key(
        "config_event",
        mapping,
        {},
        'Events by type: `{"user.created": {"target": ["kafka"], '
        '"retry": [5, 30]}}`. `row.<table>.created`, `.updated` and `.deleted` '
        "are written by the row routes.",
    ),
    Key(
        "config_webhook",
        mapping,
        {},
        "Endpoints of webhooks by name: url, secret (`whsec_…`), types.",
        secret=True,
    ),
    Key(
        "config_is_outbox",
        flag,
        None,
        "Whether the server itself delivers events. Unset: not in production, "
        "where `consumer_outbox.py` does.",
    ),
    Key(
        "config_outbox_retention_sec",
        seconds,
        604_800.0,
        "Seconds that events are kept after they were delivered or given up.",
    ),
)
