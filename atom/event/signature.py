"""The signature of a webhook, by Standard Webhooks: HMAC-SHA256 over id, time, body."""

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Return the key of a secret: base64 after `whsec_`, 24 to 64 bytes.

    Raises:
        ValueError: when it is none.
    """
    if not secret.startswith(PREFIX):
        raise ValueError("expected whsec_ and base64 of 24 to 64 bytes")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("expected base64 after whsec_") from None
    if not 24 <= len(key) <= 64:
        raise ValueError(f"expected 24 to 64 bytes in base64, not {len(key)}")
    return key


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature` of a message."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def signed_headers(
    secret: str, message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """Return the headers that a receiver checks."""
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }
