"""Which tables a write of one may change: by foreign keys, triggers, rules and views.

What PostgreSQL records of them is followed. It does not record what a trigger function
does: that may write each table its text names, or the text of a function it names; and
every table, if it builds statements, or is not written in SQL or PL/pgSQL. Functions of
Atom qualify what they write.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from atom.postgres.driver import Querying, Record

EVERY = 0  # instead of the oid of a table
FIRST_OWN = 16_384  # below are the objects that come with PostgreSQL

# A write of `source` may write `target`; or shows in `target`, a view or a parent.
EDGES = f"""
select 'writes' as kind, confrelid as source, conrelid as target
from pg_constraint
where contype = 'f' and (confdeltype in ('c', 'n', 'd')
                         or confupdtype in ('c', 'n', 'd'))
union select unnest(array['writes', 'shows']), unnest(array[inhparent, inhrelid]),
             unnest(array[inhrelid, inhparent])
from pg_inherits
union select 'writes', r.ev_class, d.refobjid
from pg_rewrite r
join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
 and d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class
where r.ev_class >= {FIRST_OWN}
union select 'shows', d.refobjid, r.ev_class
from pg_rewrite r
join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
 and d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class
where r.ev_class >= {FIRST_OWN} and r.ev_type = '1'
union select 'runs', tgrelid, tgfoid
from pg_trigger
where not tgisinternal and tgenabled <> 'D' and tgfoid >= {FIRST_OWN}
union select 'asks', r.ev_class, d.refobjid
from pg_rewrite r
join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
 and d.refclassid = 'pg_proc'::regclass
where r.ev_class >= {FIRST_OWN} and r.ev_type = '1' and d.refobjid >= {FIRST_OWN}
"""  # noqa: S608 - of a constant
NAMES = """
select c.oid, c.relname::text as name, n.nspname = any ($1) as is_open
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_'
"""
# Functions of extensions are left out, unless a trigger runs them.
FUNCTIONS = f"""
select p.oid, p.proname::text as name, l.lanname::text as language,
       coalesce(p.pronamespace = to_regnamespace('atom'), false) as is_own,
       coalesce(nullif(p.prosrc, ''), pg_get_functiondef(p.oid)) as body
from pg_proc p join pg_language l on l.oid = p.prolang
where p.oid >= {FIRST_OWN} and p.prokind in ('f', 'p')
  and (exists (select from pg_trigger t where t.tgfoid = p.oid)
       or not exists (select from pg_depend e
                      where e.classid = 'pg_proc'::regclass and e.objid = p.oid
                        and e.deptype = 'e'))
"""  # noqa: S608 - of a constant
TEXTUAL = frozenset({"sql", "plpgsql"})
DYNAMIC = re.compile(r'\bexecute\b|u&"', re.IGNORECASE)
WORD = re.compile(r"\w+")
OWN = re.compile(r'\b(?:atom|public)\."?(\w+)')  # functions of Atom qualify each name

Graph = dict[int, set[int]]


async def read(held: Querying, schemas: list[str]) -> dict[str, frozenset[str]]:
    """Return, for each table of these schemas, those that change with it, itself too.

    Tables that change alone are left out.
    """
    names = await held.fetch(NAMES, schemas)
    return build(await held.fetch(EDGES), names, await held.fetch(FUNCTIONS))


def build(
    edges: Iterable[Record], names: Iterable[Record], functions: Iterable[Record]
) -> dict[str, frozenset[str]]:
    """Follow what EDGES, NAMES and FUNCTIONS return."""
    tables = {row["oid"]: row for row in names}
    named = _by_name(tables.values())
    bodies = _Bodies(functions, named)
    writes, shows = Graph(), Graph()
    for row in edges:
        kind, source, target = row["kind"], row["source"], row["target"]
        if kind == "runs":
            writes.setdefault(source, set()).update(bodies.tables(target))
        elif kind == "asks":
            for table in bodies.tables(target):
                shows.setdefault(table, set()).add(source)
        else:
            graph = writes if kind == "writes" else shows
            graph.setdefault(source, set()).add(target)
    of_every = shows.pop(EVERY, set())
    opened = {oid: row["name"] for oid, row in tables.items() if row["is_open"]}
    found = {}
    for oid, name in opened.items():
        written = _reached(writes, {oid})
        if EVERY in written:
            written = set(tables)
        seen = _reached(shows, written | of_every)
        touched = frozenset(opened[each] for each in seen if each in opened)
        if len(touched) > 1:
            found[name] = touched
    return found


def _reached(graph: Mapping[int, set[int]], start: set[int]) -> set[int]:
    """Return where the edges of a graph lead to, the start included."""
    found, waiting = set(start), list(start)
    while waiting:
        following = graph.get(waiting.pop(), set()) - found
        found |= following
        waiting += following
    return found


def _by_name(rows: Iterable[Mapping[str, Any]]) -> dict[str, set[int]]:
    """Return oids by the first word of the folded name, as a text would show it."""
    found: dict[str, set[int]] = {}
    for row in rows:
        word = WORD.search(row["name"].casefold())
        found.setdefault(word[0] if word else "", set()).add(row["oid"])
    return found


class _Bodies:
    """The functions, by the tables that their texts name."""

    def __init__(
        self, functions: Iterable[Record], tables: Mapping[str, set[int]]
    ) -> None:
        self._tables = tables
        self._rows = {row["oid"]: row for row in functions}
        self._named = _by_name(self._rows.values())
        self._calls = Graph()
        self._names = Graph()

    def tables(self, function: int) -> set[int]:
        """Return what a function may reach, with all that it calls; or EVERY."""
        found, seen, waiting = set[int](), {function}, [function]
        while waiting:
            named, called = self._read(waiting.pop())
            found |= named
            waiting += called - seen
            seen |= called
        return found

    def _read(self, function: int) -> tuple[set[int], set[int]]:
        """Return the tables and the functions that the text of one names."""
        if function not in self._names:
            row = self._rows.get(function)
            self._names[function], self._calls[function] = set(), set()
            if row is None or row["language"] not in TEXTUAL:
                self._names[function] = {EVERY}
            else:
                if DYNAMIC.search(row["body"]) and not row["is_own"]:
                    self._names[function] = {EVERY}
                text = row["body"].casefold()
                found = OWN.findall(text) if row["is_own"] else WORD.findall(text)
                for word in {*found, ""}:
                    self._names[function] |= self._tables.get(word, set())
                    self._calls[function] |= self._named.get(word, set())
        return self._names[function], self._calls[function]
