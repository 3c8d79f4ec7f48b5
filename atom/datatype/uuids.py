"""UUIDs."""

import re
from typing import Any
from uuid import UUID as Value

from atom.datatype.family import ORDERED, Family

SHAPE = re.compile(r"(?:urn:uuid:)?\{?[-0-9a-fA-F]+\}?")


def parse(datatype: str, raw: Any) -> Value:
    """Parse a UUID in any of its spellings."""
    if not isinstance(raw, str) or not SHAPE.fullmatch(raw):
        raise ValueError("not a UUID")
    return Value(raw)


UUID = Family(
    "uuid",
    ("uuid",),
    takes=lambda _: "a UUID",
    parse=parse,
    traits=ORDERED | {"is"},
    declared={"uuid": "btree hash brin"},
    plain={"uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"},
    constant=lambda _, value: str(Value(str(value))),
    shown=lambda _, text: Value(text),
    functions=("gen_random_uuid()", "uuidv7()"),  # the second from PostgreSQL 18 on
    schema={"type": "string", "format": "uuid"},
    example="6f1c1d3e-0000-4000-8000-000000000001",
)
