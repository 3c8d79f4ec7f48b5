"""Columns with a new name: `old` is the one that holds the data."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from atom.postgres.identifier import MAX_BYTES, public, quote
from atom.schema.constraint import CHECKS, flag_rule_name, key_name, rule_name
from atom.schema.draft import Draft
from atom.schema.index import KINDS, index_name, other_name
from atom.schema.live import ColumnState, TableState
from atom.schema.plan import EXCLUSIVE, UPDATE_EXCLUSIVE


def steps(draft: Draft) -> None:
    """Rename columns that have their old name; report where both names exist.

    What comes after compares with the database as it will be then.
    """
    for table, columns in draft.declared.tables.items():
        for column in columns.values():
            state = draft.state(table)
            if not column.old or state is None or column.old not in state.columns:
                continue
            if column.name not in state.columns:
                _rename(draft, state, column.old, column.name)
                if column.keep and f"{table}.{column.old}" not in draft.declared.drop:
                    # Made once the new one has its datatype.
                    draft.kept.add((table, column.old))
                    draft.uncomputed[table, column.old] = column.name
                continue
            draft.kept.add((table, column.old))
            found = state.columns[column.old]
            if found.computed and (found.default or "").replace('"', "") == column.name:
                if (
                    not column.keep
                    and f"{table}.{column.old}" not in draft.declared.drop
                ):
                    draft.drift.append(
                        f"{table}.{column.old}, computed from {column.name}, is still"
                        " there: name it in 'drop'."
                    )
                continue
            draft.drift.append(
                f"{table}.{column.name} and {table}.{column.old}, its old name,"
                " both exist: move what the old one holds and drop it, or take"
                ' "old" out of the declaration.'
            )


def _rename(draft: Draft, state: TableState, old: str, new: str) -> None:
    table, live = state.name, draft.live
    target = f"alter table {public(table)}"
    sql = f"{target} rename column {quote(old)} to {quote(new)}"
    if draft.declared_columns(table)[new].file is not None and "file" in live.own:
        sql += (  # in one transaction: files stay with their rows
            f";\nupdate atom.file set column_name = '{new}'"
            f" where table_name = '{table}' and column_name = '{old}'"
        )
    draft.add(sql, "column", table, lock=EXCLUSIVE)
    columns = {
        new if name == old else name: replace(column, name=new)
        if name == old
        else _computed(column, old, new)
        for name, column in state.columns.items()
    }
    tables = {**live.tables, table: replace(state, columns=columns)}
    draft.renamed.add((table, new))
    views = {}
    for name, view in live.views.items():
        uses = {(table, new) if use == (table, old) else use for use in view.uses}
        views[name] = replace(view, uses=frozenset(uses))

    indexes = dict(live.indexes)
    for name, index in live.indexes.items():
        if index.table != table or old not in " ".join(index.keys):
            continue
        after = _follow(index.columns, old, new)
        names = dict(_index_names(table, index.columns, after))
        names |= dict(_index_names(table, (old,), (new,)))
        called = names.get(name, name)
        if called != name and called not in indexes:
            sql = f"alter index {public(name)} rename to {quote(called)}"
            draft.add(sql, "column", table, lock=UPDATE_EXCLUSIVE)
            del indexes[name]
        else:
            called = name
        keys = tuple(_key(key, old, new) for key in index.keys)
        indexes[called] = replace(index, name=called, keys=keys)

    constraints = dict(live.constraints)
    for (on, name), rule in live.constraints.items():
        if on != table or old not in rule.columns:
            continue
        called = _rule_names(table, old, new, rule.columns).get(name, name)
        if called != name and (table, called) not in constraints:
            sql = f"{target} rename constraint {quote(name)} to {quote(called)}"
            draft.add(sql, "column", table, lock=EXCLUSIVE)
            del constraints[table, name]
        else:
            called = name
        after = _follow(rule.columns, old, new)
        constraints[table, called] = replace(rule, columns=after)

    draft.live = replace(
        live, tables=tables, indexes=indexes, constraints=constraints, views=views
    )


def _computed(column: ColumnState, old: str, new: str) -> ColumnState:
    """Return a column as it is when one that it is computed with has a new name."""
    if not column.computed or not column.default:
        return column
    text = re.sub(rf"\b{re.escape(old)}\b", new, column.default)
    return replace(column, default=text)


def _follow(columns: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(new if name == old else name for name in columns)


def _key(key: str, old: str, new: str) -> str:
    """Return a key of an index as PostgreSQL will show it."""
    if key.replace('"', "") == old:
        return new
    return key.replace(f"{old}[", f"{new}[")  # ll_to_earth(place[1], place[0])


def _index_names(
    table: str, before: tuple[str, ...], after: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for kind in KINDS:
        for make in (index_name, other_name):
            old, new = ",".join(before), ",".join(after)
            yield make(table, old, kind), make(table, new, kind)


def _rule_names(
    table: str, old: str, new: str, columns: tuple[str, ...]
) -> Mapping[str, str]:
    names = {flag_rule_name(table, old): flag_rule_name(table, new)}
    names |= {rule_name(table, old, k): rule_name(table, new, k) for k in CHECKS}
    # As PostgreSQL 18 calls what makes a column mandatory.
    names[f"{table}_{old}_not_null"] = f"{table}_{new}_not_null"[:MAX_BYTES]
    names[key_name(table, columns)] = key_name(table, _follow(columns, old, new))
    return names
