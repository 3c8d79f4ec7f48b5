"""A declaration as this server can store it: datatypes, indexes, extensions."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from atom.datatype.families import EXTENSIONS
from atom.postgres.identifier import quote
from atom.schema.column import INDEX_METHODS, Column, element
from atom.schema.declaration import Declaration
from atom.schema.index import UNIQUE, Index, Part, index_name, other_name, trigram
from atom.schema.live import ColumnState, IndexState, Live


@dataclass
class Target:
    """What the database should come to; filled by `resolve`."""

    live: Live
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    extensions: list[str] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def usable(self, extension: str) -> bool:
        """Whether an extension is installed or this role may install it."""
        state = self.live.extensions.get(extension)
        return state is not None and (state.schema is not None or state.creatable)

    def use(self, *extensions: str) -> bool:
        """Have extensions installed, all or none. Return whether they can be."""
        if not all(map(self.usable, extensions)):
            return False
        for extension in extensions:
            missing = self.live.extensions[extension].schema is None
            if missing and extension not in self.extensions:
                self.extensions.append(extension)
        return True

    def within(self, extension: str, name: str) -> str:
        """Qualify a name of an extension by the schema it is installed in."""
        return f"{quote(self.live.extensions[extension].schema or 'public')}.{name}"

    def note(self, text: str) -> None:
        """Note once what this server or role cannot do."""
        if text not in self.notes:
            self.notes.append(text)


def cure(target: Target, *extensions: str) -> str:
    """Note how to make missing extensions available."""
    lacking = [name for name in extensions if name not in target.live.extensions]
    if lacking:
        return f"Install {' and '.join(lacking)} on the database server."
    commands = "; ".join(f"create extension {name}" for name in extensions)
    return f"Let a superuser run: {commands}"


def resolve(declared: Declaration, live: Live, *, convert: bool) -> Target:
    """Choose datatypes and indexes; with `convert`, points become geography."""
    target = Target(live)
    for table, columns in declared.tables.items():
        state = live.tables.get(table)
        found = state.columns if state is not None else {}
        target.tables[table] = {
            name: _datatype(target, table, column, found.get(name), convert)
            for name, column in columns.items()
        }
    for table, columns in declared.tables.items():
        for column in columns.values():
            for method in column.indexes:
                _add_index(target, table, [column], method)
            if column.unique:
                _add_index(target, table, [column], "btree", unique=True)
    for table, composites in declared.indexes.items():
        for index in composites:
            named = [declared.column(table, name) for name in index.columns]
            _add_index(target, table, named, index.method, index.unique)
    return target


def _datatype(
    target: Target,
    table: str,
    column: Column,
    state: ColumnState | None,
    convert: bool,
) -> str:
    extension = EXTENSIONS.get(element(column.datatype))
    if extension is None:
        return column.datatype
    point = is_point(column)
    if point and state is not None and state.datatype == "point":
        if not target.usable(extension):
            _note_points(target)
            return "point"
        if not convert:
            target.drift.append(
                f"{table}.{column.name} is a point and PostGIS is here now:"
                " is_destructive=1 turns it into geography and keeps every row."
            )
            return "point"
    if target.use(extension):
        return column.datatype
    if point:
        _note_points(target)
        return "point"
    target.refusals.append(
        f"{table}.{column.name}: {column.datatype} needs the extension {extension}."
        f" {cure(target, extension)}"
    )
    return column.datatype


def is_point(column: Column) -> bool:
    """Whether a column is a place on earth, which Atom stores without PostGIS."""
    return column.datatype == "geography(point,4326)"


def _note_points(target: Target) -> None:
    target.note(
        "geography(POINT) is stored as point (longitude, latitude), because PostGIS"
        f" cannot be used here. {cure(target, 'postgis')}"
    )


def _add_index(
    target: Target,
    table: str,
    columns: Sequence[Column],
    method: str,
    unique: bool = False,
) -> None:
    parts = [_part(target, table, column, method) for column in columns]
    if None in parts:
        return
    joined = ",".join(column.name for column in columns)
    name = _free_name(target, table, joined, UNIQUE if unique else method)
    found = tuple(part for part in parts if part is not None)
    target.indexes[name] = Index(name, table, method, found, unique)


def _part(target: Target, table: str, column: Column, method: str) -> Part | None:
    """Return what an index stores of a column; None when it cannot be built here."""
    datatype = target.tables[table].get(column.name, column.datatype)
    if lent := trigram(method, datatype):
        if not target.use("pg_trgm"):
            target.note(
                f"A {method} index on text needs pg_trgm, which cannot be used here;"
                f" it is left out. {cure(target, 'pg_trgm')}"
            )
            return None
        return Part(column.name, target.within("pg_trgm", lent))
    return Part(column.name)


def _free_name(target: Target, table: str, columns: str, method: str) -> str:
    name = index_name(table, columns, method)
    state = target.live.indexes.get(name)
    if name in target.indexes or (state is not None and state.table != table):
        return other_name(table, columns, method)
    return name


KINDS = (*INDEX_METHODS, UNIQUE)


def own_names(table: str, columns: Iterable[str]) -> set[str]:
    """Return every name Atom may have given to an index on one of these columns.

    Of an index on several columns hand in all of them, with commas between.
    """
    return {
        make(table, column, method)
        for column in columns
        for method in KINDS
        for make in (index_name, other_name)
    }


def is_own(index: IndexState, singles: Collection[str]) -> bool:
    """Whether an index has the name Atom gives; `singles` are `own_names`."""
    several = len(index.keys) > 1
    return index.name in singles or (
        several and index.name in own_names(index.table, [",".join(index.columns)])
    )
