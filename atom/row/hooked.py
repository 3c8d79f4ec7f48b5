"""Writes of a table that has hooks: in one transaction with what the hooks do.

A hook gets a row as Python has it: a time as datetime, jsonb as an object. What it sets
is parsed as if a caller had sent it, and may be of a column no caller writes.
"""

import asyncio
import copy
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

from atom.errors import ApiError
from atom.hook import STRANGER, Function, Functions, Hook, Hooks
from atom.observe.request_context import CALLER
from atom.postgres.catalog import LiveColumn, Table, unknown_column
from atom.postgres.database import Database
from atom.row import payload, write
from atom.row.natural import natural, same, written
from atom.row.scope import RowScope
from atom.row.sql import stored
from atom.row.sql.filter import Shape
from atom.row.sql.statement import RowSet
from atom.row.sql.write import found_by
from atom.row.write import Row
from atom.task import Backlog

log = logging.getLogger(__name__)
COMMITTED_AT_ONCE = 4  # so that requests keep most of the connections


def hooked(hooks: Hooks, app: Any) -> dict[tuple[str, str], "HookedWrite"]:
    """Return what writes the tables with hooks, by table and verb."""
    backlog = Backlog(app.ports.tasks, at_once=COMMITTED_AT_ONCE)
    return {
        (table, verb): HookedWrite(table, verb, functions, app, backlog)
        for (table, verb), functions in hooks.items()
    }


@dataclass(frozen=True, slots=True)
class HookedWrite:
    """One verb on one table, with its hooks. The rows it takes are parsed already."""

    table: str
    verb: str
    functions: Functions
    app: Any
    backlog: Backlog  # of what follows commits

    async def create(
        self,
        database: Database,
        scope: RowScope,
        into: RowSet,
        rows: list[Row],
        *,
        many: bool,
    ) -> int | list[int]:
        """Add rows, all or none. Return the id, or the ids of `many` in order."""
        ids = await self.create_all(database, scope, into, rows, many=many)
        return ids if many else ids[0]

    async def create_all(
        self,
        database: Database,
        scope: RowScope,
        into: RowSet,
        rows: list[Row],
        *,
        many: bool,
    ) -> list[int]:
        """Add rows, all or none. Return the ids in order."""
        async with database.transaction():
            work = _Work(self, scope, into.table, many)
            rows = await work.before(rows, [None] * len(rows))
            made = await write.insert_rows(database, scope, into, rows, many=many)
            ids = made if isinstance(made, list) else [made]
            if work.has_after:
                await work.after(
                    database, await _present(database, into.table, ids), ids
                )
        return ids

    async def update(
        self,
        database: Database,
        scope: RowScope,
        row_set: RowSet,
        ids: list[int],
        rows: list[Row],
        *,
        many: bool,
    ) -> None:
        """Change rows, all or none."""
        async with database.transaction():
            olds = await _held(database, scope, row_set, ids, "no key update")
            for number, row_id in enumerate(ids):
                if row_id not in olds:
                    error = write.missing(scope)
                    raise payload.placed(error, number) if many else error
            work = _Work(self, scope, row_set.table, many)
            await self._update(database, work, row_set, olds, ids, rows)

    async def update_ids(
        self,
        database: Database,
        scope: RowScope,
        row_set: RowSet,
        ids: list[int],
        row: Row,
    ) -> int:
        """Write the same values into rows. Return how many there were."""
        async with database.transaction():
            olds = await _held(database, scope, row_set, ids, "no key update")
            if olds:
                work = _Work(self, scope, row_set.table, len(ids) > 1, ids)
                rows = [dict(row) for _ in olds]
                found = work.known(olds)
                await self._update(database, work, row_set, olds, found, rows)
        return len(olds)

    async def _update(
        self,
        database: Database,
        work: "_Work",
        row_set: RowSet,
        olds: Mapping[int, Row],
        ids: list[int],
        rows: list[Row],
    ) -> None:
        scope = work.scope
        rows = await work.before(rows, [olds[row_id] for row_id in ids])
        for name in scope.stamps(row_set.table, create=False):
            for row in rows:
                row.pop(name, None)  # the server writes it itself
        with work.labelled():
            await write.update_rows(database, scope, row_set, ids, rows, many=work.many)
        if work.has_after:
            found = await _present(database, row_set.table, ids)
            await work.after(database, found, ids, olds)

    async def delete(
        self, database: Database, scope: RowScope, row_set: RowSet, ids: list[int]
    ) -> int:
        """Delete rows by id. Return how many there were."""
        async with database.transaction():
            olds = await _held(database, scope, row_set, ids, "update")
            if not olds:
                return 0
            work = _Work(self, scope, row_set.table, len(ids) > 1, ids)
            found = work.known(olds)
            await work.before_delete([olds[row_id] for row_id in found])
            gone = await write.delete_rows(database, scope, row_set, found)
            await work.after(database, olds, found, olds)
        return gone

    async def delete_any(
        self,
        database: Database,
        scope: RowScope,
        row_set: RowSet,
        shapes: tuple[Shape, ...],
        values: Sequence[Any],
        most: int,
    ) -> dict[str, int]:
        """Delete the rows that meet conditions; none where there are `most` or more.

        Returns how many were `found`, and how many are `gone`.
        """
        async with database.transaction():
            text, takes = stored.chosen(row_set, shapes), found_by(row_set, shapes)
            ids = await database.value(*scope.bind(takes, text, *values, most))
            gone = 0
            if len(ids) < most:
                gone = await self.delete(database, scope, row_set, ids)
        return {"found": len(ids), "gone": gone}


class _Work:
    """The hooks of one statement: on each of its rows, and on all of them.

    An error names a row of `many` by its number, or by its id where there are `ids`.
    """

    def __init__(
        self,
        hooked: HookedWrite,
        scope: RowScope,
        table: Table,
        many: bool,
        ids: Sequence[int] | None = None,
    ) -> None:
        self.scope, self.many = scope, many
        self._hooked = hooked
        self._functions = hooked.functions
        self._table, self._ids = table, ids
        self._known: list[tuple[int, Any]] = []
        self._user = _user(scope)
        self.has_after = bool(hooked.functions.after or hooked.functions.committed)

    def known(self, olds: Mapping[Any, Row]) -> list[Any]:
        """Return the ids that were sent and are there, each once; note their places."""
        places = {row_id: place for place, row_id in enumerate(self._ids or ())}
        self._known = [(place, i) for i, place in places.items() if i in olds]
        return [row_id for _, row_id in self._known]

    def _hook(self, old: Any = None) -> Hook:
        app = self._hooked.app
        return Hook(app.state.client_postgres, self._user, app, old)

    async def before(self, rows: list[Row], olds: Sequence[Any]) -> list[Row]:
        """Run what comes before; return the rows with what it changed, parsed."""
        functions = self._functions
        if not functions.before and not functions.rows:
            return rows
        given = [self._natural(row) for row in rows]
        for number, old in enumerate(olds):
            for each in functions.before:
                found = await self._call(each, given[number], self._hook(old), number)
                given[number] = _taken(each, found, given[number], dict)
        is_create = self._hooked.verb == "create"
        hook = self._hook(None if is_create else list(olds))
        for each in functions.rows:
            given = _taken(each, await each(given, hook), given, list)
            if len(given) != len(rows):
                raise TypeError(f"{_name(each)} must return as many rows as it got")
        return [
            await self._parsed(row, before, number)
            for number, (row, before) in enumerate(zip(given, rows, strict=True))
        ]

    async def before_delete(self, olds: list[Row]) -> None:
        """Run what comes before a delete; nothing it changes is written."""
        for number, old in enumerate(olds):
            for each in self._functions.before:
                await self._call(each, dict(old), self._hook(old), number)
        for each in self._functions.rows:
            await each([dict(old) for old in olds], self._hook(olds))

    async def after(
        self,
        database: Database,
        found: Mapping[int, Row],
        ids: Iterable[int],
        olds: Mapping[int, Row] = STRANGER,  # type: ignore[assignment]
    ) -> None:
        """Run what comes after, and leave to the commit what comes after that."""
        rows = [(found[each], olds.get(each)) for each in ids if each in found]
        for number, (row, old) in enumerate(rows):
            for each in self._functions.after:
                await self._call(each, row, self._hook(old), number)
        if self._functions.committed:
            database.after_commit(partial(self._spawn_committed, rows))

    def _spawn_committed(self, rows: list[tuple[Row, Row | None]]) -> None:
        name = f"committed_{self._hooked.verb}_{self._hooked.table}"
        context = copy_context()  # of the request, for the log

        async def work() -> None:
            await asyncio.create_task(self._committed(rows), context=context)

        self._hooked.backlog.add(work, name=name, size=0)

    async def _committed(self, rows: list[tuple[Row, Row | None]]) -> None:
        """Run what comes after the commit; one that fails stops no other."""
        key = self._table.key
        for row, old in rows:
            for each in self._functions.committed:
                try:
                    await each(row, self._hook(old))
                except Exception:
                    log.exception("%s failed for row %s", _name(each), row.get(key))

    async def _call(self, each: Function, row: Row, hook: Hook, number: int) -> Any:
        try:
            return await each(row, hook)
        except ApiError as error:
            raise self._placed(error, number) from error

    def _placed(self, error: ApiError, number: int) -> ApiError:
        error = copy.copy(error)  # which may be a constant of the file that raises it
        if not self.many:
            return error
        if self._ids is None:
            return payload.placed(error, number)
        place, row_id = self._known[number]
        return payload.placed(error, place, "Id", row_id)

    @contextmanager
    def labelled(self) -> Iterator[None]:
        """Make an error raised inside name its row as the others here."""
        try:
            yield
        except ApiError as error:
            if self._ids is None or (number := payload.unplaced(error)) is None:
                raise
            raise self._placed(error, number) from error

    def _natural(self, row: Row) -> Row:
        columns = self._table.columns
        return {name: natural(columns[name], value) for name, value in row.items()}

    async def _parsed(self, row: Row, before: Row, number: int) -> Row:
        """Parse what hooks set; what they left alone is parsed already."""
        columns, kept, new = self._table.columns, dict[str, Any](), dict[str, Any]()
        for name, value in row.items():
            if name in before and same(natural(columns[name], before[name]), value):
                kept[name] = before[name]
            else:
                new[name] = written(value)
        if not new and kept:
            return kept
        try:
            if self._hooked.verb == "update" and self._table.key in new:
                raise payload.managed(self._table.key)
            return kept | await _Trusting(self.scope, self._table).read(new)
        except ApiError as error:
            raise self._placed(error, number) from None


class _Trusting(payload.Reader):
    """Parses what a hook sets: of any column but those that PostgreSQL computes."""

    def __init__(self, scope: RowScope, table: Table) -> None:
        super().__init__(scope, table, create=True)

    def column(self, name: str) -> LiveColumn:
        """Return a column that a statement may write.

        Raises:
            ApiError: `row.managed_column` when generated; `sql.unknown_column`.
        """
        found = self._table.columns.get(name)
        if found is None:
            raise unknown_column(self._table.name, name, self._table.columns)
        if found.generated:
            raise payload.computed(name)
        return found


def _taken(each: Function, found: Any, given: Any, kind: type) -> Any:
    """Return what a hook returned, or without that what it was given."""
    if found is None:
        return given
    if not isinstance(found, kind):
        raise TypeError(f"{_name(each)} must return a {kind.__name__} or None")
    return found


def _name(each: Function) -> str:
    name = getattr(each, "__name__", "a hook")
    return f"{name} of {each.__module__}.py"


def _user(scope: RowScope) -> Mapping[str, Any]:
    """Return the user of the request; without one, the user that rows are written for.

    A copy: a hook that follows the commit may outlive the request.
    """
    if user := CALLER.get():
        return {**user}
    return STRANGER if scope.user_id is None else {"id": scope.user_id}


async def _held(
    database: Database, scope: RowScope, row_set: RowSet, ids: list[int], lock: str
) -> dict[int, Row]:
    """Lock the rows that the caller reaches. Return them by id, in its order."""
    text = stored.held(row_set, lock)
    rows = await database.rows(*scope.call(row_set, text, ids))
    return {row[row_set.table.key]: _row(row_set.table, row) for row in rows}


async def _present(
    database: Database, table: Table, ids: Sequence[int]
) -> dict[int, Row]:
    rows = await database.rows(stored.present(table), ids)
    return {row[table.key]: _row(table, row) for row in rows}


def _row(table: Table, record: Mapping[str, Any]) -> Row:
    columns = table.columns
    return {name: natural(columns[name], value) for name, value in record.items()}
