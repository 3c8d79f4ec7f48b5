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


def constant(datatype: str, value: Any) -> str | None:
    """Write a declared value."""
    return str(bool(value)).lower() if value in (0, 1) else None


BOOLEAN = Family(
    "boolean",
    ("boolean",),
    takes=lambda _: "true or false",
    parse=parse,
    traits=ORDERED | {"boolean", "is"},
    declared={"boolean": "btree hash"},
    also={"bool": "boolean"},
    plain={"boolean": "(?i:true|false|t|f)|1|0"},
    constant=constant,
    shown=lambda _, text: text in {"t", "true"},
    schema={"type": "boolean"},
    example=True,
    filter_example="is,true",
)
