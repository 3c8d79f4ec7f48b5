"""Rows created, updated and deleted, all of them or none.

Which of many rows is refused is found by trying them one by one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from atom.datatype import value
from atom.errors import ApiError, Conflict, NotFound
from atom.postgres.catalog import Table
from atom.postgres.database import Connection, Database
from atom.postgres.errors import UnlocatedValue
from atom.row import payload
from atom.row.allowed import explain_changes, explain_conflict
from atom.row.explain_error import about, find_filter, find_refused, naming_columns
from atom.row.scope import RowScope, ScopedRelatives
from atom.row.sql import query_string, read_plan, write
from atom.row.sql.filter import Shape, is_regular
from atom.row.sql.statement import RowSet
from atom.row.wait import in_turn

Row = dict[str, Any]
Group = tuple[tuple[str, ...], Sequence[int]]  # columns, and the places of their rows
Bind = Callable[..., tuple[Any, ...]]  # `RowScope.bind`


async def create(
    database: Database, scope: RowScope, table: str, body: Any
) -> int | list[int]:
    """Add a row, or a list of rows all or none. Return the id or ids, in order.

    Raises:
        Forbidden: `row.table_not_allowed`.
        ApiError: naming the row (of a list) and the column.
        Conflict: `row.exists`.
    """
    into = scope.creatable(database.catalog, table)
    raw, many = payload.rows(body, payload.most(scope, into))
    rows = await payload.Reader(scope, into.table, create=True).rows(raw, many=many)
    for row in rows:
        row.update(scope.stamps(into.table, create=True))
    hooked = scope.rules.hooks.get((table, "create"))
    insert = insert_rows if hooked is None else hooked.create
    async with naming_columns(database):
        try:
            made = await insert(database, scope, into, rows, many=many)
        except Conflict:
            await explain_conflict(database, scope.bind, into, rows, many=many)
            raise
    database.written(table)
    return made


async def insert_rows(
    database: Database, scope: RowScope, into: RowSet, rows: list[Row], *, many: bool
) -> int | list[int]:
    """Insert rows that are parsed. Return the id, or the ids of `many` in order."""
    rows = [without_presets(into, row) for row in rows]
    if many:
        return await _insert_many(database, scope, into, rows)
    return await insert_one(database, scope.bind, into, rows[0])


def without_presets(row_set: RowSet, row: Row) -> Row:
    """Return a row without what its rule sets, which a hook may have set too."""
    preset = row_set.rule.preset
    if not preset:
        return row
    return {name: value for name, value in row.items() if name not in preset}


async def _insert_many(
    database: Database, scope: RowScope, into: RowSet, rows: list[Row]
) -> list[int]:
    def attempt(_: int, row: Row) -> tuple[Any, ...]:
        return _insert(scope.bind, into, tuple(row), *row.values())

    try:
        return await insert(database, scope.bind, into, rows)
    except ApiError as error:
        table = into.table
        raise await find_refused(database, table, rows, attempt, error) from None


def _insert(
    bind: Bind, into: RowSet, names: tuple[str, ...], *values: Any
) -> tuple[Any, ...]:
    takes = into.rule.takes_to_write(names)
    return bind(takes, write.insert(into, names), *values)


async def update(
    database: Database, scope: RowScope, table: str, body: Any
) -> int | list[int]:
    """Change a row by the `id` in its body, or a list of rows all or none.

    Returns that id, or the ids in order.

    Raises:
        NotFound: `row.missing` when there is no such row, or it is not the caller's.
        ApiError: naming the row (of a list) and the column.
    """
    row_set = scope.changeable(database.catalog, table)
    raw, many = payload.rows(body, payload.most(scope, row_set))
    key = row_set.table.key
    ids = _ids(row_set.table, raw, many)
    changes = [{name: row[name] for name in row if name != key} for row in raw]
    reader = payload.Reader(scope, row_set.table, create=False)
    rows = await reader.rows(changes, many=many)
    row_set = scope.rules.policy.without_own_claims(
        scope.tier, row_set, {name for row in rows for name in row}
    )
    hooked = scope.rules.hooks.get((table, "update"))
    change = update_rows if hooked is None else hooked.update
    async with naming_columns(database):
        try:
            await change(database, scope, row_set, ids, rows, many=many)
        except Conflict:
            found = [([each], row) for each, row in zip(ids, rows, strict=True)]
            await explain_changes(database, scope, row_set, found, many=many)
            raise
    database.written(table)
    return ids if many else ids[0]


async def update_rows(
    database: Database,
    scope: RowScope,
    row_set: RowSet,
    ids: list[int],
    rows: list[Row],
    *,
    many: bool,
) -> None:
    """Change rows by values that are parsed; `many` in one statement.

    Raises:
        NotFound: `row.missing` when one is not there or not the caller's.
    """
    stamps = scope.stamps(row_set.table, create=False)
    rows = [without_presets(row_set, row) for row in rows]
    if many:
        return await _update_many(database, scope, row_set, ids, rows, stamps)
    row = {**rows[0], **stamps}
    with about(row_set.table, row):
        if await database.value(*_update_one(scope, row_set, ids[0], row)) is None:
            raise missing(scope)


def _ids(table: Table, rows: Sequence[Mapping[str, Any]], many: bool) -> list[int]:
    ids: dict[int, None] = {}
    for number, row in enumerate(rows):
        try:
            row_id = payload.identity(table, row.get(table.key))
            if row_id in ids:
                raise ApiError(f"The {table.key} {row_id} is in this list twice.")
        except ApiError as error:
            raise (payload.placed(error, number) if many else error) from None
        ids[row_id] = None
    return list(ids)


def _update_one(
    scope: RowScope, row_set: RowSet, row_id: int, row: Row
) -> tuple[Any, ...]:
    names = tuple(row)
    takes = row_set.rule.takes_to_write(names)
    return scope.bind(takes, write.update(row_set, names), row_id, *row.values())


async def _update_many(
    database: Database,
    scope: RowScope,
    row_set: RowSet,
    ids: list[int],
    rows: list[Row],
    stamps: Row,
) -> None:
    """Change rows in one statement; what a row leaves out keeps its value."""
    names = tuple(sorted({name for row in rows for name in row}))
    partial = tuple(n for n in names if any(n not in row for row in rows))
    table = row_set.table
    held = ([name in row for row in rows] for name in partial)
    lists = (ids, *listed(table, names, rows), *held)
    takes = row_set.rule.takes_to_write((*names, *stamps))

    async def change(wait: write.Wait) -> None:
        text = write.update_many(row_set, names, partial, tuple(stamps), wait)
        call = scope.bind(takes, text, *lists, *stamps.values())
        async with database.transaction() as connection:
            changed = set(await connection.value(*call) or ())
            for number, row_id in enumerate(ids):
                if row_id not in changed:
                    raise payload.placed(missing(scope), number)

    def attempt(number: int, row: Row) -> tuple[Any, ...]:
        return _update_one(scope, row_set, ids[number], {**row, **stamps})

    try:
        await in_turn(database, len(ids), change)
    except NotFound:
        raise
    except ApiError as error:
        raise await find_refused(database, table, rows, attempt, error) from None


async def update_ids(
    database: Database, scope: RowScope, table: str, ids: Any, column: str, raw: Any
) -> int:
    """Write one value into a column of several rows. Return how many there were.

    Raises:
        ApiError: naming the ids or the column that cannot be read.
    """
    row_set = scope.changeable(database.catalog, table)
    which = payload.identities(row_set.table, ids, payload.most(scope, row_set))
    reader = payload.Reader(scope, row_set.table, create=False)
    read = await reader.read({column: raw})
    row_set = scope.rules.policy.without_own_claims(scope.tier, row_set, read)
    hooked = scope.rules.hooks.get((table, "update"))
    change = _update_ids if hooked is None else hooked.update_ids
    async with naming_columns(database):
        try:
            count = await change(database, scope, row_set, which, read)
        except Conflict:
            found = [([each], read) for each in which]
            await explain_changes(database, scope, row_set, found, many=False)
            raise
    if count:
        database.written(table)
    return count


async def _update_ids(
    database: Database, scope: RowScope, row_set: RowSet, ids: list[int], row: Row
) -> int:
    row |= scope.stamps(row_set.table, create=False)
    names = tuple(row)
    takes = row_set.rule.takes_to_write(names)

    async def change(wait: write.Wait) -> int:
        text = write.update_ids(row_set, names, wait)
        return await database.run(*scope.bind(takes, text, ids, *row.values()))

    with about(row_set.table, row):
        return await in_turn(database, len(ids), change)


async def delete_ids(database: Database, scope: RowScope, table: str, ids: Any) -> int:
    """Delete rows by id. Return how many there were.

    Raises:
        ApiError: when the ids cannot be read.
        Conflict: `row.refused` when one of them is protected; then none is deleted.
    """
    row_set = scope.changeable(database.catalog, table, "delete")
    which = payload.identities(row_set.table, ids, payload.most(scope, row_set))
    hooked = scope.rules.hooks.get((table, "delete"))
    delete = delete_rows if hooked is None else hooked.delete
    count = await delete(database, scope, row_set, which)
    if count:
        database.written(table)
    return count


async def delete_rows(
    database: Database, scope: RowScope, row_set: RowSet, ids: list[int]
) -> int:
    """Delete rows by id. Return how many there were."""

    async def delete(wait: write.Wait) -> int:
        text = write.delete_ids(row_set, wait)
        return await database.run(*scope.call(row_set, text, ids))

    return await in_turn(database, len(ids), delete)


async def delete_any(database: Database, scope: RowScope, raw: bytes) -> int:
    """Delete the rows that meet every filter of a query string. Return how many.

    Raises:
        ApiError: without a filter, or naming what cannot be read in one; and
            `row.too_many` when more rows meet them than one request may write.
        Conflict: `row.refused` when one of them is protected; then none is deleted.
    """
    fixed, filters = query_string.split(query_string.decoded(raw), ("table",))
    row_set = scope.deletable(database.catalog, fixed["table"])
    if not filters:
        raise ApiError(
            "At least one filter is needed.", hint="For example title==,old."
        )
    view = scope.visible_columns(database.catalog, row_set.table.name)
    relatives = ScopedRelatives(scope, database.catalog)
    shapes, values = read_plan.conditions(view, filters, relatives)
    most = payload.most(scope, row_set)
    table = row_set.table.name
    hooked = scope.rules.hooks.get((table, "delete"))
    delete = _delete_any if hooked is None else hooked.delete_any
    try:
        counts = await delete(database, scope, row_set, shapes, values, most + 1)
    except UnlocatedValue as error:
        await find_filter(database, view, filters, error, relatives)
        raise
    if counts["found"] > most:
        raise payload.too_many(counts["found"], most)
    if counts["gone"]:
        database.written(table)
    gone: int = counts["gone"]
    return gone


async def _delete_any(
    database: Database,
    scope: RowScope,
    row_set: RowSet,
    shapes: tuple[Shape, ...],
    values: Sequence[Any],
    most: int,
) -> Mapping[str, int]:
    text, takes = write.delete_any(row_set, shapes), write.found_by(row_set, shapes)
    regular = any(is_regular(each) for each in shapes)
    seconds = scope.rules.regular_seconds if regular else None
    call = scope.bind(takes, text, *values, most)
    counts = await database.row(*call, seconds=seconds)
    assert counts is not None  # a select of two counts
    return counts


def missing(scope: RowScope) -> NotFound:
    """Return a 404. Someone else's row is reported as missing."""
    if scope.tier != "my":
        return NotFound("There is no such row.")
    return NotFound("There is no such row, or it is not yours.")


async def insert(
    database: Database,
    bind: Bind,
    into: RowSet,
    rows: Sequence[Row],
    lock_ms: int | None = None,
) -> list[int]:
    """Insert rows, all or none. Return their ids, in the order of the rows.

    `lock_ms` is how long to wait for a lock; None leaves it to the session.

    Raises:
        Conflict: `row.refused` when a trigger leaves a single row out.
        Forbidden: `row.rule_refused`.
    """
    groups = grouped(rows)
    if lock_ms is None and len(groups) == 1:
        if len(rows) == 1:
            return [await insert_one(database, bind, into, rows[0])]
        return await _insert_alike(database, bind, into, groups[0][0], rows)
    ids = [0] * len(rows)
    async with database.transaction(lock_ms=lock_ms) as connection:
        if len(rows) == 1:
            return [await insert_one(connection, bind, into, rows[0])]
        for names, places in groups:
            chosen = [rows[place] for place in places]
            made = await _insert_alike(connection, bind, into, names, chosen)
            for place, row_id in zip(places, made, strict=True):
                ids[place] = row_id
    return ids


async def insert_one(
    source: Database | Connection, bind: Bind, into: RowSet, row: Row
) -> int:
    """Insert one row. Return its id.

    Raises:
        Conflict: `row.refused` when a trigger leaves it out.
        Forbidden: `row.rule_refused`.
    """
    names = tuple(sorted(row))
    values = [row[name] for name in names]
    try:
        made: int | None = await source.value(*_insert(bind, into, names, *values))
    except UnlocatedValue as error:
        error.about = (into.table, row)
        raise
    if made is None:
        raise left_out(into.table)
    return made


async def _insert_alike(
    source: Database | Connection,
    bind: Bind,
    into: RowSet,
    names: tuple[str, ...],
    rows: Sequence[Row],
) -> list[int]:
    lists = listed(into.table, names, rows)
    takes = into.rule.takes_to_write(names)
    call = bind(takes, write.insert_many(into, names), *lists)
    made: list[int] = await source.value(*call)
    return made


def left_out(table: Table) -> Conflict:
    """Return the error for a row that a trigger replaced by null."""
    return Conflict(
        f"A trigger of table '{table.name}' leaves this row out.", code="row.refused"
    )


def grouped(rows: Sequence[Row]) -> list[Group]:
    """Sort rows into groups of the same columns; what a row leaves out is its default.

    The defaults of the catalog are not used: it may be out of date.
    """
    first = rows[0].keys()
    if all(row.keys() == first for row in rows):
        return [(tuple(sorted(first)), range(len(rows)))]
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(tuple(sorted(row)), []).append(place)
    return list(groups.items())


def listed(table: Table, names: Iterable[str], rows: Sequence[Row]) -> list[list[Any]]:
    """Turn rows into one list for each column; arrays travel as literals."""
    lists = []
    for name in names:
        items = [row.get(name) for row in rows]
        if table.columns[name].kind.element is not None:
            items = [value.literal(item) for item in items]
        lists.append(items)
    return lists
