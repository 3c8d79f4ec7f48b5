"""Columns: their datatype, whether they may be null, and what goes with them."""

import re

from atom.datatype.declared import element, is_time
from atom.datatype.families import EXTENSIONS
from atom.postgres.identifier import public, quote
from atom.schema import computed, dependent, extension
from atom.schema.default import default_clause, is_row_time
from atom.schema.draft import Draft, same_datatype
from atom.schema.entry import Column
from atom.schema.index import shorten
from atom.schema.literal import VOLATILE
from atom.schema.live import ColumnState, TableState
from atom.schema.plan import EXCLUSIVE, UPDATE_EXCLUSIVE
from atom.schema.table import ID

# Up to here a lock held while every row is read is harmless.
SMALL = 10_000


def choose(draft: Draft) -> None:
    """Choose the datatype each column has on this server."""
    for table, columns in draft.declared.tables.items():
        state = draft.state(table)
        found = state.columns if state is not None else {}
        draft.chosen[table] = {
            name: _choose(draft, table, column, found.get(name))
            for name, column in columns.items()
        }


def _choose(draft: Draft, table: str, column: Column, found: ColumnState | None) -> str:
    needed = EXTENSIONS.get(element(column.datatype))
    if needed is None:
        return column.datatype
    # A place on earth, which is stored without PostGIS as well.
    point = column.datatype == "geography(point,4326)"
    stays = point and found is not None and found.datatype == "point"
    if stays and not draft.destructive and extension.usable(draft, needed):
        draft.drift.append(
            f"{table}.{column.name} is a point and PostGIS is here now:"
            " is_destructive=1 turns it into geography and keeps every row."
        )
        return "point"
    if extension.use(draft, needed):
        return column.datatype
    if point:
        draft.note(
            "geography(POINT) is stored as point (longitude, latitude), because PostGIS"
            f" cannot be used here. {extension.cure(draft, needed)}"
        )
        return "point"
    draft.refusals.append(
        f"{table}.{column.name}: {column.datatype} needs the extension {needed}."
        f" {extension.cure(draft, needed)}"
    )
    return column.datatype


def steps(draft: Draft) -> None:
    """Add what is missing; report, or with `destructive` change, what is otherwise."""
    for table, state in draft.existing():
        _identity(draft, table, state)
        declared = draft.declared_columns(table)
        for name, datatype in draft.chosen[table].items():
            found = state.columns.get(name)
            if declared[name].generated:
                continue
            if found is None:
                _add(draft, table, declared[name], datatype)
                continue
            if found.computed:
                computed.drop_expression(draft, table, name)
            if not same_datatype(datatype, found.datatype):
                _retype(draft, table, found, datatype)


def drops(draft: Draft) -> None:
    """Drop columns that may go; report those that are not declared."""
    for table, state in draft.existing():
        declared = draft.declared_columns(table)
        # What is computed goes before what it is computed with.
        for name in sorted(state.columns, key=lambda n: not state.columns[n].computed):
            gone = (table, name) in draft.uncomputed and (table, name) not in draft.kept
            if name != "id" and name not in declared and not gone:
                _drop(draft, table, name)


def _identity(draft: Draft, table: str, state: TableState) -> None:
    found = state.columns.get("id")
    if found is None and any(column.primary for column in state.columns.values()):
        draft.drift.append(f"{table}.id is missing, and another column is the key.")
        return
    if found is None:
        sql = f"alter table {public(table)} add column {ID}"
        draft.add(sql, "column", table, lock=EXCLUSIVE, rewrite=True, scan=True)
        return
    if found.datatype != "bigint":
        draft.drift.append(f"{table}.id is {found.datatype}, not bigint.")
    if not found.primary:
        draft.drift.append(f"{table}.id is not the primary key.")
    if not found.identity and found.default is None:
        draft.drift.append(
            f"{table}.id is not an identity: new rows must bring theirs."
        )


def _add(draft: Draft, table: str, column: Column, datatype: str) -> None:
    sql = f"alter table {public(table)} add column {quote(column.name)} {datatype}"
    if column.not_null and is_row_time(column, datatype):
        # The rows that exist need a value at once; later rows get theirs as usual.
        sql += " not null default now()"
    elif default_clause(column):
        sql += " not null" * column.not_null + default_clause(column)
    elif column.not_null and (table, column.name) in draft.live.lacking:
        if (table, column.name) in draft.filled:
            draft.unfilled.add((table, column.name))
        else:
            draft.refusals.append(
                f"{table}.{column.name} is new and mandatory, but {table} has rows:"
                " declare it with 0, fill it, then declare it with 1."
            )
    elif column.not_null:
        sql += " not null"
    # A constant is kept once for all rows; each row has a uuid of its own.
    each = column.default in VOLATILE
    draft.add(sql, "column", table, lock=EXCLUSIVE, rewrite=each, scan=each)


def _retype(draft: Draft, table: str, found: ColumnState, datatype: str) -> None:
    name = quote(found.name)
    if not draft.destructive:
        draft.drift.append(
            f"{table}.{found.name} is {found.datatype}, declared {datatype}:"
            " is_destructive=1 changes it."
        )
        return
    computed.release(draft, table, found.name)
    dependent.release(draft, table, found.name, datatype)
    converts = found.datatype == "point" and datatype.startswith("geography")
    using = f"{name}::{datatype}"
    if converts:
        place = extension.within(draft, "postgis", "st_makepoint")
        mark = extension.within(draft, "postgis", "st_setsrid")
        using = f"{mark}({place}({name}[0], {name}[1]), 4326)::{datatype}"
    # A default of Atom would not fit a column that is not a time any more.
    written = draft.declared_columns(table)[found.name].default
    ours = found.default == "now()" and not is_time(datatype)
    ours = ours or (found.default is not None and bool(written))
    first = f"alter column {name} drop default, " if ours else ""
    draft.add(
        f"alter table {public(table)} {first}alter column {name} type {datatype}"
        f" using {using}",
        "column",
        table,
        lock=EXCLUSIVE,
        rewrite=True,
        scan=True,
        destructive=not converts,
        reversible=converts,
    )


def _drop(draft: Draft, table: str, name: str) -> None:
    kept = (table, name) in draft.kept or _is_added(draft, table, name)
    if kept and f"{table}.{name}" not in draft.declared.drop:
        return
    if not draft.may_go(f"{table}.{name}"):
        draft.drift.append(
            f"{table}.{name} is not declared: is_destructive=1 drops it."
        )
        return
    computed.refuse(draft, table, name)
    dependent.release(draft, table, name)
    sql = f"alter table {public(table)} drop column {quote(name)}"
    lost = {"destructive": True, "reversible": False}
    draft.add(sql, "column", table, lock=EXCLUSIVE, **lost)


def _is_added(draft: Draft, table: str, name: str) -> bool:
    """Whether a query of the declaration adds a column that no line declares."""
    adds = re.compile(
        rf'\badd\s+(column\s+)?(if\s+not\s+exists\s+)?"?{re.escape(name)}"?\s',
        re.IGNORECASE,
    )
    queries = draft.declared.queries
    return any(query.table == table and adds.search(query.bare) for query in queries)


def nulls(draft: Draft) -> None:
    """Make columns mandatory, or no longer so."""
    for table, state in draft.existing():
        for name, column in draft.declared_columns(table).items():
            found = state.columns.get(name)
            if found is None:
                if (table, name) in draft.unfilled:
                    sql = f"alter column {quote(name)} set not null"
                    sql = f"alter table {public(table)} {sql}"
                    draft.add(sql, "null", table, lock=EXCLUSIVE, scan=True)
                continue
            if column.not_null and not found.not_null:
                _refuse_null(draft, state, name)
            elif found.not_null and not column.not_null:
                _permit_null(draft, table, found)


def _refuse_null(draft: Draft, state: TableState, name: str) -> None:
    table, column = state.name, quote(name)
    target = f"alter table {public(table)}"
    if (table, name) in draft.live.lacking and (table, name) not in draft.filled:
        draft.refusals.append(
            f"{table}.{name} is declared mandatory, but rows hold null:"
            " fill them, or declare it with 0."
        )
    demand = f"{target} alter column {column} set not null"
    interim = shorten(f"atom_not_null_{table}_{name}")
    proof = draft.live.constraints.get((table, interim))
    if proof is None and state.rows < SMALL:
        draft.add(demand, "null", table, lock=EXCLUSIVE, scan=True)
        return
    # Rows are read under a lock that lets others write; the proof makes the rest short.
    if proof is None:
        sql = (
            f"{target} add constraint {quote(interim)}"
            f" check ({column} is not null) not valid"
        )
        draft.add(sql, "null", table, lock=EXCLUSIVE, transactional=False)
    if proof is None or not proof.validated:
        sql = f"{target} validate constraint {quote(interim)}"
        cost = {"lock": UPDATE_EXCLUSIVE, "scan": True, "transactional": False}
        draft.add(sql, "null", table, **cost)
    sql = f"{demand};\n{target} drop constraint {quote(interim)}"
    draft.add(sql, "null", table, lock=EXCLUSIVE)


def _permit_null(draft: Draft, table: str, found: ColumnState) -> None:
    """Let a column be null again, unless a key or a query of the user's forbids it."""
    asked = re.compile(
        rf'\balter\s+(column\s+)?"?{re.escape(found.name)}"?\s+set\s+not\s+null'
        rf"|\bprimary\s+key\b[^;]*\b{re.escape(found.name)}\b",
        re.IGNORECASE,
    )
    texts = (query.bare for query in draft.declared.queries)
    if found.primary or found.identity or any(map(asked.search, texts)):
        return
    sql = f"alter table {public(table)} alter column {quote(found.name)} drop not null"
    draft.add(sql, "null", table, lock=EXCLUSIVE)
