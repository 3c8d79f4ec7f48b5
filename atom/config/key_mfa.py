"""The keys of the second factor, and of passkeys."""

from typing import Any
from urllib.parse import urlsplit

from atom.config.parse import names, one_of, text
from atom.config.resolve import Key

PACKAGE = "cryptography==50.0.2"
PASSKEY_PACKAGE = "webauthn==3.0.1"
ANDROID = "android:apk-key-hash:"
MODES = ("off", "optional", "required_for_admin", "required")


def origins(value: Any) -> tuple[str, ...]:
    """Parse the pages that passkeys are used on, as browsers spell them.

    >>> origins("https://shop.example, http://localhost:3000")
    ('https://shop.example', 'http://localhost:3000')
    """
    found = names(value)
    for origin in found:
        parts = urlsplit(origin)
        schemes = ("https", "http") if parts.hostname == "localhost" else ("https",)
        is_page = parts.scheme in schemes and parts.hostname
        if not origin.startswith(ANDROID) and not (
            is_page and origin == f"{parts.scheme}://{parts.netloc}" == origin.lower()
        ):
            raise ValueError(
                f"expected pages like https://shop.example, not {origin!r}"
            )
    return found


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
    Key(
        "config_passkey_origin_list",
        origins,
        (),
        "Pages that passkeys are made and used on. Unset: passkeys are off.",
        example="https://shop.example",
    ),
    Key(
        "config_passkey_rp_id",
        text,
        None,
        "Domain that passkeys belong to: that of each page, or one above it. Unset: "
        "that of the first page.",
    ),
)
