"""Declared expressions as PostgreSQL shows them, to compare with those that exist.

It never shows an expression as it was written. So each is made once more, on a copy
of its table, in a transaction that is rolled back; what exists is compared with it.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from atom.postgres.identifier import public, quote, quote_all
from atom.schema.declaration import Declaration
from atom.schema.entry import Column
from atom.schema.entry_index import Composite

COPY = "atom_probe"
PROBE_TIMEOUT = "set local lock_timeout = '5s'"
COMPUTED = """
select pg_get_expr(d.adbin, d.adrelid) from pg_attrdef d
join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
where d.adrelid = 'pg_temp.atom_probe'::regclass and a.attname = $1
  and a.attgenerated <> ''
"""
INDEX = """
select array(select pg_get_indexdef(i.indexrelid, k, true)
             from generate_series(1, i.indnkeyatts) k) as keys,
       coalesce(pg_get_expr(i.indpred, i.indrelid, true), '') as predicate
from pg_index i where i.indexrelid = 'pg_temp.atom_probe_index'::regclass
"""
VIEW = """
select pg_get_viewdef(c.oid) as definition,
       array(select a.attname::text from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 order by a.attnum) as columns,
       array(select format_type(a.atttypid, a.atttypmod) from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 order by a.attnum) as datatypes
from pg_class c where c.oid = 'pg_temp.atom_probe'::regclass
"""
FUNCTION = r"""
select regexp_replace(pg_get_functiondef(p.oid), 'FUNCTION pg_temp\w*\.',
                      'FUNCTION public.')
from pg_proc p where p.pronamespace = pg_my_temp_schema() and p.proname = $1
"""
TRIGGER = r"""
select regexp_replace(pg_get_triggerdef(t.oid, true), ' ON \S+ ', ' ON ~ ')
from pg_trigger t
where t.tgrelid = 'pg_temp.atom_probe'::regclass and t.tgname = $1
"""
ALTERS = "alter table pg_temp.atom_probe"


@dataclass(frozen=True)
class Shown:
    """What PostgreSQL shows of what is declared; what it refuses is missing."""

    # By table and column: as it is, and as it is declared.
    computed: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    # By table and index: its keys and its predicate.
    indexes: Mapping[tuple[str, Composite], tuple[tuple[str, ...], str]] = field(
        default_factory=dict
    )
    # By name: the definition, and the columns with their datatypes.
    views: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    triggers: Mapping[str, str] = field(default_factory=dict)
    # Whether this role may make the copies; if not, what exists is taken as declared.
    is_able: bool = True


async def read(
    raw: Any, declared: Declaration, tables: Mapping[str, Mapping[str, Any]]
) -> Shown:
    """Read what PostgreSQL shows; `tables` are those that exist, with their columns."""
    shown = Shown({}, {}, {}, {}, {})
    if not _any(declared):
        return shown
    outer = raw.transaction()
    await outer.start()
    try:
        await raw.execute(f"{PROBE_TIMEOUT}; set local check_function_bodies = off")
        probe = _Probe(raw, shown)
        if not await probe.is_able():
            return replace(shown, is_able=False)
        await _read(probe, declared, tables)
    finally:
        await outer.rollback()
    return shown


def _any(declared: Declaration) -> bool:
    columns = (c for table in declared.tables.values() for c in table.values())
    indexes = (i for table in declared.indexes.values() for i in table)
    return bool(
        declared.views
        or declared.functions
        or declared.triggers
        or any(column.generated for column in columns)
        or any(index.where or index.expression for index in indexes)
    )


async def _read(
    probe: "_Probe", declared: Declaration, tables: Mapping[str, Mapping[str, Any]]
) -> None:
    for table, columns in declared.tables.items():
        there = tables.get(table, {})
        renames = [
            f"{ALTERS} rename {quote(column.old)} to {quote(name)}"
            for name, column in columns.items()
            if column.old in there and name not in there
        ]
        for name, column in columns.items():
            found = there.get(name) or there.get(column.old)
            if column.generated and found is not None:
                await probe.computed(table, column, found.datatype, renames)
        for index in declared.indexes.get(table, ()) if table in tables else ():
            if index.where or index.expression:
                await probe.index(table, index)
    for view in declared.views.values():
        await probe.view(view.name, view.sql)
    for function in declared.functions.values():
        await probe.function(function.name, function.create("pg_temp"))
    for trigger in declared.triggers.values():
        copy = f"create temp table {COPY} (like {public(trigger.table)})"
        if trigger.table in declared.views:
            copy = f"create temp view {COPY} as table {public(trigger.table)}"
        await probe.trigger(trigger.name, copy, trigger.create(COPY))


class _Probe:
    """One question after the other, each undone."""

    def __init__(self, raw: Any, shown: Shown) -> None:
        self._raw = raw
        self._shown: Any = shown

    @asynccontextmanager
    async def _trial(self, *statements: str) -> AsyncIterator[bool]:
        """Run statements in a savepoint that is rolled back; yield whether they ran."""
        import asyncpg

        inner = self._raw.transaction()
        await inner.start()
        try:
            try:
                for statement in statements:
                    await self._raw.execute(statement)
            except asyncpg.PostgresError:
                yield False
            else:
                yield True
        finally:
            await inner.rollback()

    async def is_able(self) -> bool:
        """Whether this role may make a temporary table in this database."""
        async with self._trial(f"create temp table {COPY} ()") as ran:
            return ran

    async def computed(
        self, table: str, column: Column, datatype: str, renames: list[str]
    ) -> None:
        """Compare a generated column with the expression that is declared."""
        copy = f"create temp table {COPY} (like {public(table)} including generated)"
        name, before = quote(column.name), None
        async with self._trial(copy, *renames) as ran:
            if ran:
                before = await self._raw.fetchval(COMPUTED, column.name)
        remake = (
            f"{ALTERS} drop column if exists {name}, add column {name} {datatype}"
            f" generated always as ({column.generated}) stored"
        )
        async with self._trial(copy, *renames, remake) as ran:
            if ran:
                after = await self._raw.fetchval(COMPUTED, column.name)
                self._shown.computed[table, column.name] = (before or "", after)

    async def index(self, table: str, index: Composite) -> None:
        """Read the keys and the predicate of an index."""
        keys = quote_all(index.columns) if index.columns else index.keys
        where = f" where ({index.where})" if index.where else ""
        copy = f"create temp table {COPY} (like {public(table)})"
        method = "btree" if index.columns else index.method
        make = f"create index {COPY}_index on {COPY} using {method} ({keys}){where}"
        async with self._trial(copy, make) as ran:
            if ran:
                row = await self._raw.fetchrow(INDEX)
                found = tuple(row["keys"]), row["predicate"]
                self._shown.indexes[table, index] = found

    async def view(self, name: str, sql: str) -> None:
        """Read the definition and the columns of a view."""
        async with self._trial(f"create temp view {COPY} as {sql}") as ran:
            if ran:
                row = await self._raw.fetchrow(VIEW)
                definition = row["definition"].strip().rstrip(";")
                columns = dict(zip(row["columns"], row["datatypes"], strict=True))
                self._shown.views[name] = definition, columns

    async def function(self, name: str, sql: str) -> None:
        """Read a function as PostgreSQL writes it."""
        async with self._trial(sql) as ran:
            if ran:
                self._shown.functions[name] = await self._raw.fetchval(FUNCTION, name)

    async def trigger(self, name: str, copy: str, sql: str) -> None:
        """Read a trigger as PostgreSQL writes it for a copy of its table."""
        async with self._trial(copy, sql) as ran:
            if ran:
                self._shown.triggers[name] = await self._raw.fetchval(TRIGGER, name)
