"""Rows of several tables in one transaction, later ones referring to earlier ones."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.datatype import value
from atom.errors import ApiError, Conflict, nearest
from atom.postgres.catalog import LiveColumn, Table, shown
from atom.postgres.database import Database
from atom.row import payload
from atom.row.allowed import require_allowed
from atom.row.explain_error import naming_columns
from atom.row.scope import RowScope
from atom.row.sql.statement import RowSet
from atom.row.write import Row, insert_one

ENTRIES_MAX = 100
FIELDS = ("table", "object", "as")
NAME = re.compile(r"[A-Za-z_]\w{0,59}", re.ASCII)
REFERENCE = re.compile(r"\$([A-Za-z_]\w*)\.(\w+)", re.ASCII)
ESCAPED = re.compile(r"\$\$[A-Za-z_]\w*\.\w+", re.ASCII)

Named = tuple[int, Table]  # the place of an earlier entry, and its table


@dataclass(frozen=True, slots=True)
class Entry:
    """One row to write: its own values, and the earlier rows that it refers to."""

    into: RowSet
    row: Row
    references: Mapping[str, tuple[LiveColumn, int]]  # column, place of the other row


async def create_many(database: Database, scope: RowScope, body: Any) -> list[int]:
    """Add rows of any tables, all or none. Return their ids, in order.

    `{"table": …, "object": {…}, "as": "order"}` gives a row a name; a value that is
    `"$order.id"` in a later object is its id. `"$$order.id"` is the text `$order.id`.

    Raises:
        ApiError: naming the entry.
    """
    if not isinstance(body, list) or not body:
        raise ApiError(
            "The body takes a list of entries.",
            hint='For example [{"table": "test", "object": {"title": "x"}}].',
        )
    if len(body) > scope.rules.write_max:
        raise payload.too_many(len(body), scope.rules.write_max)
    if len(body) > ENTRIES_MAX:
        raise ApiError(
            f"One request takes at most {ENTRIES_MAX} entries; these are {len(body)}.",
            code="row.too_many",
            hint="Many rows of one table are a list for object-create.",
        )
    names: dict[str, Named] = {}
    entries = []
    for number, raw in enumerate(body):
        try:
            entries.append(await _entry(database, scope, raw, names))
            if isinstance(raw, Mapping) and "as" in raw:
                names[_name(raw["as"], names)] = number, entries[-1].into.table
        except ApiError as error:
            raise payload.placed(error, number, "Entry") from None
    ids: list[int] = []
    async with naming_columns(database), database.transaction():
        for number, entry in enumerate(entries):
            try:
                references = {
                    name: value.from_json(column, _plain(ids[place]))
                    for name, (column, place) in entry.references.items()
                }
                row = {**entry.row, **references}
                ids.append(await _insert(database, scope, entry.into, row))
            except ApiError as error:
                raise payload.placed(error, number, "Entry") from None
    for table in {entry.into.table.name for entry in entries}:
        database.written(table)
    return ids


def _plain(key: Any) -> int | str:
    """Return a key as JSON has it."""
    return key if isinstance(key, int) else str(key)


async def _insert(database: Database, scope: RowScope, into: RowSet, row: Row) -> int:
    """Insert a row in a transaction; refused by its rule before it meets another."""
    if into.rule.check is None:
        return await _insert_one(database, scope, into, row)
    try:
        async with database.transaction():  # a savepoint: the rule is asked after it
            return await _insert_one(database, scope, into, row)
    except Conflict:
        await require_allowed(database, scope.bind, into, [row], many=False)
        raise


async def _insert_one(
    database: Database, scope: RowScope, into: RowSet, row: Row
) -> int:
    hooked = scope.rules.hooks.get((into.table.name, "create"))
    if hooked is None:
        return await insert_one(database, scope.bind, into, row)
    (made,) = await hooked.create_all(database, scope, into, [row], many=False)
    return made


async def _entry(
    database: Database,
    scope: RowScope,
    raw: Any,
    names: Mapping[str, Named],
) -> Entry:
    """Parse an entry as far as possible before any row is there."""
    if not isinstance(raw, Mapping):
        raise ApiError("An entry is an object with 'table' and 'object'.")
    for field in raw:
        if field not in FIELDS:
            raise ApiError(
                f"An entry has no '{shown(field)}'.",
                hint=nearest(field[:60], FIELDS) or "It takes table, object, as.",
            )
    name, body = raw.get("table"), raw.get("object")
    if not isinstance(name, str) or not isinstance(body, Mapping):
        raise ApiError("An entry is an object with 'table' and 'object'.")
    into = scope.creatable(database.catalog, name)
    reader = payload.Reader(scope, into.table, create=True)
    plain, references = {}, {}
    for column, raw_value in body.items():
        if isinstance(raw_value, str) and (match := REFERENCE.fullmatch(raw_value)):
            place = _place(match[1], match[2], names)
            references[column] = (reader.column(column), place)
        elif isinstance(raw_value, str) and ESCAPED.fullmatch(raw_value):
            plain[column] = raw_value[1:]
        else:
            plain[column] = raw_value
    row = await reader.read(plain) if plain or not references else {}
    row |= scope.stamps(into.table, create=True)
    return Entry(into, row, references)


def _place(name: str, column: str, names: Mapping[str, Named]) -> int:
    if name not in names:
        raise ApiError(
            f"There is no earlier entry '{shown(name)}'.",
            hint=nearest(name[:60], names)
            or f'For the text itself write "$${shown(name)}.{shown(column)}".',
        )
    place, table = names[name]
    if column != (key := table.key):
        raise ApiError(
            f"Of an earlier entry only its {key} is known: '${shown(name)}.{key}'."
        )
    return place


def _name(raw: Any, names: Mapping[str, Named]) -> str:
    if not isinstance(raw, str) or not NAME.fullmatch(raw):
        raise ApiError("'as' takes a name of letters, digits and underscores.")
    if raw in names:
        raise ApiError(f"Another entry is called '{raw}' already.")
    return raw
