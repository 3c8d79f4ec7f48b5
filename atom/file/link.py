"""Signed links: what they open, and until when, in one opaque word."""

import base64
import hmac
import time
from collections.abc import Mapping
from typing import Any

import orjson

from atom.errors import ApiError

WORD_BYTES = 8192  # the longest that is looked at


class Signer:
    """Signs and verifies words; with two keys, it signs by the first."""

    __slots__ = ("_keys",)

    def __init__(self, keys: str) -> None:
        parts = [part.strip().encode() for part in keys.split(",")]
        self._keys = [hmac.digest(part, b"atom:file", "sha256") for part in parts]

    def sign(self, purpose: str, seconds: int, **what: Any) -> tuple[str, int]:
        """Return a word for one purpose, and when it ends in Unix seconds."""
        until = int(time.time()) + seconds
        text = _encoded(orjson.dumps({**what, "until": until}))
        mark = self._mark(self._keys[0], purpose, text)
        return f"{text}.{_encoded(mark)}", until

    def verify(
        self, purpose: str, word: str, *, even_ended: bool = False
    ) -> Mapping[str, Any]:
        """Return what a word was signed for.

        Raises:
            ApiError: `file.link_invalid`, also when it has ended.
        """
        text, _, given = word.partition(".")
        if len(word) > WORD_BYTES or not word.isascii():
            raise invalid()
        marks = [_encoded(self._mark(key, purpose, text)) for key in self._keys]
        if not any([hmac.compare_digest(mark, given) for mark in marks]):
            raise invalid()
        found: dict[str, Any] = orjson.loads(_decoded(text))
        if not even_ended and found["until"] <= time.time():
            raise invalid()
        return found

    def _mark(self, key: bytes, purpose: str, text: str) -> bytes:
        return hmac.digest(key, f"{purpose}\0{text}".encode(), "sha256")


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def invalid() -> ApiError:
    """Return the error for a link that is not good, or not any more."""
    return ApiError(
        "The link is not valid, or has ended.",
        code="file.link_invalid",
        status=403,
        hint="Ask for a new one.",
    )
