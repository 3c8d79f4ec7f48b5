"""One entry of a table's list: a column, an index or a foreign key.

A column has a short form, `title-text-1-btree,gin`; everything has a long one, a dict.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from atom.datatype.datatype import datatype as known
from atom.datatype.declared import INDEX_METHODS, canonical
from atom.errors import nearest
from atom.postgres.identifier import MAX_BYTES
from atom.schema.literal import NULL, default, literal

NAME = re.compile(r"[a-z_][a-z0-9_]*")
# Every PostgreSQL table has these; a column of that name cannot be added.
SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
COLUMN = (
    *("name", "datatype", "is_mandatory", "index", "default", "unique"),
    *("check", "regex", "in", "old", "references", "on_delete"),
)
INDEX = ("index", "type", "unique")
REFERENCE = ("foreign_key", "references", "on_delete")
ON_DELETE = ("cascade", "restrict", "set null", "no action")
STRINGS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
# What could end an expression early, or hide its end.
LOOSE = re.compile(r"['\";$\\\0]|--|/\*")


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


@dataclass(frozen=True)
class Composite:
    """An index on several columns."""

    columns: tuple[str, ...]
    method: str = "btree"
    unique: bool = False


def read(entry: Mapping[str, Any]) -> Column | Composite | Reference:
    """Read one dict of a table's list.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    if "name" in entry:
        return _column(entry)
    if "foreign_key" in entry:
        _known(entry, REFERENCE)
        columns = _names(entry, "foreign_key")
        reference = _reference(entry, columns)
        if reference is None:
            raise ValueError("'references' is missing: 'table.column'")
        return reference
    if "index" in entry and "datatype" not in entry:
        return _composite(entry)
    raise ValueError("a dict has 'name' and 'datatype', or 'index', or 'foreign_key'")


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


def _known(entry: Mapping[str, Any], keys: Collection[str]) -> None:
    for key in entry:
        if key not in keys:
            hint = nearest(str(key), keys) or f"Use {', '.join(keys)}."
            raise ValueError(f"unknown key {key!r}. {hint}")


def _word(entry: Mapping[str, Any], key: str, otherwise: str = "") -> str:
    value = entry.get(key, otherwise)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is a text, not {value!r}")
    return value


def _bit(entry: Mapping[str, Any], key: str) -> bool:
    value = entry.get(key, 0)
    if value not in (0, 1, "0", "1"):
        raise ValueError(f"{key!r} is 0 or 1, not {value!r}")
    return bool(int(value))


def _names(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = entry[key]
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not listed:
        raise ValueError(f"{key!r} is a list of columns, not {value!r}")
    found = tuple(unquoted_name(str(name).strip()) for name in listed)
    if len(set(found)) != len(found):
        raise ValueError(f"{key!r} names a column twice")
    return found


def _column(entry: Mapping[str, Any]) -> Column:
    _known(entry, COLUMN)
    name = column_name(_word(entry, "name"))
    if "datatype" not in entry:
        raise ValueError("'datatype' is missing")
    datatype = canonical(_word(entry, "datatype"))
    index = entry.get("index", "0")
    if isinstance(index, list | tuple):
        index = ",".join(map(str, index))
    old = _word(entry, "old")
    if old and unquoted_name(old) in {name, "id"}:
        raise ValueError(f"'old' is another name than {old!r}")
    column = Column(
        name,
        datatype,
        _bit(entry, "is_mandatory"),
        methods(str(index).strip() or "0"),
        _default(entry, datatype),
        _bit(entry, "unique"),
        _expression(entry),
        _regex(entry, datatype),
        _choices(entry, datatype),
        old,
        _reference(entry, (name,)),
    )
    _agree(column)
    return column


def _agree(column: Column) -> None:
    """See that what is asked of a column can be had together."""
    filled = column.default not in {None, "", NULL}
    constant = filled and "'" in str(column.default)
    if constant and column.choices and column.default not in column.choices:
        raise ValueError("'default' is none of 'in'")
    on_delete = column.reference.on_delete if column.reference is not None else ""
    if column.not_null and on_delete == "set null":
        raise ValueError("a mandatory column cannot be 'set null'")


def _default(entry: Mapping[str, Any], datatype: str) -> str:
    if "default" not in entry:
        return ""
    try:
        return default(entry["default"], datatype)
    except ValueError as error:
        raise ValueError(f"'default': {error}") from None


def _expression(entry: Mapping[str, Any]) -> str:
    """Read a condition; it stays within the parentheses it will stand in."""
    text = _word(entry, "check").strip()
    bare = STRINGS.sub("", text)
    if LOOSE.search(bare) or "\\'" in text:
        raise ValueError("'check' is one SQL condition, without ; $ \\ and comments")
    depth = 0
    for letter in bare:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            break
    if depth:
        raise ValueError("'check': the parentheses do not match")
    if "check" in entry and not text:
        raise ValueError("'check' is empty")
    return text


def _regex(entry: Mapping[str, Any], datatype: str) -> str:
    text = _word(entry, "regex")
    if text and known(datatype).family != "text":
        raise ValueError(f"'regex' is for text, not for {datatype}")
    if "\0" in text:
        raise ValueError("'regex' holds a NUL")
    return text


def _choices(entry: Mapping[str, Any], datatype: str) -> tuple[str, ...]:
    if "in" not in entry:
        return ()
    values = entry["in"]
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f"'in' is a list of values, not {values!r}")
    if known(datatype).family in {"array", "json"}:
        raise ValueError(f"'in' is not for {datatype}")
    try:
        return tuple(dict.fromkeys(literal(value, datatype) for value in values))
    except ValueError as error:
        raise ValueError(f"'in': {error}") from None


def _reference(entry: Mapping[str, Any], columns: tuple[str, ...]) -> Reference | None:
    """Read `table`, `table.column` or `table.column,column`."""
    on_delete = " ".join(_word(entry, "on_delete").lower().split())
    text = _word(entry, "references")
    if not text:
        if on_delete:
            raise ValueError("'on_delete' needs 'references'")
        return None
    if on_delete and on_delete not in ON_DELETE:
        hint = nearest(on_delete, ON_DELETE) or f"Use {', '.join(ON_DELETE)}."
        raise ValueError(f"'on_delete': {on_delete!r} is not known. {hint}")
    table, _, inside = text.partition(".")
    named = (inside or "id").split(",")
    targets = tuple(unquoted_name(name.strip()) for name in named)
    if len(targets) != len(columns):
        raise ValueError(
            f"'references' names {len(targets)} column(s) for {len(columns)}"
        )
    plain = "" if on_delete == "no action" else on_delete
    return Reference(columns, unquoted_name(table.strip()), targets, plain)


def _composite(entry: Mapping[str, Any]) -> Composite:
    _known(entry, INDEX)
    method = _word(entry, "type", "btree").strip()
    if method not in INDEX_METHODS:
        hint = nearest(method, INDEX_METHODS) or f"Use {', '.join(INDEX_METHODS)}."
        raise ValueError(f"'type': {method!r} is not an index method. {hint}")
    columns, unique = _names(entry, "index"), _bit(entry, "unique")
    if method == "hash" and len(columns) > 1:
        raise ValueError("a hash index has one column")
    if unique and method != "btree":
        raise ValueError("what is unique has an index of type btree")
    return Composite(columns, method, unique)
