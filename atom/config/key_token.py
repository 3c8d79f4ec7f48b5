"""The keys of sessions."""

from atom.config.parse import whole
from atom.config.resolve import Key

TOKEN = (
    Key(
        "config_token_refresh_grace_sec",
        whole(0, 300),
        10,
        "Seconds in which a second use of a refresh token is another tab, not a theft.",
    ),
)
