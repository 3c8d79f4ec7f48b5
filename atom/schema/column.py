"""A column as declared, and its short form: `title-text-1-btree,gin`.

The long form, a dict, is read in `entry.py`.
"""

import re
from dataclasses import dataclass
from typing import Self

from atom.datatype.families import ALSO, DECLARED, SIZES
from atom.errors import nearest
from atom.postgres.identifier import MAX_BYTES

INDEX_METHODS = ("btree", "gin", "gist", "brin", "hash")
NAME = re.compile(r"[a-z_][a-z0-9_]*")

# Every PostgreSQL table has these; a column of that name cannot be added.
SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})


def words(text: str) -> frozenset[str]:
    """Split a comma list into a set."""
    return frozenset(text.split(","))


FLOAT = re.compile(r"float ?\(")
SPATIAL = frozenset({"geography", "geometry"})
ZONED = re.compile(r" with(?:out)? time zone")
SERIAL = words("serial,smallserial,bigserial,serial2,serial4,serial8")
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
    return datatype == "date" or (
        datatype.startswith("timestamp") and not datatype.endswith("[]")
    )


def unquoted_name(name: str) -> str:
    """Return a table's or column's name when it is one that needs no quotes.

    Raises:
        ValueError: with what is wrong with it.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r}: a name is made of a-z, 0-9 and _, no digit first")
    if len(name) > MAX_BYTES:
        raise ValueError(f"{name!r}: a name has at most {MAX_BYTES} characters")
    return name


def column_name(text: str) -> str:
    """Return a column's name when a table can have it.

    Raises:
        ValueError: with what is wrong with it.
    """
    name = unquoted_name(text.strip())
    if name in SYSTEM_COLUMNS:
        raise ValueError(f"{name!r} is a column PostgreSQL keeps for itself")
    return name


@dataclass(frozen=True)
class Reference:
    """Columns that point to rows of a table, and what a deletion there does."""

    columns: tuple[str, ...]
    table: str
    targets: tuple[str, ...] = ("id",)
    on_delete: str = ""


@dataclass(frozen=True)
class Column:
    """A column as declared: its name, its datatype, and what is asked of it.

    `default` is SQL; None leaves a default that is there alone, "" is for none.
    """

    name: str
    datatype: str
    not_null: bool
    indexes: tuple[str, ...]
    default: str | None = None
    unique: bool = False
    check: str = ""
    regex: str = ""
    choices: tuple[str, ...] = ()  # SQL, each
    old: str = ""
    reference: Reference | None = None

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read `<name>-<datatype>-<0|1>-<0 or index methods>`.

        Raises:
            ValueError: with which of the four parts cannot be read.

        >>> column = Column.parse("title-text-1-btree,gin")
        >>> column.name, column.datatype, column.not_null, column.indexes
        ('title', 'text', True, ('btree', 'gin'))
        """
        name, dash, rest = line.partition("-")
        parts = rest.rsplit("-", 2)
        if not dash or len(parts) != 3:
            raise ValueError("expected name-datatype-mandatory-index, joined by -")
        datatype, mandatory, index = (part.strip() for part in parts)
        name = column_name(name)
        spelled = canonical(datatype)
        if mandatory not in {"0", "1"}:
            raise ValueError(f"mandatory is 0 or 1, not {mandatory!r}")
        return cls(name, spelled, mandatory == "1", methods(index))


def methods(text: str) -> tuple[str, ...]:
    """Read 0, or index methods with commas between.

    Raises:
        ValueError: naming what is not a method.
    """
    if text == "0":
        return ()
    found = tuple(method.strip() for method in text.split(","))
    for method in found:
        if method not in INDEX_METHODS:
            hint = nearest(method, INDEX_METHODS) or f"Use {', '.join(INDEX_METHODS)}."
            raise ValueError(f"{method!r} is not an index method. {hint}")
    if len(set(found)) != len(found):
        raise ValueError(f"index {text!r} names a method twice")
    return found
