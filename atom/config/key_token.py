"""The keys of sessions and API keys."""

from atom.config.parse import flag, whole
from atom.config.resolve import Key

YEAR = 365 * 86_400

TOKEN = (
    Key(
        "config_token_refresh_grace_sec",
        whole(0, 300),
        10,
        "Seconds in which a second use of a refresh token is another tab, not a theft.",
    ),
    Key(
        "config_session_expire_sec",
        whole(60, 10 * YEAR),
        90 * 86_400,
        "Seconds after its login that a session ends, however often it is renewed.",
    ),
    Key(
        "config_is_token_cookie",
        flag,
        False,
        "Whether a browser that sends `Prefer: token=cookie` to `/auth` gets tokens "
        "as HttpOnly cookies, which requests may then come by.",
    ),
    Key(
        "config_api_key_limit",
        whole(0, 1000),
        20,
        "API keys that a user may have. With 0 none are made.",
    ),
    Key(
        "config_api_key_expire_sec",
        whole(60, 10 * YEAR),
        YEAR,
        "Seconds that an API key is good for at most, and where its maker leaves "
        "`expire_sec` out.",
    ),
)
