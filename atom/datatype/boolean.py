"""True and false."""

from typing import Any

from atom.datatype.family import ORDERED, Family


def parse(datatype: str, raw: Any) -> bool:
    """Parse true or false; no other word stands for them."""
    if isinstance(raw, bool):
        return raw
    if not isinstance(raw, str) or raw not in {"true", "false"}:
        raise ValueError("not true or false")
    return raw == "true"


BOOLEAN = Family(
    "boolean",
    ("boolean",),
    takes=lambda _: "true or false",
    parse=parse,
    traits=ORDERED | {"boolean", "is"},
    declared={"boolean": "btree hash"},
    also={"bool": "boolean"},
    schema={"type": "boolean"},
    example=True,
    filter_example="is,true",
)
