"""`config_postgres_schema` read as a whole: tables, queries, and all its faults."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from atom.errors import ConfigError, nearest
from atom.sql.column import Column, check_name
from atom.sql.index import fits

KEY = "config_postgres_schema"
PARTS = ("table", "query")

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
        """Tell this text from an earlier one."""
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
        """Say whether it takes rows, columns or tables away."""
        return DESTRUCTIVE.search(self.bare) is not None

    @property
    def transactional(self) -> bool:
        """Say whether PostgreSQL lets it run in a transaction."""
        return OUTSIDE.search(self.bare) is None


@dataclass(frozen=True)
class Declaration:
    """The tables that should exist and the queries that should have run."""

    tables: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    queries: tuple[Query, ...] = ()

    @classmethod
    def parse(cls, schema: Mapping[str, Any]) -> Self:
        """Read `{"table": {table: [line, …]}, "query": {label: sql}}`.

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
            name: columns
            for name, lines in _items(schema, "table", problems)
            if (columns := _table(name, lines, problems)) is not None
        }
        queries = tuple(
            query
            for label, text in _items(schema, "query", problems)
            if (query := _query(label, text, problems)) is not None
        )
        if problems:
            raise ConfigError(problems)
        return cls(tables, queries)


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


def _table(name: str, lines: Any, problems: list[str]) -> dict[str, Column] | None:
    where = f"{KEY}: table {name}"
    try:
        check_name(name)
    except ValueError as error:
        problems.append(f"{where}: {error}.")
        return None
    if not isinstance(lines, list | tuple):
        problems.append(f"{where}: expected a list of columns.")
        return None
    columns: dict[str, Column] = {}
    for line in lines:
        if not isinstance(line, str):
            problems.append(f"{where}: {line!r}: a column is one text.")
            continue
        fault = _add(columns, line)
        if fault:
            problems.append(f"{where}: {line!r}: {fault.rstrip('.')}.")
    return columns


def _add(columns: dict[str, Column], line: str) -> str:
    """Add a column. Return what is wrong with it, or ""."""
    try:
        column = Column.parse(line)
    except ValueError as error:
        return str(error)
    if column.name == "id":
        return "id is made for every table; take the line out"
    if column.name in columns:
        return f"column {column.name} is declared twice"
    for method in column.indexes:
        if not fits(method, column.datatype):
            return f"PostgreSQL has no {method} index on {column.datatype}"
    columns[column.name] = column
    return ""


def _query(label: str, text: Any, problems: list[str]) -> Query | None:
    if not isinstance(text, str) or not text.strip():
        problems.append(f"{KEY}: query {label!r}: expected one SQL text.")
        return None
    if label.startswith("0") or text.lstrip().startswith("0"):
        return None
    return Query(label, text.strip())
