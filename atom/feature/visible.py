"""A table without its secret columns, as its reader may see it."""

from functools import lru_cache

from atom.feature.reach import without
from atom.port import Ports
from atom.sql.catalog import Table


def view(ports: Ports, name: str) -> Table:
    """Return a table without secret columns; the same object while it is the same.

    Whatever config says, a column with `password` in its name is one.

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
