"""What a database has, in `public` and in Atom's own schema, and the questions."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from atom.postgres.catalog import COLUMNS
from atom.postgres.identifier import quote
from atom.schema import live_view, probe
from atom.schema.declaration import Declaration
from atom.schema.live_view import ViewState
from atom.schema.probe import Shown

# Names that no table can have: of views, sequences, indexes, and of types.
TAKEN = """
select c.relname::text as name from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind not in ('r', 'p')
union
select t.typname::text from pg_type t
where t.typnamespace = 'public'::regnamespace and t.typrelid = 0
  and not (t.typcategory = 'A' and t.typelem <> 0)
"""
# Tables of an extension (spatial_ref_sys) are not the application's.
RELATIONS = """
select n.nspname as schema, c.relname as table, c.relkind::text as kind,
       c.relispartition as part,
       case when c.reltuples >= 0 then c.reltuples::bigint
            else pg_relation_size(c.oid) / 100 end as rows
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'atom') and c.relkind in ('r', 'p')
  and not exists (select 1 from pg_depend e
                  where e.classid = 'pg_class'::regclass and e.objid = c.oid
                    and e.deptype = 'e')
"""
INDEXES = """
select n.nspname as schema, c.relname as index, t.relname as table,
       m.amname as method, i.indisvalid as valid, i.indisunique as unique,
       coalesce(pg_get_expr(i.indpred, i.indrelid, true), '') as predicate,
       exists (select 1 from pg_constraint k where k.conindid = i.indexrelid
               and k.contype in ('p', 'u', 'x')) as constraint,
       array(select pg_get_indexdef(i.indexrelid, k, true)
             from generate_series(1, i.indnkeyatts) k) as keys,
       array(select o.opcname from unnest(i.indclass) with ordinality u(class, place)
             join pg_opclass o on o.oid = u.class order by u.place)::text[] as classes
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
join pg_am m on m.oid = c.relam
join pg_namespace n on n.oid = c.relnamespace and n.nspname in ('public', 'atom')
"""
CONSTRAINTS = """
select c.relname as table, k.conname as constraint, k.convalidated as validated,
       coalesce(obj_description(k.oid, 'pg_constraint'), '') as comment,
       array(select a.attname from pg_attribute a
             where a.attrelid = c.oid and a.attnum = any (k.conkey))::text[] as columns
from pg_constraint k
join pg_class c on c.oid = k.conrelid
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
"""
TRIGGERS = r"""
select n.nspname as schema, c.relname as table, t.tgname as trigger,
       t.tgenabled <> 'D' as enabled,
       regexp_replace(pg_get_triggerdef(t.oid, true), ' ON \S+ ', ' ON ~ ')
         as definition,
       coalesce(obj_description(t.oid, 'pg_trigger'), '') as comment
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace and n.nspname in ('public', 'atom')
where not t.tgisinternal and t.tgparentid = 0
"""
FUNCTIONS = """
select p.proname as function, p.prosrc as source,
       coalesce(obj_description(p.oid, 'pg_proc'), '') as comment
from pg_proc p join pg_namespace n on n.oid = p.pronamespace and n.nspname = 'atom'
"""
# Those of the application, with the types of their arguments.
ROUTINES = """
select p.proname::text as function, pg_get_function_identity_arguments(p.oid) as types,
       pg_get_functiondef(p.oid) as definition
from pg_proc p
where p.pronamespace = 'public'::regnamespace and p.prokind = 'f'
  and not exists (select 1 from pg_depend e
                  where e.classid = 'pg_proc'::regclass and e.objid = p.oid
                    and e.deptype = 'e')
"""
EXTENSIONS = """
select e.name as extension, n.nspname as schema,
       u.rolsuper or (v.trusted
           and has_database_privilege(current_database(), 'create')) as creatable
from pg_available_extensions e
join pg_available_extension_versions v
  on v.name = e.name and v.version = e.default_version
join pg_roles u on u.rolname = current_user
left join pg_extension x on x.extname = e.name
left join pg_namespace n on n.oid = x.extnamespace
"""
# How long looking for rows without a value may take.
SCAN_SECONDS = 600.0
APPLIED = "select label, mark from atom.applied_query"
MIGRATED = "select name, mark from atom.applied_migration"


@dataclass(frozen=True)
class ColumnState:
    """A column as it is; `datatype` in the words of format_type."""

    name: str
    datatype: str
    not_null: bool = False
    default: str | None = None
    identity: bool = False
    primary: bool = False
    computed: bool = False  # generated; the default is what it is computed with


@dataclass(frozen=True)
class TableState:
    """A table as it is; `rows` is an estimate, 0 when nothing was ever stored."""

    name: str
    columns: Mapping[str, ColumnState]
    rows: int = 0
    partitioned: bool = False
    part: bool = False  # of a partitioned table


@dataclass(frozen=True)
class IndexState:
    """An index as it is; `constraint` when one needs it."""

    name: str
    table: str
    method: str
    keys: tuple[str, ...]
    classes: tuple[str, ...] = ()
    valid: bool = True
    unique: bool = False
    predicate: str = ""  # of a partial one
    constraint: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the keys without the quotes PostgreSQL shows around some."""
        return tuple(key.replace('"', "") for key in self.keys)


@dataclass(frozen=True)
class ConstraintState:
    """A constraint as it is; the comment holds the rule of Atom it was made from."""

    validated: bool = True
    comment: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class TriggerState:
    """A trigger as it is; the comment holds the version it was made from."""

    comment: str = ""
    enabled: bool = True
    definition: str = ""


@dataclass(frozen=True)
class FunctionState:
    """A function of Atom's schema as it is."""

    comment: str = ""
    source: str = ""


@dataclass(frozen=True)
class RoutineState:
    """A function of schema `public`, with the types of its arguments."""

    types: str
    definition: str


@dataclass(frozen=True)
class ExtensionState:
    """An extension this server has; `schema` is None while it is not installed."""

    schema: str | None = None
    creatable: bool = False


@dataclass(frozen=True)
class Live:
    """Everything the planner compares a declaration with."""

    tables: Mapping[str, TableState] = field(default_factory=dict)
    own: Mapping[str, TableState] = field(default_factory=dict)  # of schema atom
    others: frozenset[str] = frozenset()  # names taken by views, types and the like
    indexes: Mapping[str, IndexState] = field(default_factory=dict)
    own_indexes: frozenset[str] = frozenset()
    constraints: Mapping[tuple[str, str], ConstraintState] = field(default_factory=dict)
    triggers: Mapping[tuple[str, str, str], TriggerState] = field(default_factory=dict)
    functions: Mapping[str, FunctionState] = field(default_factory=dict)
    extensions: Mapping[str, ExtensionState] = field(default_factory=dict)
    applied: Mapping[str, str] = field(default_factory=dict)
    lacking: frozenset[tuple[str, str]] = frozenset()  # mandatory, and rows without it
    unreadable: frozenset[str] = frozenset()  # what is declared as a regex and is none
    has_own_schema: bool = False  # whether Atom's own schema exists
    views: Mapping[str, ViewState] = field(default_factory=dict)
    routines: Mapping[str, tuple[RoutineState, ...]] = field(default_factory=dict)
    migrated: Mapping[str, str] = field(default_factory=dict)
    shown: Shown = field(default_factory=Shown)  # of what is declared
    version: int = 0  # of the server: 18


async def read(raw: Any, declared: Declaration) -> Live:
    """Read everything the planner needs over one asyncpg connection.

    Which columns that should be mandatory hold null is looked up in the rows. Regexes
    are tried: only PostgreSQL knows its own.
    """
    mandatory = {
        table: {name: column.old for name, column in columns.items() if column.not_null}
        for table, columns in declared.tables.items()
    }
    every = (c for columns in declared.tables.values() for c in columns.values())
    patterns = {column.regex for column in every if column.regex}
    relations = await raw.fetch(RELATIONS)
    columns = await raw.fetch(COLUMNS, ["public", "atom"])
    indexes = await raw.fetch(INDEXES)
    tables = _tables(relations, columns, "public")
    own = _tables(relations, columns, "atom")
    applied = await raw.fetch(APPLIED) if "applied_query" in own else []
    migrated = await raw.fetch(MIGRATED) if "applied_migration" in own else []
    routines: dict[str, tuple[RoutineState, ...]] = {}
    for row in await raw.fetch(ROUTINES):
        state = RoutineState(row["types"], row["definition"])
        routines[row["function"]] = (*routines.get(row["function"], ()), state)
    return Live(
        tables=tables,
        own=own,
        others=frozenset(row["name"] for row in await raw.fetch(TAKEN)),
        indexes={
            row["index"]: _index(row) for row in indexes if row["schema"] == "public"
        },
        own_indexes=frozenset(
            row["index"] for row in indexes if row["schema"] == "atom"
        ),
        constraints={
            (row["table"], row["constraint"]): ConstraintState(
                row["validated"], row["comment"], tuple(row["columns"])
            )
            for row in await raw.fetch(CONSTRAINTS)
        },
        triggers={
            (row["schema"], row["table"], row["trigger"]): TriggerState(
                row["comment"], row["enabled"], row["definition"]
            )
            for row in await raw.fetch(TRIGGERS)
        },
        functions={
            row["function"]: FunctionState(row["comment"], row["source"])
            for row in await raw.fetch(FUNCTIONS)
        },
        extensions={
            row["extension"]: ExtensionState(row["schema"], bool(row["creatable"]))
            for row in await raw.fetch(EXTENSIONS)
        },
        applied={row["label"]: row["mark"] for row in applied},
        lacking=await _lacking(raw, tables, mandatory),
        unreadable=await _unreadable(raw, patterns),
        has_own_schema=await raw.fetchval("select to_regnamespace('atom') is not null"),
        views=await live_view.read(raw),
        routines=routines,
        migrated={row["name"]: row["mark"] for row in migrated},
        shown=await probe.read(
            raw, declared, {n: t.columns for n, t in tables.items()}
        ),
        version=raw.get_server_version().major,
    )


def _tables(
    relations: Iterable[Mapping[str, Any]],
    columns: Iterable[Mapping[str, Any]],
    schema: str,
) -> dict[str, TableState]:
    inside: dict[str, dict[str, ColumnState]] = {}
    for row in columns:
        if row["schema"] == schema:
            inside.setdefault(row["table"], {})[row["column"]] = ColumnState(
                row["column"],
                row["datatype"],
                row["not_null"],
                row["default"],
                row["identity"],
                row["primary"],
                row["computed"],
            )
    return {
        row["table"]: TableState(
            row["table"],
            inside.get(row["table"], {}),
            row["rows"],
            row["kind"] == "p",
            row["part"],
        )
        for row in sorted(relations, key=lambda row: str(row["table"]))
        if row["schema"] == schema
    }


def _index(row: Mapping[str, Any]) -> IndexState:
    return IndexState(
        row["index"],
        row["table"],
        row["method"],
        tuple(row["keys"]),
        tuple(row["classes"]),
        row["valid"],
        row["unique"],
        row["predicate"],
        row["constraint"],
    )


async def _lacking(
    raw: Any,
    tables: Mapping[str, TableState],
    mandatory: Mapping[str, Mapping[str, str]],
) -> frozenset[tuple[str, str]]:
    """Find the columns that should be mandatory and are not filled in some row."""
    found = set()
    for table, names in mandatory.items():
        state = tables.get(table)
        for name, old in names.items() if state is not None else ():
            there = state.columns if state is not None else {}
            column = there.get(name) or there.get(old)
            if column is not None and column.not_null:
                continue
            test = "" if column is None else f" where {quote(column.name)} is null"
            # Names are quoted, and a long scan is not the pool's usual statement.
            text = f"select exists (select 1 from public.{quote(table)}{test})"  # noqa: S608
            if await raw.fetchval(text, timeout=SCAN_SECONDS):
                found.add((table, name))
    return frozenset(found)


async def _unreadable(raw: Any, patterns: Collection[str]) -> frozenset[str]:
    """Find the patterns that PostgreSQL cannot read as a regular expression."""
    import asyncpg

    found = set()
    for pattern in patterns:
        try:
            await raw.fetchval("select '' ~ $1::text", pattern)
        except asyncpg.InvalidRegularExpressionError:
            found.add(pattern)
    return frozenset(found)
