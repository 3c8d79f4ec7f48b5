"""Usernames and addresses, in the one spelling that is stored and searched for.

Every writer and every reader of an address calls `normalize`, so that a code sent to
`A@X.com` is found for `a@x.com`.
"""

import re
import unicodedata

from atom.errors import ApiError

NAME_MAX_LENGTH = 100
EMAIL_MAX_LENGTH = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
MOBILE = re.compile(r"\+?[0-9]{4,20}")
# Characters that are drawn as nothing and that Python calls printable: with them one
# user could look like another. Source: Unicode, Default_Ignorable_Code_Point.
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
MOBILE_DECORATION = re.compile(r"[\s().-]")


def normalize(kind: str, text: str) -> str:
    """Return a username, e-mail or mobile in the one spelling that is stored.

    >>> normalize("email", " A@X.com ")
    'a@x.com'
    >>> normalize("mobile", "+91 98765-43210")
    '+919876543210'
    """
    plain = unicodedata.normalize("NFC", text).strip()
    if kind == "email":
        return plain.lower()
    if kind == "mobile":
        return MOBILE_DECORATION.sub("", plain)
    return plain


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold a text: no NUL, no half of a surrogate pair.

    >>> is_storable("ada"), is_storable("a\\0b"), is_storable("a\\ud800b")
    (True, False, False)
    """
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def validate(kind: str, text: str) -> str:
    """Return the normalized form of a name or address that may be stored.

    Raises:
        ApiError: `identity.unreadable`, naming the rule.
    """
    plain = normalize(kind, text)
    if kind == "username" and not (
        1 <= len(plain) <= NAME_MAX_LENGTH
        and plain.isprintable()
        and not UNSEEN.search(plain)
    ):
        raise _unreadable(
            f"username must have 1 to {NAME_MAX_LENGTH} characters,"
            " none of them invisible"
        )
    if kind == "email" and not (
        len(plain) <= EMAIL_MAX_LENGTH
        and plain.isprintable()
        and EMAIL.fullmatch(plain)
    ):
        raise _unreadable("email must look like name@example.com")
    if kind == "mobile" and not MOBILE.fullmatch(plain):
        raise _unreadable("mobile must have 4 to 20 digits, with or without a + before")
    return plain


def _unreadable(message: str) -> ApiError:
    return ApiError(message, code="identity.unreadable")
