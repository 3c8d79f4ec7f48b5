"""Identifiers that sort by the time they were made."""

import secrets
import time
import uuid

VERSION, VARIANT = 7 << 76, 2 << 62


def uuid7() -> uuid.UUID:
    """Return a UUID version 7: milliseconds since 1970, then 74 random bits.

    Source: RFC 9562, 5.7.
    """
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    number = secrets.randbits(74)
    high, low = number >> 62, number & (1 << 62) - 1
    return uuid.UUID(int=milliseconds << 80 | VERSION | high << 64 | VARIANT | low)
