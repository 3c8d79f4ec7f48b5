"""`on_conflict=a,b&mode=merge|ignore`: rows that may be there already."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from atom.errors import ApiError, Conflict, nearest
from atom.feature import row_value
from atom.feature.batch_insert import Row, blamed, listed
from atom.feature.reach import Reach
from atom.feature.row_rule import about, telling
from atom.sql import upsert
from atom.sql.catalog import Catalog, Table, shown
from atom.sql.run import Database
from atom.sql.statement import Statement, Target

ASKED = ("on_conflict", "mode")
MODES = ("merge", "ignore")
Keys = tuple[str, ...]

# Read once for each catalog: a changed schema is a new catalog.
_unique: WeakKeyDictionary[Catalog, dict[str, list[Keys]]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Wish:
    """By which columns rows are the same, and what happens then."""

    keys: Keys
    mode: str


def wish(asked: Mapping[str, str]) -> Wish | None:
    """Read the two parameters; None when neither is given.

    Raises:
        ApiError: when one is missing or the mode is unknown.
    """
    if not any(name in asked for name in ASKED):
        return None
    mode = asked.get("mode", "")
    if mode not in MODES:
        raise ApiError("'mode' takes merge or ignore.", hint=nearest(mode[:60], MODES))
    keys = tuple(part.strip() for part in asked.get("on_conflict", "").split(","))
    if not all(keys):
        raise ApiError(
            "'on_conflict' takes columns of a unique rule.",
            hint="For example on_conflict=title.",
        )
    return Wish(keys, mode)


async def create(
    database: Database, reach: Reach, table: str, body: Any, asked: Wish
) -> Any:
    """Add rows, or change (merge) or leave alone (ignore) those with the same keys.

    Returns the id, or the ids in order. With `ignore` it is null where the row that is
    there is not the caller's.

    Raises:
        ApiError: when the columns are no unique rule, naming those there are.
        Conflict: `row.exists` when merge meets a row that is not the caller's.
    """
    target = reach.creatable(database.catalog, table)
    if reach.tier == "public":
        raise ApiError("'on_conflict' is for callers with a token.")
    keys = await _keys(database, reach, target.table, asked.keys)
    given, many = row_value.rows(body, reach.rules.write_max)
    reader = row_value.Reader(reach, target.table, create=True)
    stamps = reach.stamps(target.table, create=True)
    read = await reader.listed(given) if many else [await reader.read(given[0])]
    rows = [{**row, **stamps} for row in read]
    _alike(rows, keys, many)
    if asked.mode == "merge":
        _distinct(rows, keys)
    async with telling(database):
        work = _merge if asked.mode == "merge" else _ignore
        ids = await work(database, reach, target, keys, rows, many)
    database.written(table)
    return ids if many else ids[0]


async def _keys(database: Database, reach: Reach, table: Table, asked: Keys) -> Keys:
    """Return the unique rule with these columns, if the caller can name it."""
    stamps = reach.stamps(table, create=True)
    usable = [
        keys
        for keys in await unique(database, table.name)
        if all(key in stamps or _writable(reach, table, key) for key in keys)
    ]
    return named(table.name, usable, asked)


async def unique(database: Database, table: str) -> list[Keys]:
    """Return the columns of each unique rule of a table."""
    catalog = database.catalog
    if catalog not in _unique:
        known: dict[str, list[Keys]] = {}
        for row in await database.rows(upsert.UNIQUE):
            known.setdefault(row["table"], []).append(tuple(row["columns"]))
        _unique[catalog] = known
    return _unique[catalog].get(table, [])


def named(table: str, usable: Sequence[Keys], asked: Keys) -> Keys:
    """Return the one of the usable rules that has the columns asked for.

    Raises:
        ApiError: `row.no_unique`, naming those there are.
    """
    for keys in usable:
        if set(keys) == set(asked) and len(keys) == len(asked):
            return keys
    choices = sorted({",".join(keys) for keys in usable})
    raise ApiError(
        f"Table '{table}' has no unique rule of '{shown(','.join(asked))}'.",
        code="row.no_unique",
        hint="There is: " + "; ".join(choices) + "."
        if choices
        else "It has none that could be named here.",
    )


def _writable(reach: Reach, table: Table, name: str) -> bool:
    if name.casefold() in reach.rules.secret:
        return False
    try:
        row_value.column(reach, table, name, create=True)
    except ApiError:
        return False
    return True


def _alike(rows: list[Row], keys: Keys, many: bool) -> None:
    """Refuse rows of different columns, and rows without a key.

    Raises:
        ApiError: naming the row and the column.
    """
    for number, row in enumerate(rows):
        error = None
        lacking = [key for key in keys if row.get(key) is None]
        if lacking:
            error = ApiError(f"'on_conflict' needs a value of column '{lacking[0]}'.")
        elif row.keys() != rows[0].keys():
            error = ApiError(
                "With 'on_conflict' all rows have the same columns.",
                hint="Write null where a row has no value.",
            )
        if error is not None:
            raise row_value.placed(error, number) if many else error


def _distinct(rows: list[Row], keys: Keys) -> None:
    """Refuse a row twice: which of the two should win is not for us to say.

    Raises:
        Conflict: naming both.
    """
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        first = seen.setdefault(repr([row[key] for key in keys]), number)
        if first != number:
            error = Conflict(f"The same {', '.join(keys)} as in row {first}.")
            raise row_value.placed(error, number)


def _statement(
    reach: Reach, target: Target, text: str, *values: Any
) -> tuple[str, tuple[Any, ...]]:
    return text, Statement(text, values, target.owned).bound(reach.owner)


async def _merge(
    database: Database,
    reach: Reach,
    target: Target,
    keys: Keys,
    rows: list[Row],
    many: bool,
) -> list[int]:
    names, stamps = tuple(sorted(rows[0])), reach.stamps(target.table, create=False)
    text = upsert.merge(target, names, keys, next(iter(stamps), ""))

    def of(*chosen: Row) -> tuple[str, tuple[Any, ...]]:
        lists = listed(target.table, names, chosen)
        return _statement(reach, target, text, *lists, *stamps.values())

    foreign = Conflict(
        f"A row with the same {', '.join(keys)} exists and is not yours."
        if target.owned
        else f"A trigger leaves out the row with these {', '.join(keys)}."
    )
    if not many:
        statement, values = of(rows[0])
        with about(target.table, rows[0]):
            made: list[int] | None = await database.value(statement, *values)
        if made is None:
            raise foreign
        return made
    try:
        async with database.transaction() as connection:
            statement, values = of(*rows)
            made = await connection.value(statement, *values)
            if made is None or len(made) < len(rows):
                raise foreign
            return made
    except ApiError as error:
        raise await _blamed(database, target, rows, of, error) from None


async def _blamed(
    database: Database,
    target: Target,
    rows: list[Row],
    of: Callable[..., tuple[str, tuple[Any, ...]]],
    error: ApiError,
) -> ApiError:
    return await blamed(database, target.table, rows, lambda _, row: of(row), error)


async def _ignore(
    database: Database,
    reach: Reach,
    target: Target,
    keys: Keys,
    rows: list[Row],
    many: bool,
) -> list[int | None]:
    names = tuple(sorted(rows[0]))

    def of(*chosen: Row) -> tuple[str, tuple[Any, ...]]:
        lists = listed(target.table, names, chosen)
        return _statement(reach, target, upsert.ignore(target, names, keys), *lists)

    statement, values = of(*rows)
    try:
        with about(target.table, rows[0]):
            found = await database.rows(statement, *values)
    except ApiError as error:
        if not many:
            raise
        raise await _blamed(database, target, rows, of, error) from None
    ids: list[int | None] = [row["id"] for row in found]
    unknown = [place for place, made in enumerate(ids) if made is None]
    if unknown:
        # One that somebody made while this statement waited is seen only by the next.
        lists = listed(target.table, keys, [rows[place] for place in unknown])
        text, values = _statement(reach, target, upsert.found(target, keys), *lists)
        late = await database.rows(text, *values)
        for place, row in zip(unknown, late, strict=True):
            ids[place] = row["id"]
    return ids
