"""`config_postgres_schema` read as a whole: tables, queries, and all its faults."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from atom.datatype.declared import fits
from atom.errors import ConfigError, nearest
from atom.schema.entry import Column, Composite, Reference, unquoted_name
from atom.schema.entry import read as read_entry

KEY = "config_postgres_schema"
PARTS = ("table", "query")
ID = Column("id", "bigint", True, ())

CONSTRAINT = re.compile(r'\badd\s+constraint\s+"?(\w+)"?', re.IGNORECASE)
TABLE = re.compile(
    r'\balter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?(?:"?public"?\.)?"?(\w+)"?',
    re.IGNORECASE,
)
# PostgreSQL lets COLUMN be left out: `alter table t drop x` drops a column.
DESTRUCTIVE = re.compile(
    r"\bdrop\s+(table|schema|database|column|owned)\b|\btruncate\b|\bdelete\s+from\b"
    r"|\balter\s+table\b[^;]*?\bdrop\s+(?!constraint|not\b|default|identity|expression)"
    r"|\balter\s+(column\s+)?\"?\w+\"?\s+(set\s+data\s+)?type\b",
    re.IGNORECASE,
)
OUTSIDE = re.compile(
    r"\bconcurrently\b|^\s*(vacuum|alter\s+system|(create|drop)\s+(database|tablespace))\b",
    re.IGNORECASE,
)
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
STRING = re.compile(r"'(?:[^']|'')*'")


def digest(text: str) -> str:
    """Return a short mark that changes when the text does."""
    return sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Query:
    """A statement of the user's own, run once for each text it has had."""

    label: str
    text: str

    @property
    def mark(self) -> str:
        """A digest of this text, to compare with an earlier one."""
        return digest(self.text)

    @property
    def bare(self) -> str:
        """Return the text without comments and strings, for looking at its words."""
        return STRING.sub("''", COMMENT.sub(" ", self.text))

    @property
    def table(self) -> str:
        """Name the first table it alters, or ""."""
        found = TABLE.search(self.bare)
        return found[1] if found else ""

    @property
    def constraints(self) -> tuple[tuple[str, str], ...]:
        """Name the constraints it adds, each with its table."""
        return tuple(
            (table[1], name)
            for part in self.bare.split(";")
            if (table := TABLE.search(part)) is not None
            for name in CONSTRAINT.findall(part)
        )

    @property
    def destructive(self) -> bool:
        """Whether it takes rows, columns or tables away."""
        return DESTRUCTIVE.search(self.bare) is not None

    @property
    def transactional(self) -> bool:
        """Whether PostgreSQL lets it run in a transaction."""
        return OUTSIDE.search(self.bare) is None


@dataclass(frozen=True)
class Declaration:
    """The tables that should exist and the queries that should have run."""

    tables: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    queries: tuple[Query, ...] = ()
    indexes: Mapping[str, tuple[Composite, ...]] = field(default_factory=dict)
    references: Mapping[str, tuple[Reference, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, schema: Mapping[str, Any]) -> Self:
        """Read `{"table": {table: [line or dict, …]}, "query": {label: sql}}`.

        Raises:
            ConfigError: with every fault found.
        """
        problems: list[str] = []
        if not isinstance(schema, Mapping):
            raise ConfigError([f"{KEY}: expected a dict with 'table' and 'query'."])
        for part in schema:
            if part not in PARTS:
                hint = nearest(str(part), PARTS) or "Use 'table' and 'query'."
                problems.append(f"{KEY}: unknown key {part!r}. {hint}")
        tables = {
            name: found
            for name, lines in _items(schema, "table", problems)
            if (found := _table(name, lines, problems)) is not None
        }
        queries = tuple(
            query
            for label, text in _items(schema, "query", problems)
            if (query := _query(label, text, problems)) is not None
        )
        if problems:
            raise ConfigError(problems)
        return cls(
            {name: table.columns for name, table in tables.items()},
            queries,
            {name: tuple(table.indexes) for name, table in tables.items()},
            {name: tuple(table.references) for name, table in tables.items()},
        )

    def column(self, table: str, name: str) -> Column:
        """Return a column of a table, the id that every table has included."""
        return ID if name == "id" else self.tables[table][name]


@dataclass
class _Table:
    """A table while its lines are read."""

    columns: dict[str, Column] = field(default_factory=dict)
    indexes: list[Composite] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)


def _items(
    schema: Mapping[str, Any], part: str, problems: list[str]
) -> Iterator[tuple[str, Any]]:
    inside = schema.get(part, {})
    if not isinstance(inside, Mapping):
        problems.append(f"{KEY}: {part!r} is a dict, not {type(inside).__name__}.")
        return
    for name, value in inside.items():
        if isinstance(name, str):
            yield name, value
            continue
        problems.append(f"{KEY}: {part} {name!r}: a name is text.")


def _table(name: str, lines: Any, problems: list[str]) -> _Table | None:
    where = f"{KEY}: table {name}"
    try:
        unquoted_name(name)
    except ValueError as error:
        problems.append(f"{where}: {error}.")
        return None
    if not isinstance(lines, list | tuple):
        problems.append(f"{where}: expected a list of columns.")
        return None
    table, sound = _Table(), True
    for line in lines:
        if not isinstance(line, str | Mapping):
            problems.append(f"{where}: {line!r}: a column is one text or a dict.")
            continue
        fault = _add(table, line)
        if fault:
            sound = False
            problems.append(f"{where}: {line!r}: {fault.rstrip('.')}.")
    if sound:
        problems.extend(f"{where}: {fault}." for fault in _faults(table))
    return table


def _add(table: _Table, line: str | Mapping[str, Any]) -> str:
    """Add a declared line. Return what is wrong with it, or ""."""
    try:
        entry = Column.parse(line) if isinstance(line, str) else read_entry(line)
    except ValueError as error:
        return str(error)
    if isinstance(entry, Composite):
        table.indexes.append(entry)
        return ""
    if isinstance(entry, Reference):
        table.references.append(entry)
        return ""
    if entry.name == "id":
        return "id is made for every table; take the line out"
    if entry.name in table.columns:
        return f"column {entry.name} is declared twice"
    for method in entry.indexes + ("btree",) * entry.unique:
        if not fits(method, entry.datatype):
            return f"PostgreSQL has no {method} index on {entry.datatype}"
    table.columns[entry.name] = entry
    if entry.reference is not None:
        table.references.append(entry.reference)
    return ""


def _faults(table: _Table) -> Iterator[str]:
    """Find what only shows when all lines of a table are known."""
    columns = {"id": ID, **table.columns}
    for index in table.indexes:
        for name in index.columns:
            if name not in columns:
                yield f"index: no column {name!r}. {nearest(name, columns)}".rstrip(
                    ". "
                )
            elif not fits(index.method, columns[name].datatype):
                datatype = columns[name].datatype
                yield f"PostgreSQL has no {index.method} index on {datatype}"
    for reference in table.references:
        for name in reference.columns:
            if name not in columns:
                hint = nearest(name, columns)
                yield f"foreign_key: no column {name!r}. {hint}".rstrip(". ")
            elif reference.on_delete == "set null" and columns[name].not_null:
                yield f"foreign_key: {name!r} is mandatory and cannot be 'set null'"
    places = [(index.columns, index.method, index.unique) for index in table.indexes]
    places += [((c.name,), m, False) for c in columns.values() for m in c.indexes]
    places += [((c.name,), "btree", True) for c in columns.values() if c.unique]
    for place in {place for place in places if places.count(place) > 1}:
        yield f"the {place[1]} index on {', '.join(place[0])} is declared twice"
    keys = [reference.columns for reference in table.references]
    for key in {key for key in keys if keys.count(key) > 1}:
        yield f"the foreign key on {', '.join(key)} is declared twice"
    olds = [column.old for column in table.columns.values() if column.old]
    for old in dict.fromkeys(olds):
        if old in table.columns:
            yield f"'old' {old!r} is declared as a column itself"
        elif olds.count(old) > 1:
            yield f"two columns have the 'old' name {old!r}"


def _query(label: str, text: Any, problems: list[str]) -> Query | None:
    if not isinstance(text, str) or not text.strip():
        problems.append(f"{KEY}: query {label!r}: expected one SQL text.")
        return None
    if label.startswith("0") or text.lstrip().startswith("0"):
        return None
    return Query(label, text.strip())
