"""Where a page of a keyset read ended, as an opaque text a caller hands back."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

import orjson

from atom.errors import ApiError

CHECK_BYTES = 6
MAX_CHARACTERS = 8192


def encode(order: str, keys: str) -> str:
    """Write a cursor: the order it belongs to, and the last row's keys as JSON.

    The keys are the caller's own reading, so the check guards against accidents and
    not against anybody: a cursor made up by hand finds nothing new.
    """
    body = orjson.dumps(order) + b"," + keys.encode()
    check = blake2b(body, digest_size=CHECK_BYTES).digest()
    return urlsafe_b64encode(check + body).rstrip(b"=").decode()


def decode(cursor: str, order: str) -> tuple[str | None, ...]:
    """Read a cursor made for the same order.

    Raises:
        ApiError: `filter.unreadable` when it was changed, or made for another order.

    >>> decode(encode("test:id desc", '["7"]'), "test:id desc")
    ('7',)
    """
    try:
        if len(cursor) > MAX_CHARACTERS:
            raise ValueError("too long")
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        whole = urlsafe_b64decode(padded)
        check, body = whole[:CHECK_BYTES], whole[CHECK_BYTES:]
        if blake2b(body, digest_size=CHECK_BYTES).digest() != check:
            raise ValueError("changed")
        # Spare bits of the last character must not make a second spelling.
        if urlsafe_b64encode(whole).rstrip(b"=") != cursor.encode("ascii"):
            raise ValueError("changed")
        made_for, keys = orjson.loads(b"[" + body + b"]")
        if not all(key is None or isinstance(key, str) for key in keys):
            raise ValueError("not keys")
    except (ValueError, TypeError, binascii.Error):
        raise ApiError(
            "'cursor' cannot be read.",
            code="filter.unreadable",
            hint="Send next_cursor as it was answered, or nothing for the first page.",
        ) from None
    if made_for != order:
        raise ApiError(
            "'cursor' was made by a read with another table or order.",
            code="filter.unreadable",
            hint="Keep 'table' and 'order' the same while paging.",
        )
    return tuple(keys)
