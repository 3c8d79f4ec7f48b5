"""Usernames and addresses in their one normal form, which is stored and searched for.

Every writer and every reader calls `normalize` or `validate`: sign-up, login, one-time
codes, the row routes and imports. So `Ada`, `ada` and `ＡＤＡ` are one user, and a code
sent to `A@X.com` is found for `a@x.com`.
"""

import re
import unicodedata
from functools import cache
from typing import Any

from atom.errors import ApiError

COLUMNS = ("username", "email", "mobile")  # of users, with a normal form
NAME_MAX_LENGTH = 100
EMAIL_MAX_LENGTH = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
MOBILE = re.compile(r"\+?[0-9]{4,20}")
# Blanks, brackets, full stops and every dash.
MOBILE_DECORATION = re.compile(r"[\s().\-\u2010-\u2015\u2212]")
ASCII_NAME = re.compile(r"[!-~]+(?: [!-~]+)*")
# Characters that are drawn as nothing and that Python calls printable: with them one
# user could look like another. Source: Unicode, Default_Ignorable_Code_Point.
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


def normalize(kind: str, text: str) -> str:
    """Return a username, e-mail or mobile in normal form; never an error.

    What has none, as it may not be stored, is returned in Unicode's composed form.

    >>> normalize("username", " ＡＤＡ ")
    'ada'
    >>> normalize("email", " A@Bücher.DE ")
    'a@xn--bcher-kva.de'
    >>> normalize("mobile", "0091 98765-43210")
    '+919876543210'
    """
    if kind == "email":
        return _email(text)
    if kind == "mobile":
        return _mobile(text)
    plain = unicodedata.normalize("NFC", text).strip()
    return _username(plain) or plain


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold a text: no NUL, no half of a surrogate pair.

    >>> is_storable("ada"), is_storable("a\\0b"), is_storable("a\\ud800b")
    (True, False, False)
    """
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def validate(kind: str, text: str) -> str:
    """Return the normal form of a name or address that may be stored.

    Raises:
        ApiError: `identity.unreadable`, naming the rule.
    """
    plain = normalize(kind, text)
    if kind == "username" and not (
        1 <= len(plain) <= NAME_MAX_LENGTH
        and _username(plain) == plain
        and not UNSEEN.search(plain)
    ):
        raise _unreadable(
            f"username must have 1 to {NAME_MAX_LENGTH} letters, digits and marks of"
            " punctuation, with single blanks between words"
        )
    if kind == "email" and not (
        len(plain) <= EMAIL_MAX_LENGTH
        and plain.isprintable()
        and EMAIL.fullmatch(plain)
        and plain.rpartition("@")[2].isascii()
    ):
        raise _unreadable("email must look like name@example.com")
    if kind == "mobile" and not MOBILE.fullmatch(plain):
        raise _unreadable("mobile must have 4 to 20 digits, with or without a + before")
    return plain


def _unreadable(message: str) -> ApiError:
    return ApiError(message, code="identity.unreadable")


@cache
def _profile() -> Any:
    import precis_i18n

    return precis_i18n.get_profile("UsernameCaseMapped")


def _username(plain: str) -> str | None:
    """Return the normal form of a username, None when it has none.

    Source: RFC 8265 section 3.1 (a username is one or more words with a blank between
    them), 3.3 (UsernameCaseMapped); RFC 8264 section 7 (apply until it is stable).
    """
    if plain.isascii():
        return plain.lower() if ASCII_NAME.fullmatch(plain) else None
    for _ in range(4):
        try:
            made = " ".join(_profile().enforce(word) for word in plain.split(" "))
        except UnicodeError:
            return None
        if made == plain:
            return made
        plain = made
    return None


def _folded(text: str) -> str:
    """Return a text without case, width and other variants of one letter."""
    for _ in range(3):
        text = unicodedata.normalize("NFKC", text).lower()
    return unicodedata.normalize("NFKC", text).strip()


def _email(text: str) -> str:
    """Return an address in lower case, its domain in A-labels (RFC 5890)."""
    import idna

    local, at, domain = _folded(text).rpartition("@")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode()
        except UnicodeError:
            return local + at + domain
    return local + at + domain


def _mobile(text: str) -> str:
    """Return a number as in E.164: digits after a +, which 00 stands for as well.

    Without either it is a national number and stays one: no country is guessed.
    """
    bare = MOBILE_DECORATION.sub("", _folded(text))
    plain = "".join(
        str(unicodedata.decimal(each)) if each.isdecimal() else each for each in bare
    )
    return "+" + plain[2:] if plain.startswith("00") else plain
