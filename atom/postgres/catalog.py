"""Tables and columns as the database has them now: the one query that reads them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import orjson

from atom.datatype.datatype import Datatype, datatype
from atom.errors import ApiError, Forbidden, NotFound, nearest
from atom.postgres import touched
from atom.postgres.driver import Querying

if TYPE_CHECKING:
    from atom.postgres.database import Connection, Database

# Tables that belong to an extension (spatial_ref_sys) hold no rows of users.
COLUMNS = """
with recursive below (domain, oid, mod, is_domain) as (
  select d.oid, d.typbasetype, d.typtypmod, t.typtype = 'd'
  from pg_type d join pg_type t on t.oid = d.typbasetype where d.typtype = 'd'
  union all
  select b.domain, d.typbasetype, d.typtypmod, t.typtype = 'd'
  from below b join pg_type d on d.oid = b.oid join pg_type t on t.oid = d.typbasetype
  where b.is_domain)
select n.nspname as schema, c.relname as "table", a.attname as "column",
       format_type(y.oid, coalesce(b.mod, a.atttypmod)) as datatype,
       a.attnotnull as not_null, 'c' in (y.typtype, e.typtype) as composite,
       case when b.oid is not null then format_type(a.atttypid, a.atttypmod) end
        as domain,
       pg_get_expr(d.adbin, d.adrelid) as default,
       exists (select 1 from pg_index i where i.indrelid = c.oid and i.indisvalid
               and a.attnum = any (i.indkey)) as indexed,
       a.attgenerated <> '' or a.attidentity = 'a' as generated,
       a.attgenerated <> '' as computed, c.relkind in ('v', 'm') as view,
       a.attidentity <> '' as identity,
       exists (select 1 from pg_index i where i.indrelid = c.oid and i.indisprimary
               and a.attnum = any (i.indkey)) as primary,
       exists (select 1 from pg_index i where i.indrelid = c.oid and i.indisunique
               and i.indisvalid and i.indpred is null and i.indnkeyatts = 1
               and i.indkey[0] = a.attnum) as alone,
       refers."table" as refers, refers."column" as refers_to,
       (select json_agg(json_build_array(
          (select json_agg(f.attname order by u.place)
           from unnest(k.conkey) with ordinality u(number, place)
           join pg_attribute f on f.attrelid = k.conrelid and f.attnum = u.number),
          r.relname,
          (select json_agg(f.attname order by u.place)
           from unnest(k.confkey) with ordinality u(number, place)
           join pg_attribute f on f.attrelid = k.confrelid and f.attnum = u.number)
        ) order by k.conname)
        from pg_constraint k
        join pg_class r on r.oid = k.confrelid and r.relnamespace = c.relnamespace
        where k.conrelid = c.oid and k.contype = 'f' and k.conkey[1] = a.attnum
          and cardinality(k.conkey) > 1)::text as references
from pg_class c
join pg_namespace n on n.oid = c.relnamespace and n.nspname = any ($1)
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join below b on b.domain = a.atttypid and not b.is_domain
join pg_type y on y.oid = coalesce(b.oid, a.atttypid)
left join pg_type e on e.oid = y.typelem
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
left join lateral (
  select r.relname::text as "table", f.attname::text as "column"
  from pg_constraint k
  join pg_class r on r.oid = k.confrelid and r.relnamespace = c.relnamespace
  join pg_attribute f on f.attrelid = k.confrelid and f.attnum = k.confkey[1]
  where k.conrelid = c.oid and k.contype = 'f' and k.conkey = array[a.attnum]
  order by f.attname <> 'id', 1, 2 limit 1
) refers on true
where c.relkind in ('r', 'p', 'v', 'm')
  and not exists (select 1 from pg_depend e
                  where e.classid = 'pg_class'::regclass and e.objid = c.oid
                    and e.deptype = 'e')
order by c.relname, a.attnum
"""


@dataclass(frozen=True, slots=True)
class LiveColumn:
    """A column as it is; `datatype` in the words of PostgreSQL's format_type.

    Of a domain it is the datatype below.
    """

    name: str
    datatype: str
    not_null: bool = False
    default: str | None = None
    indexed: bool = False
    generated: bool = False  # always computed by PostgreSQL, so never written
    refers: str | None = None  # the table that its foreign key refers to
    identity: bool = False  # numbered by PostgreSQL
    composite: bool = False  # rows of fields, or lists of them
    in_text: bool = False  # shown as text, for a caller who prefers it
    domain: str | None = None  # its name, where the datatype is that of a domain
    refers_to: str | None = None  # the column of that table; None: its key

    @property
    def kind(self) -> Datatype:
        """The datatype, parsed."""
        return datatype(self.datatype)


ID = "id"
# Datatypes of keys: those that JSON and PostgreSQL compare in the same way.
KEYED = re.compile(r"bigint|integer|smallint|uuid|text|character varying(\(\d+\))?")
DESCRIBED = [each.name for each in fields(LiveColumn)][1:]


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: columns, and the columns of the table that they refer to."""

    columns: tuple[str, ...]
    table: str
    to: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """A table and its columns, in their order; equal only to itself, so a cheap key.

    `key` is the column that a row is found by, empty where there is none; `references`
    are the foreign keys of more than one column.
    """

    name: str
    columns: Mapping[str, LiveColumn]
    key: str = ID
    references: tuple[Reference, ...] = ()
    is_view: bool = False  # so it is read and never written


@dataclass(frozen=True, eq=False)
class Catalog:
    """Every table a row route may ever name; equal only to itself."""

    tables: Mapping[str, Table] = field(default_factory=lambda: MappingProxyType({}))
    touched: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def changed_with(self, name: str) -> frozenset[str]:
        """Return the tables that a write of one may change, itself among them."""
        return self.touched.get(name) or frozenset({name})

    def table(self, name: str) -> Table:
        """Return a table by its exact name.

        Raises:
            NotFound: `sql.unknown_table`, with the nearest name as its hint.
        """
        found = self.tables.get(name)
        if found is None:
            raise unknown_table(name, self.tables)
        return found

    def column(self, table: str, name: str) -> LiveColumn:
        """Return a column of a table, both by their exact names.

        Raises:
            NotFound: when there is no such table.
            ApiError: `sql.unknown_column`, with the nearest name as its hint.
        """
        columns = self.table(table).columns
        found = columns.get(name)
        if found is None:
            raise unknown_column(table, name, columns)
        return found


def shown(word: str) -> str:
    """Cut a caller's word to a length an error message can carry, without controls."""
    plain = "".join(c if c.isprintable() else "?" for c in word[:60])
    return plain if len(word) <= 60 else plain + "…"


def unknown_table(name: str, choices: Iterable[str]) -> NotFound:
    """Return the error for a table that does not exist."""
    return NotFound(
        f"There is no table '{shown(name)}'.",
        code="sql.unknown_table",
        hint=nearest(name[:60], choices),
    )


class UnknownColumn(ApiError):
    """A column that does not exist, or is secret."""

    code = "sql.unknown_column"
    table = column = ""


def unknown_column(table: str, name: str, choices: Iterable[str]) -> UnknownColumn:
    """Return the error for a column that does not exist; the same for a secret one."""
    message = f"Table '{table}' has no column '{shown(name)}'."
    error = UnknownColumn(message, hint=nearest(name[:60], choices))
    error.table, error.column = table, name
    return error


def require_written(table: Table) -> None:
    """Refuse a view, which no row is written to.

    Raises:
        Forbidden: `row.table_not_allowed`.
    """
    if table.is_view:
        raise Forbidden(
            f"'{table.name}' is a view: its rows are read, never written.",
            code="row.table_not_allowed",
        )


def build(
    rows: Iterable[Mapping[str, Any]],
    touched: Mapping[str, frozenset[str]] = MappingProxyType({}),
    views: Mapping[str, str] = MappingProxyType({}),
) -> Catalog:
    """Make a catalog of rows that name table, column, datatype and the rest.

    Of views there are those that are declared, each with its key.
    """
    tables: dict[str, dict[str, LiveColumn]] = {}
    keys: dict[str, list[tuple[bool, bool, str]]] = {}
    references: dict[str, list[Reference]] = {}
    for row in rows:
        if row.get("view") and row["table"] not in views:
            continue
        described: list[Any] = [row.get(each) for each in DESCRIBED]
        column = LiveColumn(row["column"], *described)
        tables.setdefault(row["table"], {})[column.name] = column
        primary, alone = (bool(row.get(each)) for each in ("primary", "alone"))
        keys.setdefault(row["table"], []).append((primary, alone, column.name))
        for columns, parent, to in orjson.loads(row.get("references") or "[]"):
            made = Reference(tuple(columns), parent, tuple(to))
            references.setdefault(row["table"], []).append(made)
    return Catalog(
        MappingProxyType(
            {
                name: Table(
                    name,
                    MappingProxyType(columns),
                    _key(columns, keys[name], views.get(name, "")),
                    tuple(references.get(name, ())),
                    name in views,
                )
                for name, columns in tables.items()
            }
        ),
        touched,
    )


def _key(
    columns: Mapping[str, LiveColumn],
    indexed: Iterable[tuple[bool, bool, str]],
    declared: str,
) -> str:
    """Return the column that a row is found by, empty where there is none.

    It is the one declared, of a view; the primary key of one column; else `id`, unless
    it is a part of the primary key that may be there twice.
    """
    indexed = list(indexed)
    primary = [name for is_primary, _, name in indexed if is_primary]
    name = declared or (primary[0] if len(primary) == 1 else ID)
    found = columns.get(name)
    if found is None or not KEYED.fullmatch(found.datatype):
        return ""
    made = found.identity or found.generated or found.default is not None
    unique = made or any(alone and each == name for _, alone, each in indexed)
    return name if unique or len(primary) < 2 or name not in primary else ""


async def read(source: "Querying | Connection | Database") -> Catalog:
    """Read the tables and declared views; of a database, outside any transaction."""
    held = cast(
        Querying, getattr(source, "raw", None) or getattr(source, "pool", source)
    )
    schemas = ["public"]
    rows, changed = (
        await held.fetch(COLUMNS, schemas),
        await touched.read(held, schemas),
    )
    return build(rows, changed, getattr(source, "views", {}))
