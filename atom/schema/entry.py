"""One entry of a table's list: a column, an index or a foreign key.

A column has a short form, `title-text-1-btree,gin`; everything has a long one, a dict.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from atom.datatype.datatype import datatype as known
from atom.datatype.declared import INDEX_METHODS, canonical
from atom.errors import nearest
from atom.schema import entry_file, entry_index, reading
from atom.schema.entry_file import FileRule
from atom.schema.entry_index import Composite, Exclusion
from atom.schema.literal import NULL, default, literal

COLUMN = (
    *("name", "datatype", "is_mandatory", "index", "default", "unique"),
    *("check", "regex", "in", "generated"),
    *("old", "keep", "references", "on_delete"),
)
REFERENCE = ("foreign_key", "references", "on_delete")
ON_DELETE = ("cascade", "restrict", "set null", "no action")


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
    generated: str = ""  # the SQL it is computed with
    keep: bool = False  # whether the old name stays, computed from the new
    file: FileRule | None = None  # of a column that holds a file

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
        name = reading.column_name(name)
        is_file = datatype == entry_file.DATATYPE
        spelled = canonical(entry_file.KEPT_AS if is_file else datatype)
        if mandatory not in {"0", "1"}:
            raise ValueError(f"mandatory is 0 or 1, not {mandatory!r}")
        file = FileRule() if is_file else None
        return cls(name, spelled, mandatory == "1", methods(index), file=file)


Entry = Column | Composite | Exclusion | Reference


def read(entry: Mapping[str, Any]) -> Entry:
    """Read one dict of a table's list.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    if "name" in entry:
        return _column(entry)
    if "foreign_key" in entry:
        reading.known(entry, REFERENCE)
        columns = reading.names(entry, "foreign_key")
        reference = _reference(entry, columns)
        if reference is None:
            raise ValueError("'references' is missing: 'table.column'")
        return reference
    if "exclude" in entry:
        return entry_index.exclusion(entry)
    if ("index" in entry or "expression" in entry) and "datatype" not in entry:
        return entry_index.composite(entry)
    raise ValueError(
        "a dict has 'name' and 'datatype', or 'index', 'expression', 'exclude' or"
        " 'foreign_key'"
    )


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


def _column(entry: Mapping[str, Any]) -> Column:
    file, kept_as = None, entry.get("datatype")
    if kept_as == entry_file.DATATYPE:
        file, kept_as = entry_file.rule(entry), entry_file.KEPT_AS
        entry = {key: entry[key] for key in entry if key in COLUMN}
    reading.known(entry, COLUMN)
    name = reading.column_name(reading.word(entry, "name"))
    if "datatype" not in entry:
        raise ValueError("'datatype' is missing")
    datatype = canonical(reading.word({"datatype": kept_as}, "datatype"))
    index = entry.get("index", "0")
    if isinstance(index, list | tuple):
        index = ",".join(map(str, index))
    old = reading.word(entry, "old")
    if old and reading.unquoted_name(old) in {name, "id"}:
        raise ValueError(f"'old' is another name than {old!r}")
    column = Column(
        name,
        datatype,
        reading.bit(entry, "is_mandatory"),
        methods(str(index).strip() or "0"),
        _default(entry, datatype),
        reading.bit(entry, "unique"),
        reading.expression(entry, "check"),
        _regex(entry, datatype),
        _choices(entry, datatype),
        old,
        _reference(entry, (name,)),
        reading.expression(entry, "generated"),
        reading.bit(entry, "keep"),
        file,
    )
    _agree(column)
    return column


def _agree(column: Column) -> None:
    """See that what is asked of a column can be had together."""
    filled = column.default not in {None, "", NULL}
    constant = filled and "'" in str(column.default)
    if constant and column.choices and column.default not in column.choices:
        raise ValueError("'default' is none of 'in'")
    if column.generated and column.default:
        raise ValueError("'generated' is computed and has no 'default'")
    if column.keep and (not column.old or column.generated):
        why = "is not for what is generated" if column.generated else "needs 'old'"
        raise ValueError(f"'keep' {why}")
    on_delete = column.reference.on_delete if column.reference is not None else ""
    if column.generated and on_delete == "set null":
        raise ValueError("what is generated cannot be 'set null'")
    if column.not_null and on_delete == "set null":
        raise ValueError("a mandatory column cannot be 'set null'")


def _default(entry: Mapping[str, Any], datatype: str) -> str:
    if "default" not in entry:
        return ""
    try:
        return default(entry["default"], datatype)
    except ValueError as error:
        raise ValueError(f"'default': {error}") from None


def _regex(entry: Mapping[str, Any], datatype: str) -> str:
    text = reading.word(entry, "regex")
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
    on_delete = " ".join(reading.word(entry, "on_delete").lower().split())
    text = reading.word(entry, "references")
    if not text:
        if on_delete:
            raise ValueError("'on_delete' needs 'references'")
        return None
    if on_delete and on_delete not in ON_DELETE:
        hint = nearest(on_delete, ON_DELETE) or f"Use {', '.join(ON_DELETE)}."
        raise ValueError(f"'on_delete': {on_delete!r} is not known. {hint}")
    table, _, inside = text.partition(".")
    named = (inside or "id").split(",")
    targets = tuple(reading.unquoted_name(name.strip()) for name in named)
    if len(targets) != len(columns):
        raise ValueError(
            f"'references' names {len(targets)} column(s) for {len(columns)}"
        )
    plain = "" if on_delete == "no action" else on_delete
    return Reference(columns, reading.unquoted_name(table.strip()), targets, plain)
