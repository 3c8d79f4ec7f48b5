"""Columns: their datatype, whether they may be null, and what goes with them."""

import re
from typing import Any

from atom.datatype.declared import element, is_time
from atom.datatype.families import EXTENSIONS
from atom.postgres.identifier import public, quote
from atom.schema import extension, view
from atom.schema.constraint import flag_rule_name, is_flag
from atom.schema.default import default_clause, is_row_time
from atom.schema.draft import MARK, Draft, same_datatype
from atom.schema.entry import Column
from atom.schema.index import is_own, own_names, shorten
from atom.schema.literal import VOLATILE
from atom.schema.live import ColumnState, TableState
from atom.schema.plan import EXCLUSIVE, UPDATE_EXCLUSIVE
from atom.schema.table import ID

# Up to here a lock held while every row is read is harmless.
SMALL = 10_000
SETS_EXPRESSION = 17  # the first PostgreSQL that changes what a column is computed with


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
            if found is None:
                _add(draft, table, declared[name], datatype)
            elif declared[name].generated or found.computed:
                _compute(draft, table, declared[name], found, datatype)
            elif not same_datatype(datatype, found.datatype):
                _retype(draft, table, found, datatype)


def drops(draft: Draft) -> None:
    """Drop columns that may go; report those that are not declared."""
    for table, state in draft.existing():
        declared = draft.declared_columns(table)
        for name in state.columns:
            if name != "id" and name not in declared:
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
    each = column.default in VOLATILE or bool(column.generated)
    draft.add(sql, "column", table, lock=EXCLUSIVE, rewrite=each, scan=each)


def _retype(draft: Draft, table: str, found: ColumnState, datatype: str) -> None:
    name = quote(found.name)
    if not draft.destructive:
        draft.drift.append(
            f"{table}.{found.name} is {found.datatype}, declared {datatype}:"
            " is_destructive=1 changes it."
        )
        return
    view.release(draft, table, found.name)
    computed = _uncompute(draft, table, found.name)
    _drop_dependents(draft, table, found.name, datatype)
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
    for column in computed:
        chosen = draft.chosen[table].get(column.name, datatype)
        _add(draft, table, column, chosen)


def _uncompute(draft: Draft, table: str, name: str) -> list[Column]:
    """Drop the generated columns that are computed with a column; return them."""
    state, word = draft.live.tables[table], re.compile(rf"\b{re.escape(name)}\b")
    declared, gone = draft.declared_columns(table), []
    for each, found in state.columns.items():
        if not found.computed or not word.search(found.default or ""):
            continue
        view.release(draft, table, each)
        _drop_dependents(draft, table, each)
        sql = f"alter table {public(table)} drop column {quote(each)}"
        draft.add(sql, "column", table, lock=EXCLUSIVE)
        if each in declared and declared[each].generated:
            gone.append(declared[each])
        elif (table, each) in draft.kept:
            datatype = declared[name].datatype
            gone.append(Column(each, datatype, False, (), generated=quote(name)))
        else:
            draft.refusals.append(
                f"{table}.{name} cannot change: {table}.{each} is computed with it and"
                " is not declared as generated."
            )
    draft.uncomputed |= {(table, column.name) for column in gone}
    return gone


def _compute(
    draft: Draft, table: str, column: Column, found: ColumnState, datatype: str
) -> None:
    """Have a column computed as declared, or no longer computed."""
    if (table, column.name) in draft.uncomputed:
        return
    target, name = f"alter table {public(table)}", quote(column.name)
    if not column.generated:
        # What was computed stays as plain values.
        sql = f"{target} alter column {name} drop expression"
        draft.add(sql, "column", table, lock=EXCLUSIVE)
        if not same_datatype(datatype, found.datatype):
            _retype(draft, table, found, datatype)
        return
    if not found.computed and not draft.destructive:
        draft.drift.append(
            f"{table}.{column.name} is not computed, declared as generated:"
            " is_destructive=1 drops its values and computes them."
        )
        return
    before, after = draft.live.shown.computed.get((table, column.name), ("", None))
    is_typed = same_datatype(datatype, found.datatype)
    is_same = before == after or not draft.live.shown.is_able
    if found.computed and is_typed and is_same:
        return
    cost: dict[str, Any] = {"lock": EXCLUSIVE, "rewrite": True, "scan": True}
    if found.computed and is_typed and draft.live.version >= SETS_EXPRESSION:
        sql = f"{target} alter column {name} set expression as ({column.generated})"
        draft.add(sql, "column", table, **cost)
        return
    view.release(draft, table, column.name)
    _drop_dependents(draft, table, column.name)
    lost = {} if found.computed else {"destructive": True, "reversible": False}
    sql = f"{target} drop column {name}"
    draft.add(sql, "column", table, lock=EXCLUSIVE, **lost)
    _add(draft, table, column, datatype)


def _drop(draft: Draft, table: str, name: str) -> None:
    kept = (table, name) in draft.kept or _is_added(draft, table, name)
    if kept and f"{table}.{name}" not in draft.declared.drop:
        return
    if not draft.may_go(f"{table}.{name}"):
        draft.drift.append(
            f"{table}.{name} is not declared: is_destructive=1 drops it."
        )
        return
    view.release(draft, table, name, goes=True)
    _drop_dependents(draft, table, name)
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


def _drop_dependents(draft: Draft, table: str, column: str, datatype: str = "") -> None:
    """Drop what Atom made for a column; later phases create it again.

    `datatype` is what the column becomes, "" when it goes.
    """
    live = draft.live
    if table not in draft.untriggered:
        draft.untriggered.add(table)
        for schema, on, trigger in live.triggers:
            ours = trigger.startswith("atom_") or trigger in draft.declared.triggers
            if (schema, on) == ("public", table) and ours:
                sql = f"drop trigger {quote(trigger)} on {public(table)}"
                draft.add(sql, "trigger", table, lock=EXCLUSIVE)
    own = own_names(table, [column])
    for name, state in sorted(live.indexes.items()):
        ours = name in own or (column in state.columns and is_own(state, own))
        if state.table != table or state.constraint or not ours:
            continue
        if name in draft.unindexed or (state.unique and datatype):
            continue  # PostgreSQL takes what is unique along into the new datatype
        draft.unindexed.add(name)
        sql = f"drop index {public(name)}"
        draft.add(sql, "index", table, lock=EXCLUSIVE)
    for (on, name), rule in live.constraints.items():
        flag = name == flag_rule_name(table, column) and not is_flag(column, datatype)
        marked = rule.comment.startswith(MARK) and column in rule.columns
        if on == table and (flag or marked) and (on, name) not in draft.unruled:
            draft.drop_constraint(table, name)


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
