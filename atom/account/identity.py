"""Who somebody says they are: names and addresses in one spelling, proven by an OTP.

Every writer and every reader of an address goes through `spelled`, so that a code sent
to `A@X.com` is found for `a@x.com`.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from atom.errors import ApiError, Unauthenticated

NAME_MAX_LENGTH = 100
EMAIL_MAX_LENGTH = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
MOBILE = re.compile(r"\+?[0-9]{4,20}")
# Of the characters that are drawn as nothing those that Python calls printable: one
# user could look like another. Source: Unicode, Default_Ignorable_Code_Point.
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
MOBILE_DECORATION = re.compile(r"[\s().-]")

OTP_SECONDS = 600
OTP_TRIES = 5

# One statement both counts the try and consumes the code: of two callers with the right
# code one finds it used. Only the latest code of an address counts.
CONSUME = """
update otp set
  tries = coalesce(tries, 0) + 1,
  used_at = case when otp = any ($3::text[]) then now() end
where id = (
    select id from otp
    where email = $1::text or mobile = $2::text  -- one of them is null
    order by id desc limit 1
  )
  and used_at is null
  and coalesce(tries, 0) < $4
  and created_at > now() - make_interval(secs => $5)
returning used_at is not null
"""


def spelled(kind: str, text: str) -> str:
    """Return a username, e-mail or mobile in the one spelling it is stored in.

    >>> spelled("email", " A@X.com ")
    'a@x.com'
    >>> spelled("mobile", "+91 98765-43210")
    '+919876543210'
    """
    plain = unicodedata.normalize("NFC", text).strip()
    if kind == "email":
        return plain.lower()
    if kind == "mobile":
        return MOBILE_DECORATION.sub("", plain)
    return plain


def storable(text: str) -> bool:
    """Tell whether PostgreSQL can hold a text: no NUL, no half of a surrogate pair.

    >>> storable("ada"), storable("a\\0b"), storable("a\\ud800b")
    (True, False, False)
    """
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def checked(kind: str, text: str) -> str:
    """Return the one spelling of a name or address that may be stored.

    Raises:
        ApiError: `identity.unreadable`, naming the rule.
    """
    plain = spelled(kind, text)
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


def sealed(otp: str, address: str, key: str) -> str:
    """Return what is stored of a code: bound to an address, useless without the key."""
    return hmac.new(
        key.encode(), f"otp\0{address}\0{otp}".encode(), hashlib.sha256
    ).hexdigest()


async def verify_otp(
    database: Any,
    otp: str,
    *,
    keys: Sequence[str],
    email: str | None = None,
    mobile: str | None = None,
) -> None:
    """Consume the latest code sent to an address: it is good once, in 10 minutes.

    A wrong code counts as one of five tries. `keys` are those of `config_key_jwt`.

    Raises:
        Unauthenticated: `otp.invalid`, whatever is wrong with it.
    """
    address = spelled("email", email) if email else spelled("mobile", mobile or "")
    code = otp.strip()
    right = None
    if address and code and storable(address + code):
        right = await database.value(
            CONSUME,
            address if email else None,
            None if email else address,
            [sealed(code, address, key) for key in keys],
            OTP_TRIES,
            float(OTP_SECONDS),
        )
    if not right:
        raise Unauthenticated(
            "otp invalid",
            code="otp.invalid",
            hint="It is good once, for 10 minutes and 5 tries. Ask for a new one.",
        )
