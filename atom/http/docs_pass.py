"""The cookie that opens the documentation to a browser, which cannot send the root key.

It is good for the paths of `DOCS` alone, wherever a browser sends it.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from atom.config.resolve import is_production

DOCS = frozenset({"/docs", "/docs/{file}", "/redoc", "/openapi.json"})
PAGES = frozenset({"/docs", "/redoc"})  # what a person opens
LOGIN = "/docs/login"
FORM = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)


def is_docs_closed(env: str, is_docs: bool) -> bool:
    """Return whether the documentation takes the root key."""
    return is_production(env) and not is_docs


@dataclass(frozen=True)
class DocsPass:
    """Issues and checks the values of the cookie, signed with the root key."""

    key: str
    COOKIE: ClassVar = "atom_docs"
    SECONDS: ClassVar = 12 * 3600

    def issue(self, now: int) -> str:
        """Return a value that is good for `SECONDS` from now on."""
        ends = now + self.SECONDS
        return f"{ends}.{self._mark(ends)}"

    def is_valid(self, value: str, now: int) -> bool:
        """Return whether the value was issued with this key and has not ended.

        >>> DocsPass("k" * 32).is_valid(DocsPass("k" * 32).issue(1000), 1001)
        True
        >>> DocsPass("k" * 32).is_valid(DocsPass("k" * 32).issue(1000), 10**6)
        False
        """
        found = FORM.fullmatch(value)
        if not found:
            return False
        ends = int(found[1])
        return hmac.compare_digest(found[2], self._mark(ends)) and now < ends

    def _mark(self, ends: int) -> str:
        text = f"atom docs {ends}".encode()
        return hmac.new(self.key.encode(), text, hashlib.sha256).hexdigest()


def sent(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the cookie of a request, "" without one.

    >>> sent([(b"cookie", b"a=b; atom_docs=1.2")])
    '1.2'
    """
    for name, value in headers:
        if name == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                key, _, text = pair.strip().partition("=")
                if key == DocsPass.COOKIE:
                    return text
    return ""
