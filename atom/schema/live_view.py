"""Views as a database has them, and what it takes to make one again as it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Views of extensions are not the application's.
VIEWS = r"""
select n.nspname::text as schema, c.relname::text as view, c.relkind = 'm' as material,
       format('%I.%I', n.nspname, c.relname) as place,
       pg_get_viewdef(c.oid) as definition,
       coalesce(array_to_string(c.reloptions, ', '), '') as options,
       array(select a.attname::text from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
             order by a.attnum) as columns,
       array(select distinct format('%s.%s', r.relname, coalesce(a.attname, ''))
             from pg_rewrite w
             join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
              and d.refclassid = 'pg_class'::regclass and d.refobjid <> c.oid
             join pg_class r on r.oid = d.refobjid
              and r.relnamespace = 'public'::regnamespace
             left join pg_attribute a on a.attrelid = r.oid and d.refobjsubid > 0
              and a.attnum = d.refobjsubid
             where w.ev_class = c.oid) as uses
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
  and n.nspname !~ '^pg_(toast|temp)'
  and not exists (select 1 from pg_depend e
                  where e.classid = 'pg_class'::regclass and e.objid = c.oid
                    and e.deptype = 'e')
order by c.oid
"""
# What a view loses when it is made again, with the column it is about, or ''.
LOST = """
with view as (
  select c.oid, c.relname, c.relacl, c.relowner, c.relkind, n.nspname,
         format('%I.%I', n.nspname, c.relname) as place
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('v', 'm') and n.nspname !~ '^pg_|^information_schema$'
)
select nspname::text as schema, relname::text as view, about::text, sql from (
  select 1 as turn, v.nspname, v.relname, '' as about,
         format('alter %s %s owner to %I',
                case relkind when 'm' then 'materialized view' else 'view' end, place,
                pg_get_userbyid(relowner)) as sql
  from view v where pg_get_userbyid(relowner) <> current_user
  union all
  select 2, v.nspname, v.relname, '',
         format('grant %s on %s to %s%s', g.privilege_type, place,
                case g.grantee when 0 then 'public'
                     else quote_ident(pg_get_userbyid(g.grantee)) end,
                case when g.is_grantable then ' with grant option' else '' end)
  from view v, aclexplode(v.relacl) g where g.grantee <> v.relowner
  union all
  select 3, v.nspname, v.relname, a.attname,
         format('grant %s (%I) on %s to %s%s', g.privilege_type, a.attname, place,
                case g.grantee when 0 then 'public'
                     else quote_ident(pg_get_userbyid(g.grantee)) end,
                case when g.is_grantable then ' with grant option' else '' end)
  from view v join pg_attribute a on a.attrelid = v.oid, aclexplode(a.attacl) g
  union all
  select 4, v.nspname, v.relname, coalesce(a.attname, ''),
         case when d.objsubid > 0
              then format('comment on column %s.%I is %L', place, a.attname,
                          d.description)
              else format('comment on %s %s is %L',
                          case relkind when 'm' then 'materialized view'
                               else 'view' end, place, d.description) end
  from view v join pg_description d
    on d.classoid = 'pg_class'::regclass and d.objoid = v.oid
  left join pg_attribute a on a.attrelid = v.oid and a.attnum = d.objsubid
   and d.objsubid > 0
  union all
  select 5, v.nspname, v.relname,
         (select min(a.attname::text) from pg_attribute a
          where a.attrelid = v.oid and a.attnum = any (i.indkey)),
         pg_get_indexdef(i.indexrelid)
  from view v join pg_index i on i.indrelid = v.oid
  union all
  select 6, v.nspname, v.relname, '', pg_get_triggerdef(t.oid)
  from view v join pg_trigger t on t.tgrelid = v.oid and not t.tgisinternal
  union all
  select 7, v.nspname, v.relname, '', pg_get_ruledef(r.oid)
  from view v join pg_rewrite r on r.ev_class = v.oid and r.rulename <> '_RETURN'
) lost
order by turn, sql
"""


@dataclass(frozen=True)
class ViewState:
    """A view as it is; `uses` are tables and columns of `public`, `lost` what to redo.

    A use of a table without one of its columns has "" as the column.
    """

    name: str
    place: str
    definition: str
    materialized: bool = False
    options: str = ""
    columns: tuple[str, ...] = ()
    uses: frozenset[tuple[str, str]] = frozenset()
    lost: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """Return what PostgreSQL calls it."""
        return "materialized view" if self.materialized else "view"

    @property
    def tables(self) -> set[str]:
        """Return the tables and views it is made of."""
        return {table for table, _ in self.uses}


async def read(raw: Any) -> Mapping[str, ViewState]:
    """Read the views, each after those it is made of.

    One of another schema has that before its name.
    """
    lost: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in await raw.fetch(LOST):
        place = row["schema"], row["view"]
        lost.setdefault(place, []).append((row["about"], row["sql"]))
    found = {}
    for row in await raw.fetch(VIEWS):
        schema, name = row["schema"], row["view"]
        called = name if schema == "public" else f"{schema}.{name}"
        uses = (tuple(use.split(".", 1)) for use in row["uses"])
        found[called] = ViewState(
            called,
            row["place"],
            row["definition"].strip().rstrip(";"),
            row["material"],
            row["options"],
            tuple(row["columns"]),
            frozenset((table, column) for table, column in uses),
            tuple(lost.get((schema, name), ())),
        )
    return found
