"""The keys of the second factor."""

from atom.config.parse import one_of, text
from atom.config.resolve import Key

PACKAGE = "cryptography==50.0.2"
MODES = ("off", "optional", "required_for_admin", "required")
MFA = (
    Key(
        "config_mfa",
        one_of(*MODES),
        "off",
        "Whether a login asks for a second factor: never; of users who have set one up;"
        " of these and of every user with api_access; of everyone.",
    ),
    Key(
        "config_key_mfa",
        text,
        None,
        "Key that encrypts the secrets of authenticator apps, 32 bytes or more. Unset: "
        "config_key_jwt. Two, comma between: encrypt with the first, accept both.",
        secret=True,
    ),
)
