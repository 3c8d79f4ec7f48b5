"""Defaults: those that are declared, and the time a new row has."""

import re

from atom.datatype.declared import is_time
from atom.postgres.identifier import public, quote
from atom.schema.draft import Draft, same_datatype
from atom.schema.entry import Column
from atom.schema.literal import NULL, same
from atom.schema.live import ColumnState
from atom.schema.plan import EXCLUSIVE


def is_row_time(column: Column, datatype: str) -> bool:
    """Whether a new row has its time of creation in a column."""
    named = column.name in {"created_at", "updated_at"}
    free = not column.default and not column.generated
    return named and free and is_time(datatype)


def default_clause(column: Column) -> str:
    """Return the value that is declared, ready to follow a datatype, or ""."""
    if column.generated:
        return f" generated always as ({column.generated}) stored"
    if not column.default or column.default == NULL:
        return ""
    return f" default {column.default}"


def steps(draft: Draft) -> None:
    """Set declared defaults; a new row has its created_at and updated_at."""
    for table, state in draft.existing():  # a new table has them
        datatypes = draft.datatypes(table)
        for name, column in draft.declared_columns(table).items():
            found = state.columns.get(name)
            if found is not None and not draft.settled(table, name):
                continue
            if column.generated or (found is not None and found.computed):
                continue
            if is_row_time(column, datatypes[name]):
                # A mandatory one is added with its default.
                bare = not column.not_null if found is None else found.default is None
                if bare:
                    _set_default(draft, table, name, "now()")
            elif found is not None:
                _default(draft, table, column, found)


def _default(draft: Draft, table: str, column: Column, found: ColumnState) -> None:
    # A column of another datatype has lost the default it had.
    wanted = draft.chosen[table][column.name]
    there = found.default if same_datatype(wanted, found.datatype) else None
    if column.default:
        if not same(column.default, there, column.datatype):
            _set_default(draft, table, column.name, column.default)
        return
    asked = re.compile(
        rf'\balter\s+(column\s+)?"?{column.name}"?\s+set\s+default\b', re.IGNORECASE
    )
    texts = (query.bare for query in draft.declared.queries)
    if column.default == "" and there is not None and not any(map(asked.search, texts)):
        draft.drift.append(
            f"{table}.{column.name} has a default that is not declared:"
            ' "default": None takes it away.'
        )


def _set_default(draft: Draft, table: str, name: str, default: str) -> None:
    change = "drop default" if default == NULL else f"set default {default}"
    sql = f"alter table {public(table)} alter column {quote(name)} {change}"
    draft.add(sql, "default", table, lock=EXCLUSIVE)
