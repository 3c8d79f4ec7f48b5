"""Codes of an authenticator app: RFC 6238. Pure: the clock is an argument."""

import hmac
import secrets
from base64 import b32encode
from urllib.parse import quote, urlencode

DIGITS = 6
PERIOD = 30  # seconds of one step
DRIFT = 1  # steps that a clock may be behind or ahead
BYTES = 20


def new_secret() -> bytes:
    """Return a random secret of 160 bits. Source: RFC 4226 section 4, R6."""
    return secrets.token_bytes(BYTES)


def spelt(secret: bytes) -> str:
    """Return a secret as an app takes it.

    >>> spelt(b"12345678901234567890")
    'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'
    """
    return b32encode(secret).decode().rstrip("=")


def code(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """Return the code of a step. Source: RFC 4226 section 5.3.

    >>> code(b"12345678901234567890", 59 // 30, 8)
    '94287082'
    """
    made = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    at = made[-1] & 15
    number = int.from_bytes(made[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}}"


def step_of(secret: bytes, given: str, now: float) -> int | None:
    """Return the step that a code is of, among those near `now`; None for another.

    >>> step_of(b"12345678901234567890", "287082", 89), step_of(b"1", "287082", 89)
    (1, None)
    """
    here, sent = int(now) // PERIOD, given.encode("utf-8", "surrogatepass")
    found = None
    for step in range(max(0, here - DRIFT), here + DRIFT + 1):
        if hmac.compare_digest(code(secret, step).encode(), sent):
            found = step
    return found


def uri(secret: bytes, issuer: str, account: str) -> str:
    """Return what a QR code holds for an app.

    >>> uri(b"1", "a shop", "ada@example.com").partition("?")[0]
    'otpauth://totp/a%20shop:ada%40example.com'
    """
    label = f"{quote(issuer.replace(':', ' '), '')}:{quote(account, '')}"
    words = {
        "secret": spelt(secret),
        "issuer": issuer,
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": PERIOD,
    }
    return f"otpauth://totp/{label}?{urlencode(words, quote_via=quote)}"
