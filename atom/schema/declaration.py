"""`config_postgres_schema` read as a whole: tables, queries, and all its faults."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self, TypeVar

from atom.datatype.declared import fits
from atom.errors import ConfigError, nearest
from atom.schema import form
from atom.schema.entry import Column, Reference
from atom.schema.entry import read as read_entry
from atom.schema.entry_index import Composite, Exclusion
from atom.schema.form import OUTSIDE, Function, Migration, UserTrigger, View, bare
from atom.schema.reading import unquoted_name

if TYPE_CHECKING:
    from atom.own.part import Trigger

KEY = "config_postgres_schema"
PARTS = ("table", "query", "view", "function", "trigger", "migration", "drop")
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
NAMED = re.compile(r"[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?")
Read = TypeVar("Read")


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
        return bare(self.text)

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
    """What should exist, what should have run, and what may go."""

    tables: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    queries: tuple[Query, ...] = ()
    indexes: Mapping[str, tuple[Composite, ...]] = field(default_factory=dict)
    references: Mapping[str, tuple[Reference, ...]] = field(default_factory=dict)
    exclusions: Mapping[str, tuple[Exclusion, ...]] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
    triggers: Mapping[str, UserTrigger] = field(default_factory=dict)
    migrations: tuple[Migration, ...] = ()
    drop: tuple[str, ...] = ()  # tables, views, indexes, and columns as table.column
    row_triggers: tuple["Trigger", ...] = ()  # of Atom's own: they write row events

    @classmethod
    def parse(cls, schema: Mapping[str, Any]) -> Self:
        """Read the parts, each a dict by name; `drop` is a list.

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
        views = _forms(schema, "view", form.view, problems)
        triggers = _forms(schema, "trigger", form.trigger, problems)
        drop = _drop(schema, problems)
        problems += _apart(tables, views, triggers, drop)
        functions = _forms(schema, "function", form.function, problems)
        migrations = _forms(schema, "migration", form.migration, problems)
        if problems:
            raise ConfigError(problems)
        return cls(
            {name: table.columns for name, table in tables.items()},
            queries,
            {name: tuple(table.indexes) for name, table in tables.items()},
            {name: tuple(table.references) for name, table in tables.items()},
            {name: tuple(table.exclusions) for name, table in tables.items()},
            views,
            functions,
            triggers,
            tuple(migrations.values()),
            drop,
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
    exclusions: list[Exclusion] = field(default_factory=list)


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


def _forms(
    schema: Mapping[str, Any],
    part: str,
    read: Callable[[str, Any], Read],
    problems: list[str],
) -> dict[str, Read]:
    """Read the forms of one part; what cannot be read is a problem."""
    found = {}
    for name, entry in _items(schema, part, problems):
        try:
            found[name] = read(name, entry)
        except ValueError as error:
            problems.append(f"{KEY}: {part} {name}: {str(error).rstrip('.')}.")
    return found


def _drop(schema: Mapping[str, Any], problems: list[str]) -> tuple[str, ...]:
    named = schema.get("drop", ())
    if not isinstance(named, list | tuple):
        problems.append(f"{KEY}: 'drop' is a list, not {type(named).__name__}.")
        return ()
    for name in named:
        if not isinstance(name, str) or not NAMED.fullmatch(name):
            problems.append(
                f"{KEY}: drop {name!r}: expected a table, a view, an index, or a column"
                " as 'table.column'."
            )
    return tuple(str(name) for name in named)


def _apart(
    tables: Mapping[str, "_Table"],
    views: Mapping[str, View],
    triggers: Mapping[str, UserTrigger],
    drop: tuple[str, ...],
) -> Iterator[str]:
    """Find what only shows when all parts are known."""
    for name in views:
        if name in tables:
            yield f"{KEY}: view {name}: a table is declared with this name."
    for name, trigger in triggers.items():
        if trigger.table not in tables and trigger.table not in views:
            hint = nearest(trigger.table, [*tables, *views])
            yield (
                f"{KEY}: trigger {name}: {trigger.table!r} is not a declared table or"
                f" view. {hint}"
            ).rstrip()
    for name in drop:
        table, _, column = name.partition(".")
        columns = {"id", *tables[table].columns} if table in tables else set()
        if column in columns or (not column and (table in tables or table in views)):
            yield f"{KEY}: drop {name!r} is declared as well: take one of them out."


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
    if isinstance(entry, Exclusion):
        table.exclusions.append(entry)
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
    for exclusion in table.exclusions:
        for name in exclusion.columns:
            if name not in columns:
                hint = nearest(name, columns)
                yield f"exclude: no column {name!r}. {hint}".rstrip(". ")
    computed = [column.name for column in columns.values() if column.generated]
    for column in table.columns.values():
        for name in computed if column.generated else ():
            if re.search(rf"\b{name}\b(?!\s*\()", bare(column.generated)):
                yield f"{column.name}: 'generated' uses {name!r}, which is generated"
    places = [
        (index.columns or (index.keys,), index.method, (index.unique, index.where))
        for index in table.indexes
    ]
    single = columns.values()
    places += [((c.name,), m, (False, "")) for c in single for m in c.indexes]
    places += [((c.name,), "btree", (True, "")) for c in single if c.unique]
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
