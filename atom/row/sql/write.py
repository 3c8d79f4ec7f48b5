"""Statements that change rows: insert, update, delete. Each by shape, written once."""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

from enum import Enum
from functools import lru_cache
from itertools import count

from atom.postgres.catalog import LiveColumn, Table
from atom.postgres.identifier import public, quote, quote_all
from atom.row.sql.filter import Shape, render, through
from atom.row.sql.statement import (
    Marks,
    RowSet,
    checked,
    key,
    reached,
    takes,
    where,
)

BRIEF_MS = 10


class Wait(Enum):
    """How a write of several rows waits for rows that another transaction changes."""

    PLAIN = "as the session does"
    BRIEF = f"{BRIEF_MS} ms for each, then it fails: nothing can wait for it in turn"
    ORDERED = "as the session does; the rows are locked first, in order of their keys"


def _cast(column: LiveColumn, mark: str) -> str:
    return column.kind.cast(mark)


def set_by_rule(
    row_set: RowSet, columns: tuple[str, ...], marks: Marks
) -> dict[str, str]:
    """Build what a rule sets where these columns are sent, by column."""
    table, found = row_set.table, row_set.rule.sets(columns)
    return {
        name: f"{expression.render('t', marks.of_caller)}"
        f"::{table.columns[name].kind.bare}"
        for name, expression in found.items()
    }


def writing(row_set: RowSet, columns: tuple[str, ...]) -> Marks:
    """Return the parameters of a statement that writes these columns."""
    return Marks(row_set.rule.takes_to_write(columns))


@lru_cache(1024)
def insert(row_set: RowSet, columns: tuple[str, ...]) -> str:
    """Build the insert of one row, one parameter for each column."""
    table, taken = row_set.table, writing(row_set, columns)
    others = set_by_rule(row_set, columns, taken)
    values = [_cast(table.columns[name], next(taken)) for name in columns]
    check = checked(row_set.rule, "t", table, taken)
    return (
        f"insert into {public(table.name)} as t ({quote_all((*columns, *others))})"
        f" values ({', '.join((*values, *others.values()))})"
        f" returning t.{quote(table.key)}{check}"
    )


def unnested(
    table: Table, columns: tuple[str, ...], start: int
) -> tuple[list[str], str]:
    """Build the rows of a from clause of lists, one parameter for each column.

    Return the values to select (x.c1, x.c2, …, cast to their columns) and the lists.
    Lists of arrays travel as array literals: unnest would take them apart.
    """
    lists, values = [], []
    for number, name in enumerate(columns, start):
        kind = table.columns[name].kind
        travels = "text" if kind.element is not None else kind.sent_as
        lists.append(f"${number}::{travels}[]")
        is_plain = travels == kind.name or (
            kind.family == "text" and kind.name != "citext"
        )
        values.append(f"x.c{number}" + ("" if is_plain else f"::{kind.bare}"))
    return values, ", ".join(lists)


def cell_names(columns: tuple[str, ...], start: int) -> str:
    """Name what `unnested` selects from: c1, c2, …"""
    return ", ".join(f"c{number}" for number, _ in enumerate(columns, start))


def rows_in_order(
    table: Table, columns: tuple[str, ...], start: int
) -> tuple[list[str], str]:
    """Build rows as `unnested` does. Return the values, and where to take them from.

    That also has `x.place`, the number of the row in the list.
    """
    values, lists = unnested(table, columns, start)
    names = cell_names(columns, start)
    return values, f"unnest({lists}) with ordinality as x({names}, place)"


@lru_cache(1024)
def proposed(row_set: RowSet, columns: tuple[str, ...]) -> str:
    """Build the check of a row that is not there, one parameter for each column.

    A column that is not sent has its default, null where the table counts or computes.
    """
    table, taken = row_set.table, writing(row_set, columns)
    values = {name: _cast(table.columns[name], next(taken)) for name in columns}
    values |= set_by_rule(row_set, columns, taken)
    for name, column in table.columns.items():
        if name not in values:
            is_own = column.generated or column.identity or name == table.key
            default = "null" if is_own else column.default or "null"
            values[name] = f"({default})::{column.datatype}"
    cells = ", ".join(f"{value} as {quote(name)}" for name, value in values.items())
    check = row_set.rule.check
    condition = "true" if check is None else check.render("t", taken.of_caller)
    return f"select {condition} from (select {cells}) t"


@lru_cache(1024)
def proposed_change(
    row_set: RowSet, columns: tuple[str, ...], by: tuple[str, ...]
) -> str:
    """Build the check of a row as a change would leave it, found `by` columns.

    Parameters: a value for each of them, then for each column that is changed. What
    the table computes is what it was. It returns nothing where no row is reached.
    """
    table, taken = row_set.table, writing(row_set, columns)
    parts = reached(row_set, "t", taken)
    for name in by:
        mark = next(taken)
        cell = _cast(table.columns[name], mark)
        if name == table.key:
            cell = key(table, mark)
        parts.append(f"t.{quote(name)} = {cell}")
    values = {name: f"t.{quote(name)}" for name in table.columns}
    values |= {name: _cast(table.columns[name], next(taken)) for name in columns}
    values |= set_by_rule(row_set, columns, taken)
    cells = ", ".join(f"{value} as {quote(name)}" for name, value in values.items())
    check = row_set.rule.check
    condition = "true" if check is None else check.render("t", taken.of_caller)
    return (
        f"select {condition}"
        f" from (select {cells} from {public(table.name)} t{where(parts)}) t"
    )


@lru_cache(1024)
def insert_many(row_set: RowSet, columns: tuple[str, ...]) -> str:
    """Build the insert of any number of rows, one parameter (a list) for each column.

    It returns one array of ids, in the order of the rows. If a trigger leaves a row
    out, ids could not be matched to rows: a division by zero undoes the statement.
    """
    table, taken = row_set.table, writing(row_set, columns)
    others = set_by_rule(row_set, columns, taken)
    values, source = rows_in_order(table, columns, taken.start)
    check = checked(row_set.rule, "t", table, taken)
    return (
        f"with made as (insert into {public(table.name)} as t"
        f" ({quote_all((*columns, *others))})"
        f" select {', '.join((*values, *others.values()))} from {source}"
        f" order by x.place returning t.{quote(table.key)} as id{check})"
        " select array_agg(id),"
        f" 1 / (count(*) = cardinality(${taken.start}))::int from made"
    )


def _assigned(table: Table, columns: tuple[str, ...], start: int) -> list[str]:
    return [
        f"{quote(name)} = {_cast(table.columns[name], f'${number}')}"
        for name, number in zip(columns, count(start), strict=False)
    ]


def _also_set(row_set: RowSet, columns: tuple[str, ...], marks: Marks) -> list[str]:
    others = set_by_rule(row_set, columns, marks)
    return [f"{quote(name)} = {value}" for name, value in others.items()]


@lru_cache(1024)
def update(row_set: RowSet, columns: tuple[str, ...]) -> str:
    """Build the update of one row: its id, then a value for each column."""
    table, taken = row_set.table, writing(row_set, columns)
    parts = reached(row_set, "t", taken)
    parts.append(f"t.{quote(table.key)} = {key(table, next(taken))}")
    assigned = _assigned(table, columns, taken.start + 1)
    assigned += _also_set(row_set, columns, taken)
    return (
        f"update {public(table.name)} as t set {', '.join(assigned)}{where(parts)}"
        f" returning t.{quote(table.key)}{checked(row_set.rule, 't', table, taken)}"
    )


@lru_cache(1024)
def update_many(
    row_set: RowSet,
    columns: tuple[str, ...],
    partial: tuple[str, ...],
    same: tuple[str, ...],
    wait: Wait = Wait.ORDERED,
) -> str:
    """Build the update of rows, each with values of its own.

    Parameters: a list of ids; a list for each column; for each of the `partial` ones a
    list of flags for the rows that have it (the others keep theirs); a value for each
    of the `same`. It returns one array of the ids that exist.
    """
    taken = writing(row_set, (*columns, *same))
    parts, start = reached(row_set, "t", taken), taken.start
    table, names = row_set.table, (row_set.table.key, *columns)
    written, first = unnested(table, names, start)
    cells = dict(zip(names, written, strict=True))
    after = start + len(names)
    lists = [first, *(f"${after + n}::boolean[]" for n in range(len(partial)))]
    assigned = []
    for name in columns:
        cell = cells[name]
        if name in partial:
            held = f"x.p{partial.index(name)}"
            cell = f"case when {held} then {cell} else t.{quote(name)} end"
        assigned.append(f"{quote(name)} = {cell}")
    assigned += _assigned(table, same, after + len(partial))
    assigned += _also_set(row_set, (*columns, *same), taken)
    check = checked(row_set.rule, "t", table, taken)
    held_names = "".join(f", p{n}" for n in range(len(partial)))
    parts.append(f"t.{quote(table.key)} = {cells[table.key]}")
    parts += _waits(row_set, key(table, f"${start}", many=True), taken, wait)
    return (
        f"with done as (update {public(table.name)} as t"
        f" set {', '.join(assigned)}"
        f" from unnest({', '.join(lists)}) as x({cell_names(names, start)}{held_names})"
        f"{where(parts)} returning t.{quote(table.key)} as id{check})"
        " select array_agg(id) from done"
    )


@lru_cache(1024)
def update_ids(
    row_set: RowSet, columns: tuple[str, ...], wait: Wait = Wait.ORDERED
) -> str:
    """Build the update of rows by a list of ids, then a value for each column."""
    table, taken = row_set.table, writing(row_set, columns)
    which = _by_ids(row_set, taken, wait)
    assigned = _assigned(table, columns, taken.start + 1)
    assigned += _also_set(row_set, columns, taken)
    check = checked(row_set.rule, "t", table, taken)
    return (
        f"update {public(table.name)} as t set {', '.join(assigned)}{which}"
        f" returning t.{quote(table.key)}{check}"
    )


@lru_cache(1024)
def delete_ids(row_set: RowSet, wait: Wait = Wait.ORDERED) -> str:
    """Build the delete of rows by a list of ids."""
    taken = Marks(row_set.rule.takes)
    return f"{_gone(row_set)}{_by_ids(row_set, taken, wait, 'update')}"


def _gone(row_set: RowSet) -> str:
    """Build the delete of rows, up to its condition; or their mark as deleted."""
    name = public(row_set.table.name)
    if row_set.rule.soft is None:
        return f"delete from {name} as t"
    column, mark = row_set.rule.soft
    return f"update {name} as t set {quote(column)} = {_marked(row_set.table, mark)}"


def _marked(table: Table, mark: str) -> str:
    """Build the mark of a deleted row; it fails for a protected one, as a delete does.

    What fails depends on the row, or PostgreSQL would compute it in any case.
    """
    column = table.columns.get("is_protected")
    if column is None or column.kind.family != "integer":
        return mark
    name = table.name.replace("'", "''")
    words = f"' of \"{name}\" is protected and cannot be deleted.'"
    fails = f"('Row ' || t.{quote(table.key)}::text || {words})::boolean"
    marked = f"case when {fails} then {mark} else {mark} end"
    return f"case when t.is_protected = 1 then {marked} else {mark} end"


def found_by(row_set: RowSet, conditions: tuple[Shape, ...]) -> tuple[str, ...]:
    """Return what a statement on rows that meet conditions takes of the caller."""
    return takes((row_set, *through(conditions)))


@lru_cache(1024)
def delete_any(row_set: RowSet, conditions: tuple[Shape, ...]) -> str:
    """Build the delete of the rows that meet conditions, at least one.

    The last parameter is how many are too many: then none is deleted. It returns how
    many were `found`, counted no further than that, and how many are `gone`.

    Raises:
        ValueError: without a condition.
    """
    if not conditions:
        raise ValueError("a delete needs a condition")
    taken, value_checks = Marks(found_by(row_set, conditions)), list[str]()
    parts = reached(row_set, "t", taken)
    parts += [render(each, "t", taken, value_checks) for each in conditions]
    condition, too_many = where(parts), f"{next(taken)}::bigint"
    name = public(row_set.table.name)
    return (
        f"with found as materialized"
        f" (select 1 from {name} as t{condition} limit {too_many}),"
        f" gone as ({_gone(row_set)}{condition}"
        f" and (select count(*) from found) < {too_many} returning 1)"
        " select (select count(*) from found) as found,"
        f" (select count(*) from gone) as gone{where(value_checks)}"
    )


def _by_ids(
    row_set: RowSet, taken: Marks, wait: Wait, lock: str = "no key update"
) -> str:
    """Build the condition on rows by a list of ids."""
    ids = key(row_set.table, next(taken), many=True)
    parts = [
        *reached(row_set, "t", taken),
        f"t.{quote(row_set.table.key)} = any({ids})",
        *_waits(row_set, ids, taken, wait, lock),
    ]
    return where(parts)


def _waits(
    row_set: RowSet, ids: str, taken: Marks, wait: Wait, lock: str = "no key update"
) -> list[str]:
    """Build the condition that PostgreSQL computes first, once, and that always holds.

    Rows are locked in the order of their keys: whoever changes some of the same rows
    takes them in the same order, so that one waits for the other and never each for
    the other.
    """
    if wait is Wait.PLAIN:
        return []
    if wait is Wait.BRIEF:
        setting = f"set_config('lock_timeout', '{BRIEF_MS}', true)"
        return [f"(select {setting}) is not null"]
    name = f"l.{quote(row_set.table.key)}"
    reach = where([*reached(row_set, "l", taken), f"{name} = any({ids})"])
    rows = f"select {name} from {public(row_set.table.name)} l{reach} order by {name}"
    return [f"cardinality(array({rows} for {lock})) >= 0"]
