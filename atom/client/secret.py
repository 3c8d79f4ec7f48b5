"""Secret values removed from a driver's message."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


def without_secrets(text: str, values: Iterable[Any]) -> str:
    """Return a text without these config values and the passwords in them.

    >>> without_secrets("no route to a://me:pa@h as pa", ["a://me:pa@h"])
    'no route to *** as ***'
    """
    secrets: set[str] = set()
    for value in values:
        if not isinstance(value, str):
            continue
        secrets.add(value)
        try:
            parts = urlsplit(value)
            password = parts.password or ""
        except ValueError:
            continue  # not a URL, so it holds no password
        secrets |= {password, unquote(password)}
        secrets.update(parse_qs(parts.query).get("password", ()))
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
