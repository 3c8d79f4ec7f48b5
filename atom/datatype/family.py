"""The declaration of a family: all that other shelves ask of a datatype."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Sizes = tuple[tuple[int, int], ...]  # the least and the most of each number in ()
Limit = tuple[Callable[[Any], bool], str]  # whether a value fits, and the rule in words

EQUAL = frozenset({"compared"})
ORDERED = frozenset({"compared", "ordered", "sorted"})


def unlimited(datatype: str) -> Limit | None:
    """Return the limit of a datatype that has none."""
    return None


@dataclass(frozen=True, slots=True)
class Family:
    """Datatypes that are parsed, described, filtered and documented alike.

    A new family is a file of this shelf, its import and name in `families.py`, and its
    line in the reading order of `__init__.py`.
    """

    name: str
    datatypes: tuple[str, ...]  # as format_type writes them, without a modifier
    takes: Callable[[str], str]  # what a datatype takes, in words
    # A JSON value, or a text that stands for one, parsed for a datatype. A ValueError
    # refuses it, and it must refuse all that PostgreSQL refuses, but with the trait
    # `unparsed`: those values a filter has PostgreSQL check, also where they meet no
    # row. With `sends_text` it returns the text to send. None: values are never sent.
    parse: Callable[[str, Any], Any] | None
    hint: str = ""  # more about what it takes
    # Which operators, order by, group by and aggregates apply: compared, ordered, text,
    # json, boolean, is; sorted, summed, ranked.
    traits: frozenset[str] = frozenset()
    # Datatypes without = or order in PostgreSQL, or compared by something else (the
    # area): values can only be read and written.
    opaque: frozenset[str] = frozenset()
    sends_text: bool = False  # PostgreSQL parses the value, not the driver
    text_is_json: Callable[[str], bool] | None = None  # None: it never is
    limit: Callable[[str], Limit | None] = unlimited  # by the datatype with modifier
    # The datatypes a column may be declared with, and for which index methods each has
    # an operator class (`pg_opclass` of PostgreSQL 18 and its contributed extensions).
    declared: Mapping[str, str] = field(default_factory=dict)
    # Index methods for which an extension has the operator class: both names.
    lent: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    also: Mapping[str, str] = field(default_factory=dict)  # other names of them
    sizes: Mapping[str, Sizes] = field(default_factory=dict)
    extensions: Mapping[str, str] = field(default_factory=dict)  # that bring them
    # Files: patterns of what PostgreSQL reads exactly as `parse` does, by datatype; it
    # checks the ranges.
    plain: Mapping[str, str] = field(default_factory=dict)
    # A default or a choice of a declaration, written as text; None or a ValueError
    # refuses it. None: it has none. `shown` is the value of a text from the catalog,
    # to compare with; `functions` may be a default as well.
    constant: Callable[[str, Any], str | None] | None = None
    shown: Callable[[str, str], Any] = lambda _, text: text
    functions: tuple[str, ...] = ()
    # OpenAPI: the JSON Schema, formats by datatype, an example and one of a filter.
    schema: Mapping[str, Any] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)
    example: Any = None
    filter_example: str = "is,not null"
