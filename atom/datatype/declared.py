"""The datatype of a declared column: its one spelling, and the indexes it can have."""

import re

from atom.datatype.datatype import datatype as known
from atom.datatype.families import ALSO, BY_NAME, DECLARED, SIZES
from atom.errors import nearest

INDEX_METHODS = ("btree", "gin", "gist", "brin", "hash")
FLOAT = re.compile(r"float ?\(")
SPATIAL = frozenset({"geography", "geometry"})
ZONED = re.compile(r" with(?:out)? time zone")
SERIAL = frozenset(
    {"serial", "smallserial", "bigserial", "serial2", "serial4", "serial8"}
)
KNOWN = {*DECLARED, *ALSO}
SHAPE = re.compile(
    r"(?P<head>[a-z0-9_ ]+?) ?(?:\((?P<inside>[^()]*)\))?(?P<tail>[a-z ]*)"
)
DIMENSION = re.compile(r"( ?\[\d*\])+$")


def canonical(datatype: str) -> str:
    """Return a datatype as PostgreSQL's format_type spells it.

    Raises:
        ValueError: when it is not a datatype a column may be declared with.

    Source: PostgreSQL manual, chapter 8, Data Types.

    >>> canonical("timestamptz"), canonical("numeric( 10, 2 )"), canonical("int[]")
    ('timestamp with time zone', 'numeric(10,2)', 'integer[]')
    """
    text = " ".join(datatype.lower().split())
    element = DIMENSION.sub("", text)
    suffix = "[]" if element != text else ""
    shape = SHAPE.fullmatch(element)
    if shape is None:
        raise ValueError(f"{datatype!r} cannot be read as a datatype")
    head = (shape["head"] + shape["tail"]).strip()
    inside = shape["inside"]
    arguments = [] if inside is None else [a.strip() for a in inside.split(",")]
    return _spell(ALSO.get(head, head), arguments, datatype) + suffix


def _spell(head: str, arguments: list[str], written: str) -> str:
    if head in SERIAL:
        raise ValueError(f"{written!r} numbers rows, which id does; use bigint")
    if head not in KNOWN:
        hint = nearest(head, KNOWN)
        raise ValueError(f"{written!r} is not a known datatype. {hint}".rstrip())
    if head in SPATIAL:
        return _spatial(head, arguments, written)
    bounds = SIZES.get(head, ())
    if FLOAT.match(written.lower()):
        bounds = ((1, 53),)
    if len(arguments) > len(bounds) or not all(
        a.isdecimal() and least <= int(a) <= most
        for a, (least, most) in zip(arguments, bounds, strict=False)
    ):
        raise ValueError(f"{written!r}: invalid length or precision")
    if ZONED.search(head) and arguments:
        return ZONED.sub(lambda zone: f"({int(arguments[0])}){zone[0]}", head)
    if head == "double precision" and arguments:
        return "real" if int(arguments[0]) <= 24 else head
    if head in {"character", "bit"} and not arguments:
        return f"{head}(1)"
    if head == "numeric" and len(arguments) == 1:
        return f"numeric({int(arguments[0])},0)"
    if not arguments:
        return head
    return f"{head}({','.join(str(int(a)) for a in arguments)})"


def _spatial(head: str, arguments: list[str], written: str) -> str:
    """Spell a PostGIS type; a geography without a reference system is WGS 84."""
    if not arguments:
        return head
    kind, *reference = arguments
    if (
        not re.fullmatch(r"[a-z]+", kind)
        or len(reference) > 1
        or not all(r.isdecimal() for r in reference)
    ):
        raise ValueError(f"{written!r}: invalid length or precision")
    if head == "geography" and not reference:
        reference = ["4326"]
    return f"{head}({','.join([kind, *reference])})"


def element(datatype: str) -> str:
    """Return the bare word of a canonical datatype, without size and dimensions.

    >>> element("numeric(10,2)"), element("timestamp(3) with time zone[]")
    ('numeric', 'timestamp with time zone')
    """
    return re.sub(r"\([^)]*\)|\[\]", "", datatype).strip()


def is_time(datatype: str) -> bool:
    """Whether a canonical datatype is a moment or a day.

    >>> is_time("timestamp(3) with time zone"), is_time("date"), is_time("daterange")
    (True, True, False)
    """
    return "now()" in BY_NAME[known(datatype).family].functions


def fits(method: str, datatype: str) -> bool:
    """Whether PostgreSQL can build this kind of index on a canonical datatype."""
    methods = DECLARED.get(element(datatype), "").split()
    if datatype.endswith("[]"):  # as comparable as what it holds
        return ("btree" if method == "gin" else method) in methods and (
            method in {"btree", "gin", "hash"}
        )
    return method in methods


def operator_class(method: str, datatype: str) -> tuple[str, str] | None:
    """Return the extension and the operator class an index needs, None for neither."""
    return BY_NAME[known(datatype).family].lent.get(method)
