"""Which column holds the ids of which table: real foreign keys first, then by name."""

from collections.abc import Mapping
from functools import lru_cache

from atom.datatype.datatype import datatype
from atom.postgres.catalog import Catalog, LiveColumn, Table

# Who made and who changed a row; every table may have them, so a table is a child of
# users by another column first.
STAMPS = ("created_by_id", "updated_by_id")
KEY = "id"


@lru_cache(16)
def parents(catalog: Catalog) -> Mapping[str, Mapping[str, str]]:
    """Return, for every table, its columns that refer and the tables they refer to."""
    return {
        table.name: {
            column.name: parent
            for column in table.columns.values()
            if (parent := _parent(catalog, table, column)) is not None
        }
        for table in catalog.tables.values()
    }


@lru_cache(16)
def children(catalog: Catalog) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return, for every table, the tables that refer to it and by which columns."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for child, columns in parents(catalog).items():
        for column, parent in columns.items():
            by = found.setdefault(parent, {})
            by[child] = (*by.get(child, ()), column)
    return found


def _parent(catalog: Catalog, table: Table, column: LiveColumn) -> str | None:
    if datatype(column.datatype).family != "integer":
        return None
    for name in _named(table, column):
        parent = catalog.tables.get(name)
        if parent is not None and KEY in parent.columns:
            whole = datatype(parent.columns[KEY].datatype).family == "integer"
            return name if whole else None
    return None


def _named(table: Table, column: LiveColumn) -> tuple[str, ...]:
    """Name the tables a column may refer to, the likeliest first."""
    if column.refers is not None:
        return (column.refers,)
    if column.name in STAMPS:
        return ("users",)
    if column.name == "parent_id":
        return (table.name,)
    if not column.name.endswith("_id"):
        return ()
    stem = column.name.removesuffix("_id")
    return (stem, stem + "s")
