"""Datatypes as PostgreSQL names them, sorted into families that are treated alike."""

import re
from dataclasses import dataclass
from functools import lru_cache

INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
FLOATS = {"real": 3.4028234663852886e38, "double precision": 1.7976931348623157e308}
# Anything nearer to nothing becomes nothing.
LEAST = {"real": 2.0**-149, "double precision": 2.0**-1074}
TEXTS = frozenset(
    {"text", "character varying", "character", "citext", "name", '"char"'}
)
MOMENTS = frozenset({"timestamp with time zone", "timestamp without time zone"})
TIMES = frozenset({"time with time zone", "time without time zone"})
FAMILIES = {
    **dict.fromkeys(INTEGERS, "integer"),
    **dict.fromkeys(FLOATS, "float"),
    **dict.fromkeys(TEXTS, "text"),
    **dict.fromkeys(MOMENTS, "moment"),
    **dict.fromkeys(TIMES, "time"),
    "numeric": "number",
    "boolean": "boolean",
    "date": "date",
    "uuid": "uuid",
    "jsonb": "json",
    "json": "json",
    "point": "point",
    "geography": "geography",
    "bytea": "bytes",
}
PLACES = frozenset({"point", "geography"})  # families that hold a place on earth
# What PostgreSQL reads from text better than a driver does, which takes the first and
# the last day of its calendar for infinity; also independent of the codecs
# set on the pool.
AS_TEXT = frozenset({"json", "point", "geography", "other", "moment", "date"})
# What PostgreSQL has no = or no order for, or compares by something else (the area).
OPAQUE = frozenset(
    {"json", "xml", "jsonpath", "xid", "cid", "point", "bytea"}
    | {"box", "circle", "line", "lseg", "path", "polygon"}
)
BARE = {"bit": "bit varying", "bit[]": "bit varying[]"}
MODIFIER = re.compile(r"\s*\([^()\"]*\)")


@dataclass(frozen=True, slots=True)
class Datatype:
    """A datatype without its length or precision, and the family it belongs to."""

    name: str
    family: str
    element: "Datatype | None" = None

    @property
    def is_opaque(self) -> bool:
        """Whether values can only be read and written, not compared or sorted."""
        return (self.element or self).name in OPAQUE

    @property
    def travels(self) -> str:
        """The type a single value has on its way to PostgreSQL."""
        if self.element is not None:
            return self.element.travels + "[]"
        if self.family in AS_TEXT or self.family == "text":
            return "text"
        return self.name

    def cast(self, parameter: str) -> str:
        """Write a parameter so that it arrives as this datatype.

        A length or precision is left out on purpose: an explicit cast to varchar(3)
        cuts a text silently, where the assignment to the column refuses it.

        >>> Datatype("bigint", "integer").cast("$1")
        '$1::bigint'
        >>> Datatype("jsonb", "json").cast("$2")
        '$2::text::jsonb'
        """
        return self._cast(parameter, "")

    def cast_list(self, parameter: str) -> str:
        """Write a parameter that is a list of values of this datatype."""
        return self._cast(parameter, "[]")

    def _cast(self, parameter: str, many: str) -> str:
        arrived = f"{parameter}::{self.travels}{many}"
        if self.family == "text" and self.name != "citext":
            return arrived
        if self.travels == self.name:
            return arrived
        return f"{arrived}::{self.bare}{many}"

    @property
    def bare(self) -> str:
        """The name to cast to; PostgreSQL takes a bare bit for one of length 1."""
        return BARE.get(self.name, self.name)


@lru_cache(1024)
def datatype(name: str) -> Datatype:
    """Read a datatype as `format_type` writes it.

    >>> datatype("numeric(10,3)")
    Datatype(name='numeric', family='number', element=None)
    >>> datatype("text[]").element.family
    'text'
    """
    if name.endswith("[]"):
        element = datatype(name[:-2])
        return Datatype(element.name + "[]", "array", element)
    plain = MODIFIER.sub("", name)
    return Datatype(plain, FAMILIES.get(plain, "other"))
