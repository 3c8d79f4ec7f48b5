"""Bytes: in base64 on the wire, as PostgreSQL's hexadecimal where it writes them."""

import re
from base64 import b64decode
from typing import Any

from atom.datatype.family import ORDERED, Family

HEXADECIMAL = re.compile(r"\\x(?:[0-9a-fA-F]{2})*", re.ASCII)


def parse(datatype: str, raw: Any) -> bytes:
    """Parse base64 (RFC 4648 section 4), or `\\x` and hexadecimal digits."""
    if isinstance(raw, bytes):  # of Python, which JSON does not have
        return raw
    if not isinstance(raw, str):
        raise ValueError("not text")
    if HEXADECIMAL.fullmatch(raw):
        return bytes.fromhex(raw[2:])
    return b64decode(raw, validate=True)


def as_base64(column: str) -> str:
    """Build the expression that turns a column into base64 on one line."""
    return f"translate(encode({column}, 'base64'), E'\\n', '')"


BYTES = Family(
    "bytes",
    ("bytea",),
    takes=lambda _: r"bytes in base64 such as AP8=, or \x and hexadecimal digits",
    parse=parse,
    traits=ORDERED | {"is"},
    plain={"bytea": HEXADECIMAL.pattern},
    declared={"bytea": "btree hash brin"},
    schema={"type": "string", "contentEncoding": "base64"},
    example="AP8=",
    filter_example="=,AP8=",
)
