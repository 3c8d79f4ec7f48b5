"""Bytes: kept in columns, and neither shown nor sent on the row routes."""

from atom.datatype.family import Family

BYTES = Family(
    "bytes",
    ("bytea",),
    opaque=frozenset({"bytea"}),
    takes=lambda _: r"bytes in hexadecimal such as \x00ff",
    parse=None,
    plain={"bytea": r"\\x(?:[0-9a-fA-F]{2})*"},
    declared={"bytea": "btree hash brin"},
)
