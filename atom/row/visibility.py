"""Which columns of a table may be shown: neither secret ones nor bytes."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from atom.datatype.datatype import datatype
from atom.port import Ports
from atom.postgres.catalog import Catalog, Table


@lru_cache(16)
def visible(catalog: Catalog, secret: frozenset[str]) -> Catalog:
    """Return the catalog without secret columns and bytes: those do not exist outside.

    Every name a caller writes is looked up here, so a secret column looks like
    one that does not exist.
    """
    return Catalog(
        MappingProxyType(
            {
                name: Table(name, _without(table, secret))
                for name, table in catalog.tables.items()
            }
        )
    )


@lru_cache(64)
def without(table: Table, hidden: frozenset[str]) -> Table:
    """Return a table without some of its columns."""
    return Table(table.name, _without(table, hidden))


def _without(table: Table, hidden: frozenset[str]) -> Mapping[str, Any]:
    return MappingProxyType(
        {
            name: column
            for name, column in table.columns.items()
            if name.casefold() not in hidden
            and (datatype(column.datatype).element or datatype(column.datatype)).family
            != "bytes"
        }
    )


def view(ports: Ports, name: str) -> Table:
    """Return a table without secret columns; the same object while it is the same.

    A column with `password` in its name is always secret.

    Raises:
        NotFound: `sql.unknown_table`.
    """
    table = ports.database.catalog.table(name)
    return _open(table, tuple(ports.config["config_column_secret_list"]))


@lru_cache(64)
def _open(table: Table, secret: tuple[str, ...]) -> Table:
    hidden = {name.casefold() for name in secret}
    hidden |= {name for name in map(str.casefold, table.columns) if "password" in name}
    return without(table, frozenset(hidden))
