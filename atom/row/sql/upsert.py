"""Inserts that meet rows which are there already: those are changed, or left alone.

Parameters of each statement: what its rules take of the caller, a list for each column
of the rows; after them what the docstring adds.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from functools import lru_cache

from atom.postgres.catalog import Table
from atom.postgres.condition import Condition
from atom.postgres.identifier import public, quote, quote_all
from atom.row.sql.statement import OWNER, Marks, RowSet, Rule, checked, reached
from atom.row.sql.write import cell_names, rows_in_order, set_by_rule

# Indexes an insert can lean on: no expressions, no condition, not deferrable.
UNIQUE = """
select c.relname as "table",
       array_agg(a.attname::text order by k.place) as columns
from pg_index i
join pg_class c on c.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
cross join lateral unnest(i.indkey::int2[]) with ordinality as k(attnum, place)
join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
where i.indisunique and i.indisvalid and i.indimmediate
  and i.indpred is null and i.indexprs is null and k.place <= i.indnkeyatts
group by i.indexrelid, c.relname
order by c.relname, columns
"""


NOWHERE = Rule(Condition(("false",)))  # reaches no row


def takes(into: RowSet, over: RowSet, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return what an upsert takes of the caller: to add rows, and to reach others."""
    names = (*into.rule.takes_to_write(columns), *over.rule.takes_to_write(columns))
    return tuple(dict.fromkeys(names))


@lru_cache(1024)
def merge(
    into: RowSet,
    over: RowSet,
    columns: tuple[str, ...],
    keys: tuple[str, ...],
    same: str,
) -> str:
    """Build the insert that changes a row with the same keys, if `over` reaches it.

    One more parameter, where `same` names a column that is set to it in a changed row.
    It returns one array of ids; a row that may not be reached is missing in it.
    """
    table, taken = into.table, Marks(takes(into, over, columns))
    others = set_by_rule(into, columns, taken)
    values, source = rows_in_order(table, columns, taken.start)
    changed = [name for name in columns if name not in {*keys, table.key, OWNER}]
    # Something has to be set, or the row would not be returned.
    assigned = [f"{quote(n)} = excluded.{quote(n)}" for n in changed or keys[:1]]
    if same:
        assigned.append(f"{quote(same)} = ${taken.start + len(columns)}::bigint")
    for name, value in set_by_rule(over, columns, taken).items():
        assigned.append(f"{quote(name)} = {value}")
    reachable = "".join(f" where {part}" for part in reached(over, "t", taken))
    return (
        f"with made as (insert into {public(table.name)} as t"
        f" ({quote_all((*columns, *others))})"
        f" select {', '.join((*values, *others.values()))} from {source}"
        f" order by x.place on conflict ({quote_all(keys)})"
        f" do update set {', '.join(assigned)}{reachable}"
        f" returning t.{quote(table.key)} as id{_checked(into, over, taken)})"
        " select array_agg(id) from made"
    )


def _checked(into: RowSet, over: RowSet, marks: Marks) -> str:
    """Build the check of what is left behind: a row that is new has no `xmax`."""
    added = checked(into.rule, "t", into.table, marks)
    changed = checked(over.rule, "t", over.table, marks)
    if not added and not changed:
        return ""
    return (
        f", case when t.xmax = 0 then {added.removeprefix(', ') or 'true'}"
        f" else {changed.removeprefix(', ') or 'true'} end"
    )


@lru_cache(1024)
def ignore(
    into: RowSet, there: RowSet, columns: tuple[str, ...], keys: tuple[str, ...]
) -> str:
    """Build the insert that leaves alone what is there.

    It returns a row for each row, in order: its place, and `id`, null when one is
    there that `there` does not reach.
    """
    table, taken = into.table, Marks(takes(into, there, columns))
    others, start = set_by_rule(into, columns, taken), taken.start
    values, source = rows_in_order(table, columns, start)
    listed, cast = cell_names(columns, start), _numbered(values, start)
    places = {name: n for n, name in enumerate(columns, start)}
    numbers = tuple(places[key] for key in keys)
    # Whoever adds some of the same rows waits for the other, never each for the other.
    ordered = ", ".join(f"c{number}" for number in numbers)
    made = ", ".join(f"t.{quote(key)} as k{n}" for n, key in enumerate(keys))
    same = " and ".join(
        f"m.k{n} = {_given(table, key, places[key])}" for n, key in enumerate(keys)
    )
    return (
        f"with given as materialized (select x.place, {cast} from {source}),"
        f" made as (insert into {public(table.name)} as t"
        f" ({quote_all((*columns, *others))})"
        f" select {', '.join((listed, *others.values()))} from given"
        f" order by {ordered}, place"
        f" on conflict ({quote_all(keys)}) do nothing"
        f" returning t.{quote(table.key)} as id, {made}"
        f"{checked(into.rule, 't', table, taken)})"
        f" select g.place, coalesce(m.id, t.{quote(table.key)}) as id"
        f" from given g left join made m on {same}"
        f" left join {public(table.name)} t on {_same(there, keys, numbers, taken)}"
        " order by g.place"
    )


def _numbered(values: list[str], start: int) -> str:
    """Call values c1, c2, …: a column may have any name, also one used here."""
    return ", ".join(f"{value} as c{n}" for n, value in enumerate(values, start))


def _given(table: Table, key: str, number: int) -> str:
    """Cast a key to what its column holds: rounded where that rounds."""
    return f"g.c{number}::{table.columns[key].datatype}"


def _same(
    there: RowSet, keys: tuple[str, ...], numbers: tuple[int, ...], marks: Marks
) -> str:
    parts = reached(there, "t", marks)
    parts += [
        f"t.{quote(key)} = {_given(there.table, key, number)}"
        for key, number in zip(keys, numbers, strict=True)
    ]
    return " and ".join(parts)


@lru_cache(1024)
def look_up(there: RowSet, keys: tuple[str, ...]) -> str:
    """Build the look-up of rows with the same keys; the lists are those of the keys."""
    table, taken = there.table, Marks(there.rule.takes)
    values, source = rows_in_order(table, keys, taken.start)
    numbers = tuple(range(taken.start, taken.start + len(keys)))
    return (
        f"select t.{quote(table.key)} as id"
        f" from (select x.place, {_numbered(values, taken.start)} from {source}) g"
        f" left join {public(table.name)} t on {_same(there, keys, numbers, taken)}"
        " order by g.place"
    )
