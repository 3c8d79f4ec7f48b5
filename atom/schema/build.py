"""Steps that build on tables: indexes, defaults, triggers, the user's queries."""

import re

from atom.own.part import parts
from atom.postgres.identifier import public, quote
from atom.schema.alter import is_row_time
from atom.schema.column import Column
from atom.schema.declaration import Query
from atom.schema.draft import Draft, same_datatype
from atom.schema.index import UNIQUE, Index, Part, index_name, other_name
from atom.schema.literal import NULL
from atom.schema.literal import same as same_default
from atom.schema.live import ColumnState, IndexState
from atom.schema.plan import EXCLUSIVE, ROW_EXCLUSIVE, UPDATE_EXCLUSIVE
from atom.schema.target import is_own, own_names

PREFIX = "atom_"


def indexes(draft: Draft) -> None:
    """Build what is missing, rebuild what is broken, drop what is stale."""
    texts = [query.text for query in draft.declared.queries]
    existing: dict[str, list[str]] = {}
    for name, found in sorted(draft.live.indexes.items()):
        existing.setdefault(found.table, []).append(name)
    for table in draft.declared.tables:
        state = draft.state(table)
        own = own_names(table, state.columns) if state is not None else set()
        for name in existing.get(table, ()):
            found = draft.live.indexes[name]
            if name in draft.target.indexes:
                continue
            if name in draft.unindexed or not is_own(found, own):
                continue
            if not draft.has_declared(table, found.columns):
                continue  # a column that stays keeps its index
            # One that is unique under another name was meant as more than speed.
            rule = found.unique and not _is_unique_name(found)
            if not (found.constraint or rule or any(name in t for t in texts)):
                _drop(draft, name, table)
    for index in draft.target.indexes.values():
        there = draft.live.indexes.get(index.name)
        if there is not None and index.name not in draft.unindexed:
            if there.valid and same(index, there):
                continue
            _drop(draft, index.name, index.table)
        _create(draft, index)


def _is_unique_name(found: IndexState) -> bool:
    columns = ",".join(found.columns)
    makers = (index_name, other_name)
    return found.name in {make(found.table, columns, UNIQUE) for make in makers}


def same(index: Index, found: IndexState) -> bool:
    """Whether an index is built as it should be."""
    if (found.table, found.method) != (index.table, index.method) or found.partial:
        return False
    if len(found.keys) != len(index.parts) or (index.unique and not found.unique):
        return False
    classes = found.classes or ("",) * len(found.keys)
    return all(map(_same_part, index.parts, found.columns, classes))


def _same_part(part: Part, key: str, operator_class: str) -> bool:
    if part.operator_class.rpartition(".")[2] not in {"", operator_class}:
        return False
    return key == part.column


def _concurrently(draft: Draft, table: str) -> str:
    """PostgreSQL builds an index on a partitioned table only under a lock."""
    state = draft.state(table)
    return "" if state is not None and state.partitioned else "concurrently "


def _drop(draft: Draft, name: str, table: str) -> None:
    how = _concurrently(draft, table)
    draft.add(
        f"drop index {how}{public(name)}",
        "index",
        table,
        name=name,
        lock=UPDATE_EXCLUSIVE if how else EXCLUSIVE,
        transactional=not how,
    )


def _create(draft: Draft, index: Index) -> None:
    how = _concurrently(draft, index.table)
    unique = "unique " if index.unique else ""
    keys = ", ".join(
        quote(part.column) + (f" {part.operator_class}" if part.operator_class else "")
        for part in index.parts
    )
    draft.add(
        f"create {unique}index {how}{quote(index.name)} on {public(index.table)}"
        f" using {index.method} ({keys})",
        "index",
        index.table,
        name=index.name,
        lock=UPDATE_EXCLUSIVE if how else "SHARE",
        scan=True,
        transactional=not how,
        undo=f"drop index {how}if exists {public(index.name)}",
    )


def defaults(draft: Draft, table: str) -> None:
    """Set declared defaults; a new row has its created_at and updated_at."""
    state = draft.state(table)
    if state is None:
        return  # a new table has them
    for name, column in draft.declared_columns(table).items():
        found = state.columns.get(name)
        if found is not None and not draft.settled(table, name):
            continue
        if is_row_time(column, draft.datatypes(table)[name]):
            # A mandatory one is added with its default.
            bare = not column.not_null if found is None else found.default is None
            if bare:
                _set_default(draft, table, name, "now()")
        elif found is not None:
            _default(draft, table, column, found)


def _default(draft: Draft, table: str, column: Column, found: ColumnState) -> None:
    # A column of another datatype has lost the default it had.
    wanted = draft.target.tables[table][column.name]
    there = found.default if same_datatype(wanted, found.datatype) else None
    if column.default:
        if not same_default(column.default, there, column.datatype):
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


def functions(draft: Draft) -> None:
    """Make trigger functions that are missing or of another version."""
    for function in (each for part in parts() for each in part.functions):
        found = draft.live.functions.get(function.name)
        if found is None or (found.comment, found.source) != (
            function.mark,
            function.source,
        ):
            draft.add(function.sql, "function", name=function.name)


def triggers(draft: Draft) -> None:
    """Make triggers that are missing or of another version, drop stale ones."""
    live = draft.live
    tables = {
        table: draft.datatypes(table)
        for table in draft.declared.tables
        if table not in live.others
    }
    wanted = {
        (trigger.schema, trigger.table, trigger.name): trigger
        for part in parts()
        for trigger in part.triggers(tables)
    }
    for place, state in live.triggers.items():
        schema, table, name = place
        if place in wanted or not name.startswith(PREFIX) or schema != "public":
            continue
        if table in tables and table not in draft.untriggered and state.comment:
            sql = f"drop trigger {quote(name)} on {public(table)}"
            draft.add(sql, "trigger", table, name=name, lock=EXCLUSIVE)
    for place, trigger in wanted.items():
        found = live.triggers.get(place)
        fresh = found is None or trigger.table in draft.untriggered
        if found is not None and not fresh and not found.enabled:
            draft.drift.append(f"Trigger {trigger.name} on {trigger.table} is off.")
        if found is None or fresh or found.comment != trigger.mark:
            cost = {"name": trigger.name, "lock": ROW_EXCLUSIVE}
            draft.add(trigger.sql, "trigger", trigger.table, **cost)


def queries(draft: Draft) -> None:
    """Run the user's queries that have not run as they are now."""
    for query in draft.declared.queries:
        before = draft.live.applied.get(query.label)
        added = query.constraints
        if added and all(place in draft.live.constraints for place in added):
            if before not in {None, query.mark}:
                draft.drift.append(
                    f"Query {query.label} has changed, but its constraint exists:"
                    " drop that to have it made again."
                )
            continue
        if before == query.mark and not _undone(draft, query):
            continue
        if query.destructive and not draft.destructive:
            draft.drift.append(
                f"Query {query.label} takes something away: is_destructive=1 runs it."
            )
            continue
        draft.add(
            query.text,
            "query",
            query.table if query.table in draft.declared.tables else "",
            name=query.label,
            lock=_lock(query),
            destructive=query.destructive,
            reversible=False,
            transactional=query.transactional,
            mark=query.mark,
        )


def _undone(draft: Draft, query: Query) -> bool:
    """Whether what a query did once is gone: its constraint, or its table."""
    others = [other.bare for other in draft.declared.queries]
    for place in query.constraints:
        drops = re.compile(rf"\bdrop\s+constraint\b[^;]*\b{place[1]}\b", re.IGNORECASE)
        if place not in draft.live.constraints and not any(map(drops.search, others)):
            return True
    return any(re.search(rf"\b{table}\b", query.bare) for table in draft.new_tables())


def _lock(query: Query) -> str:
    """Guess the lock of a query of the user's, the strongest it may take."""
    if not query.transactional:
        return UPDATE_EXCLUSIVE
    return EXCLUSIVE if query.table else "unknown"
