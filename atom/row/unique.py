"""The unique rules of a table: by which columns a row may be there already."""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from atom.errors import ApiError
from atom.postgres.catalog import Catalog, shown
from atom.postgres.database import Database
from atom.row.sql import upsert

Keys = tuple[str, ...]  # the columns of a rule

# Read once for each catalog: a changed schema is a new catalog.
_known: WeakKeyDictionary[Catalog, dict[str, list[Keys]]] = WeakKeyDictionary()


async def rules(database: Database, table: str) -> list[Keys]:
    """Return the columns of each unique rule of a table."""
    catalog = database.catalog
    if catalog not in _known:
        known: dict[str, list[Keys]] = {}
        for row in await database.rows(upsert.UNIQUE):
            known.setdefault(row["table"], []).append(tuple(row["columns"]))
        _known[catalog] = known
    return _known[catalog].get(table, [])


def choose(table: str, usable: Sequence[Keys], wanted: Keys) -> Keys:
    """Return the one of the usable rules that has the wanted columns, in any order.

    Raises:
        ApiError: `row.no_unique`, naming those there are.
    """
    for keys in usable:
        if set(keys) == set(wanted) and len(keys) == len(wanted):
            return keys
    choices = sorted({",".join(keys) for keys in usable})
    raise ApiError(
        f"Table '{table}' has no unique rule of '{shown(','.join(wanted))}'.",
        code="row.no_unique",
        hint="There is: " + "; ".join(choices) + "."
        if choices
        else "It has none that could be named here.",
    )
