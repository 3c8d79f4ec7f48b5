"""Generated columns: computed as declared, and out of the way of what they use."""

from atom.postgres.identifier import public, quote
from atom.schema import dependent
from atom.schema.default import default_clause
from atom.schema.draft import Draft, same_datatype
from atom.schema.entry import Column
from atom.schema.live import ColumnState
from atom.schema.plan import EXCLUSIVE

SETS_EXPRESSION = 17  # the first PostgreSQL that changes what a column is computed with


def release(draft: Draft, table: str, name: str) -> None:
    """Drop what is computed with a column that changes; `steps` makes it again."""
    declared = draft.declared_columns(table)
    for each, found in draft.live.tables[table].columns.items():
        computed = found.computed and dependent.mentions(found.default or "", name)
        if not computed or (table, each) in draft.uncomputed:
            continue
        column = declared.get(each)
        if column is not None and not column.generated:
            drop_expression(draft, table, each)
            continue
        if column is not None or (table, each) in draft.kept:
            draft.uncomputed[table, each] = name
            dependent.release(draft, table, each, found.datatype)
        elif draft.may_go(f"{table}.{each}"):
            draft.uncomputed[table, each] = name
            dependent.release(draft, table, each)
        else:
            draft.refusals.append(
                f"{table}.{name} cannot change: {table}.{each} is computed with it and"
                " is not declared as generated."
            )
            continue
        sql = f"alter table {public(table)} drop column {quote(each)}"
        draft.add(sql, "column", table, lock=EXCLUSIVE)


def refuse(draft: Draft, table: str, name: str) -> None:
    """Refuse that a column goes with which another one stays computed."""
    shown, declared = draft.live.shown.computed, draft.declared_columns(table)
    for each, found in draft.live.tables[table].columns.items():
        if not found.computed or not dependent.mentions(found.default or "", name):
            continue
        before, after = shown.get((table, each), ("", ""))
        if each in declared:
            stays = bool(declared[each].generated) and before == after
        else:
            stays = not draft.may_go(f"{table}.{each}")
        if stays and (table, each) not in draft.uncomputed:
            draft.refusals.append(
                f"{table}.{name} cannot go: {table}.{each} is computed with it."
            )


def drop_expression(draft: Draft, table: str, name: str) -> None:
    """Keep what was computed as plain values, once."""
    if (table, name) not in draft.uncomputed:
        draft.uncomputed[table, name] = ""
        sql = f"alter table {public(table)} alter column {quote(name)} drop expression"
        draft.add(sql, "column", table, lock=EXCLUSIVE)


def steps(draft: Draft) -> None:
    """Add and change generated columns, when all that they use is there."""
    for table, state in draft.existing():
        for name, column in draft.declared_columns(table).items():
            if not column.generated:
                continue
            found, datatype = state.columns.get(name), draft.chosen[table][name]
            if found is None or (table, name) in draft.uncomputed:
                _add(draft, table, column, datatype)
            else:
                _change(draft, table, column, found, datatype)
        for (on, name), used in draft.uncomputed.items():
            if on == table and (table, name) in draft.kept:
                datatype = draft.datatypes(table)[used]
                twin = Column(name, datatype, False, (), generated=quote(used))
                _add(draft, table, twin, datatype)


def _add(draft: Draft, table: str, column: Column, datatype: str) -> None:
    name, null = quote(column.name), " not null" * column.not_null
    sql = f"alter table {public(table)} add column {name} {datatype}{null}"
    sql += default_clause(column)
    draft.add(sql, "column", table, lock=EXCLUSIVE, rewrite=True, scan=True)


def _change(
    draft: Draft, table: str, column: Column, found: ColumnState, datatype: str
) -> None:
    target, name = f"alter table {public(table)}", quote(column.name)
    if not found.computed and not draft.destructive:
        draft.drift.append(
            f"{table}.{column.name} is not computed, declared as generated:"
            " is_destructive=1 drops its values and computes them."
        )
        return
    before, after = draft.live.shown.computed.get((table, column.name), ("", None))
    is_same = before == after or not draft.live.shown.is_able
    is_typed = same_datatype(datatype, found.datatype)
    if found.computed and is_typed and is_same:
        return
    if found.computed and is_typed and draft.live.version >= SETS_EXPRESSION:
        sql = f"{target} alter column {name} set expression as ({column.generated})"
        draft.add(sql, "column", table, lock=EXCLUSIVE, rewrite=True, scan=True)
        return
    dependent.release(draft, table, column.name, datatype)
    lost = not found.computed
    draft.add(
        f"{target} drop column {name}",
        "column",
        table,
        lock=EXCLUSIVE,
        destructive=lost,
        reversible=not lost,
    )
    _add(draft, table, column, datatype)
