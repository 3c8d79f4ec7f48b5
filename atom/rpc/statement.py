"""The statements of `config_rpc`, as PostgreSQL understands them.

Each is prepared at start and whenever the tables are read again: that finds its faults,
and the columns of its answer.
"""

# ruff: noqa: S608 - SQL is written here, of the operator's statements and parameters.

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from atom.errors import ApiError, TimedOut, Unavailable
from atom.observe.request_context import note_read
from atom.postgres.catalog import LiveColumn, Table
from atom.postgres.condition import CLAIM, ME, Condition, claim_text
from atom.postgres.database import Connection, Database
from atom.postgres.errors import UnlocatedValue
from atom.row.explain_error import about, naming_columns
from atom.row.scope import RowConfig, in_text
from atom.row.sql.statement import Bound, json_text, select_list
from atom.rpc.declaration import LIMIT, PAGE, Rpc

log = logging.getLogger(__name__)
TYPES = "select format_type(t.oid, null) as name from unnest($1::oid[]) as t(oid)"
STALE = {"sql.changed", "filter.unreadable"}  # the second: a function is not there


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement that PostgreSQL has understood; without columns it has no rows.

    `digits` is the one that answers whole numbers of 64 bits as text.
    """

    text: str
    digits: str
    columns: tuple[LiveColumn, ...]


class Statements:
    """Runs the statements of config_rpc."""

    def __init__(
        self,
        routes: Iterable[Rpc],
        database: Database,
        database_read: Database,
        rules: RowConfig,
    ) -> None:
        self.routes = tuple(routes)
        self._database, self._database_read = database, database_read
        self._rows_max, self._read_seconds = rules.limit_max, rules.read_seconds
        self._bound = replace(rules.answer_max, exact=True)
        self._prepared: dict[str, Prepared] = {}
        self._is_prepared = False

    def read_from(self, database: Database) -> None:
        """Read from another database: a replica."""
        self._database_read = database

    async def prepare(self) -> list[str]:
        """Prepare every statement. Return what PostgreSQL has against each."""
        self._is_prepared = True
        problems = []
        for rpc in self.routes:
            try:
                await self._prepare(rpc)
            except Exception as error:  # of the text, or the database's words
                problems.append(f"{rpc.place}: {error}")
        return problems

    async def again(self) -> None:
        """Prepare every statement again, after the start; log what is broken now."""
        if self._is_prepared:
            for problem in await self.prepare():
                log.error("%s", problem)

    async def _prepare(self, rpc: Rpc) -> Prepared:
        self._prepared.pop(rpc.place, None)
        known = self._database.catalog.tables
        if unknown := sorted(rpc.tables.difference(known)):
            raise ValueError(f"table: there is no table {unknown[0]!r}")
        async with self._database.transaction() as connection:
            text = digits = _plain(rpc.statement)
            columns = await _columns(connection, text)
            if columns:
                view = Table("", {column.name: column for column in columns})
                text = _text(rpc, view, self._bound)
                digits = _text(rpc, in_text(view), self._bound)
                await connection.raw.prepare(text)
            elif rpc.is_read:
                raise ValueError("it answers no column")
        found = self._prepared[rpc.place] = Prepared(text, digits, columns)
        return found

    def columns(self, rpc: Rpc) -> tuple[LiveColumn, ...]:
        """Return the columns of the answer of a route; none before it is prepared."""
        found = self._prepared.get(rpc.place)
        return () if found is None else found.columns

    async def run(
        self,
        rpc: Rpc,
        user: Mapping[str, Any],
        values: Mapping[str, Any],
        *,
        bigint_text: bool = False,
    ) -> bytes | int:
        """Run a statement. Return its rows as JSON, or how many rows it wrote.

        Raises:
            ApiError: `value.unreadable`, naming the value that PostgreSQL refuses.
            Unavailable: `sql.changed` when the statement does not fit the tables.
        """
        try:
            return await self._run(rpc, user, values, bigint_text)
        except ApiError as error:
            if error.code not in STALE:
                raise
        try:
            await self._prepare(rpc)
        except Exception as error:
            log.error("%s: %s", rpc.place, error)
            raise Unavailable(
                "This does not work since the tables were changed.",
                code="rpc.broken",
                hint="The log has the reason.",
            ) from error
        return await self._run(rpc, user, values, bigint_text)

    async def _run(
        self,
        rpc: Rpc,
        user: Mapping[str, Any],
        values: Mapping[str, Any],
        bigint_text: bool,
    ) -> bytes | int:
        prepared = self._prepared.get(rpc.place) or await self._prepare(rpc)
        text = prepared.digits if bigint_text else prepared.text
        call = [text, *_bound(rpc, user, values)]
        tables = self._tables(rpc)
        table = Table("", {name: each.column for name, each in rpc.values.items()})
        given = {name: values[name] for name in table.columns}
        database = self._database_read if rpc.is_read else self._database
        async with _naming(database):
            with about(table, given):
                if not prepared.columns:
                    count = await database.run(*call)
                    self._written(tables)
                    return count
                limit = min(values.get(LIMIT) or self._rows_max, self._rows_max)
                page = values.get(PAGE) or 1
                call += [limit, (page - 1) * limit]
                if not rpc.is_read:
                    body: str = await database.value(*call)
                    self._written(tables)
                    return body.encode()
                note_read(*tables)
                return await self._read(database, call)

    async def _read(self, database: Database, call: list[Any]) -> bytes:
        try:
            async with database.transaction(readonly=True) as connection:
                body: str = await connection.value(*call, seconds=self._read_seconds)
        except TimedOut as error:
            error.hint = "Ask for less."
            raise
        return body.encode()

    def _tables(self, rpc: Rpc) -> frozenset[str]:
        """Return the tables a statement reads or writes, as far as it names them."""
        return rpc.tables | rpc.names.intersection(self._database.catalog.tables)

    def _written(self, tables: Iterable[str]) -> None:
        for table in tables:
            self._database.written(table)


@asynccontextmanager
async def _naming(database: Database) -> AsyncIterator[None]:
    """Name the value that PostgreSQL refuses inside."""
    try:
        async with naming_columns(database):
            yield
    except UnlocatedValue as error:
        name_value(error)
        raise


def name_value(error: ApiError) -> None:
    """Make an error about a column one about a value of the caller."""
    error.message = error.message.removeprefix("Column ")
    error.args = (error.message,)


def _marks(statement: Condition) -> dict[str, str]:
    return {name: f"${number}" for number, name in enumerate(statement.binds, 1)}


def _plain(statement: Condition) -> str:
    """Write a statement with its parameters in their places."""
    return statement.render("", _marks(statement))[1:-1]


def _text(rpc: Rpc, view: Table, bound: Bound) -> str:
    """Write the statement that answers JSON; its last parameters are limit, offset."""
    listed = select_list(view, tuple(view.columns), "q")
    number = len(rpc.statement.binds)
    limit = f"${number + 1}::bigint"
    page = f"limit {limit} offset ${number + 2}::bigint"
    inner = _plain(rpc.statement)
    if rpc.is_read or rpc.word in {"select", "values", "table"}:
        rows = json_text(f"select {listed} from ({inner}) as q {page}", limit, bound)
        return f"select {rows}"
    rows = json_text(f"select {listed} from q {page}", limit, bound)
    return f"with q as ({inner}) select {rows}"


def _bound(
    rpc: Rpc, user: Mapping[str, Any], values: Mapping[str, Any]
) -> Iterable[Any]:
    for name in rpc.statement.binds:
        if name == ME:
            yield user.get("id")
        elif name in rpc.values:
            yield values[name]
        else:
            yield claim_text(user.get(name.removeprefix(CLAIM)))


async def _columns(connection: Connection, text: str) -> tuple[LiveColumn, ...]:
    """Ask PostgreSQL which columns a statement answers."""
    prepared = await connection.raw.prepare(text)
    found = prepared.get_attributes()
    types = await connection.rows(TYPES, [each.type.oid for each in found])
    names = [each.name for each in found]
    columns = map(LiveColumn, names, (row["name"] for row in types))
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"it answers two columns {twice[0]!r}: name one otherwise")
    return tuple(columns)
