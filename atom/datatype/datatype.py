"""Datatypes as PostgreSQL names them, sorted into families that are treated alike."""

import re
from dataclasses import dataclass
from functools import lru_cache

from atom.datatype.families import FAMILIES, having

FAMILY_OF = {name: family.name for family in FAMILIES for name in family.datatypes}
UNPARSED = having("unparsed")  # families of values that only PostgreSQL can check
PLACES = having("place")  # families that hold a place on earth
# What PostgreSQL parses from text better than a driver does, which takes the first and
# the last day of its calendar for infinity; it also does not depend on a codec that is
# set on the pool.
SENT_AS_TEXT = frozenset(family.name for family in FAMILIES if family.sends_text)
OPAQUE = frozenset(name for family in FAMILIES for name in family.opaque)
# Texts that PostgreSQL compares by rules of their own: case, blanks at the end.
COMPARED = frozenset({"citext", "character"})
BARE = {
    "bit": '"bit"',
    "bit[]": '"bit"[]',
    "character": "bpchar",
    "character[]": "bpchar[]",
}
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
    def sent_as(self) -> str:
        """The datatype that a single value is sent as."""
        if self.element is not None:
            return self.element.sent_as + "[]"
        if self.family in SENT_AS_TEXT or self.family == "text":
            return "text"
        return self.name

    def cast(self, parameter: str) -> str:
        """Return a parameter cast to this datatype.

        A length or precision is left out on purpose: an explicit cast to varchar(3)
        cuts a text silently, where the assignment to the column refuses it.

        >>> Datatype("bigint", "integer").cast("$1")
        '$1::bigint'
        >>> Datatype("jsonb", "json").cast("$2")
        '$2::text::jsonb'
        """
        return self._cast(parameter, "")

    def cast_list(self, parameter: str) -> str:
        """Return a parameter that is a list, cast to a list of this datatype."""
        return self._cast(parameter, "[]")

    def _cast(self, parameter: str, many: str) -> str:
        sent = f"{parameter}::{self.sent_as}{many}"
        if self.family == "text" and self.name not in COMPARED:
            return sent
        if self.sent_as == self.name:
            return sent
        return f"{sent}::{self.bare}{many}"

    @property
    def bare(self) -> str:
        """The name to cast to; without quotes a bit is one of length 1."""
        return BARE.get(self.name, self.name)


@lru_cache(1024)
def datatype(name: str) -> Datatype:
    """Parse a datatype as `format_type` writes it.

    >>> datatype("numeric(10,3)")
    Datatype(name='numeric', family='number', element=None)
    >>> datatype("text[]").element.family
    'text'
    """
    if name.endswith("[]"):
        element = datatype(name[:-2])
        return Datatype(element.name + "[]", "array", element)
    plain = MODIFIER.sub("", name)
    return Datatype(plain, FAMILY_OF.get(plain, "other"))
