"""The SQL of one batch: which changed rows each of many callers may read.

Callers are rows of their own here, so that one statement asks for all that follow a
table by the same rule and the same kind of filter; their values are columns of `c`.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from atom.errors import ApiError
from atom.postgres.catalog import Table
from atom.postgres.condition import Bind
from atom.postgres.identifier import public, quote
from atom.row.sql.filter import Shape, render, through
from atom.row.sql.statement import (
    Marks,
    RowSet,
    reached,
    require_key,
    select_list,
    takes,
    where,
)

CHANGES = """select id, floor::text as floor, table_name, keys,
  (select array_agg(each::text) from jsonb_array_elements(old) each) as old
from atom.change where id = any($1::bigint[])"""
# Numbers of transactions go over the wire as text.
SINCE = """select id, floor::text as floor, table_name, keys,
  (select array_agg(each::text) from jsonb_array_elements(old) each) as old
from atom.change where table_name = $1 and xid >= $2::text::xid8
order by id limit $3"""
POSITION = """select pg_snapshot_xmin(pg_current_snapshot())::text as now,
  pg_snapshot_xmax(pg_current_snapshot())::text as next,
  (select xid::text from atom.change_horizon) as horizon"""
MARK = """select pg_notify('atom', json_build_object('topic', 'change',
  'value', ':' || pg_snapshot_xmin(pg_current_snapshot())::text)::text)"""
PRUNE = """with gone as (
  delete from atom.change where id in (
    select id from atom.change
    where changed_at < clock_timestamp() - $1::double precision * interval '1 second'
    order by changed_at limit 10000 for update skip locked)
  returning xid)
insert into atom.change_horizon (xid)
select max(xid) from gone having count(*) > 0
on conflict (id) do update
set xid = greatest(excluded.xid, atom.change_horizon.xid)"""


@dataclass(frozen=True, slots=True)
class Followed:
    """The rows that are followed: equal for all that one statement can ask for."""

    row_set: RowSet
    view: Table  # the columns that are shown
    columns: tuple[str, ...]
    conditions: tuple[Shape, ...]
    sent: int  # values of each caller's own filters
    in_text: bool  # bigints are shown as text

    @property
    def takes(self) -> tuple[str, ...]:
        """The values of each caller that the rules take."""
        return takes((self.row_set, *through(self.conditions)))


class CallerMarks(Marks):
    """Parameters that are columns of the caller."""

    def __init__(self, taken: tuple[str, ...]) -> None:
        super().__init__()
        self.of_caller: Mapping[str, str] = {
            name: f"c.t{place}" for place, name in enumerate(taken)
        }
        self._columns = iter(range(1_000_000))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return f"c.v{next(self._columns)}"


def as_text(value: Any) -> str | None:
    """Write a value of a caller as PostgreSQL reads it.

    Raises:
        ApiError: when it has no such form.

    >>> as_text([1, 'a"b', None]), as_text(True)
    ('{"1","a\\\\"b",NULL}', 'true')
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal | UUID):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list | tuple | set | frozenset):
        return "{" + ",".join(map(_item, value)) + "}"
    raise ApiError("A filter of this datatype cannot be followed.")


def _item(value: Any) -> str:
    text = as_text(value)
    if text is None:
        return "NULL"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _callers(followed: Followed, first: int) -> str:
    """Build the table of callers: `n` is the place of each, from 1."""
    names = [f"t{place}" for place in range(len(followed.takes))]
    kinds = [Bind(name).datatype for name in followed.takes]
    names += [f"v{place}" for place in range(followed.sent)]
    kinds += ["text"] * followed.sent
    if not names:
        return "(values (1)) as c(n)"
    given = ", ".join(f"${first + n}::{kind}[]" for n, kind in enumerate(kinds))
    return f"unnest({given}) with ordinality as c({', '.join(names)}, n)"


def _parts(followed: Followed) -> list[str]:
    marks, checks = CallerMarks(followed.takes), list[str]()
    parts = reached(followed.row_set, "t", marks)
    parts += [render(each, "t", marks, checks) for each in followed.conditions]
    return parts + checks


def _key(followed: Followed) -> str:
    """Build the key of a row as JSON."""
    column = f"t.{quote(require_key(followed.row_set.table))}"
    return f"to_json({column}{'::text' * followed.in_text})::text"


@lru_cache(512)
def live(followed: Followed) -> str:
    """Build the select of rows by their keys ($1): `key`, `body`, `callers`."""
    table = followed.row_set.table
    key = f"t.{quote(require_key(table))}"
    kind = table.columns[table.key].datatype
    parts = [f"{key} = any($1::text[]::{kind}[])", *_parts(followed)]
    shown = select_list(followed.view, followed.columns)
    return (
        f"with m as materialized (select {key} as k, array_agg(c.n) as callers"
        f" from {public(table.name)} t cross join {_callers(followed, 2)}"
        f"{where(parts)} group by {key})"
        f" select {_key(followed)} as key, row_to_json(r.*)::text as body, m.callers"
        f" from m join {public(table.name)} t on {key} = m.k"
        f" cross join lateral (select {shown}) r"
    )


@lru_cache(512)
def gone(followed: Followed) -> str:
    """Build the select of rows as they were before ($1, JSON): `key`, `callers`."""
    table = followed.row_set.table
    before = f"jsonb_populate_record(null::{public(table.name)}, o.v::jsonb)"
    return (
        f"select {_key(followed)} as key, array_agg(distinct c.n) as callers"
        f" from unnest($1::text[]) as o(v) cross join lateral {before} t"
        f" cross join {_callers(followed, 2)}{where(_parts(followed))} group by 1"
    )
