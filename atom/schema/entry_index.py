"""An index of a table's list, or what excludes rows that overlap."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.datatype.declared import INDEX_METHODS
from atom.errors import nearest
from atom.schema import reading

INDEX = ("index", "expression", "type", "unique", "where", "class")
EXCLUDE = ("exclude", "type", "where")
# Source: PostgreSQL manual, section 11.2: the methods that an exclusion can have.
EXCLUDING = ("gist", "btree", "hash")


@dataclass(frozen=True)
class Composite:
    """An index on several columns, on an expression, or on some of the rows."""

    columns: tuple[str, ...]
    method: str = "btree"
    unique: bool = False
    where: str = ""
    expression: str = ""  # instead of columns
    operator_class: str = ""

    @property
    def keys(self) -> str:
        """Return the expression as the key of an index."""
        return f"({self.expression})" + f" {self.operator_class}".rstrip()


@dataclass(frozen=True)
class Exclusion:
    """Columns with operators: no two rows of a table may have all of them true."""

    columns: tuple[str, ...]
    operators: tuple[str, ...]
    method: str = "gist"
    where: str = ""


def composite(entry: Mapping[str, Any]) -> Composite:
    """Read an index.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    reading.known(entry, INDEX)
    method = reading.word(entry, "type", "btree").strip()
    if method not in INDEX_METHODS:
        hint = nearest(method, INDEX_METHODS) or f"Use {', '.join(INDEX_METHODS)}."
        raise ValueError(f"'type': {method!r} is not an index method. {hint}")
    if "index" in entry and "expression" in entry:
        raise ValueError("an index has 'index' or 'expression', not both")
    columns = reading.names(entry, "index") if "index" in entry else ()
    operators = reading.word(entry, "class").strip()
    if operators and columns:
        raise ValueError("'class' is for an 'expression'; columns have theirs")
    if operators:
        reading.unquoted_name(operators)
    unique = reading.bit(entry, "unique")
    if method == "hash" and len(columns) > 1:
        raise ValueError("a hash index has one column")
    if unique and method != "btree":
        raise ValueError("what is unique has an index of type btree")
    where = reading.expression(entry, "where")
    text = reading.expression(entry, "expression")
    return Composite(columns, method, unique, where, text, operators)


def exclusion(entry: Mapping[str, Any]) -> Exclusion:
    """Read `{"exclude": {column: operator, …}}`.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    reading.known(entry, EXCLUDE)
    pairs = entry["exclude"]
    if not isinstance(pairs, Mapping) or not pairs:
        raise ValueError(f"'exclude' is a dict of columns and operators, not {pairs!r}")
    columns = tuple(reading.unquoted_name(str(name)) for name in pairs)
    operators = tuple(str(operator).strip() for operator in pairs.values())
    for operator in operators:
        if not operator or set(operator) - set("+-*/<>=~!@#%^&|`?"):
            raise ValueError(f"'exclude': {operator!r} is not an operator: use = or &&")
    method = reading.one_of(entry, "type", EXCLUDING, "gist")
    return Exclusion(columns, operators, method, reading.expression(entry, "where"))
