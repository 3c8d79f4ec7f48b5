"""Steps that build on tables: indexes, defaults, triggers, checks, queries."""

import re

from atom.sql.alter import check_name, is_birth, is_flag
from atom.sql.change import EXCLUSIVE, ROW_EXCLUSIVE, UPDATE_EXCLUSIVE
from atom.sql.declaration import Query
from atom.sql.draft import Draft
from atom.sql.identifier import public, quote
from atom.sql.index import Index
from atom.sql.live import IndexState
from atom.sql.target import own_names
from atom.sql.trigger import FUNCTIONS
from atom.sql.trigger import triggers as wanted_triggers

PREFIX = "atom_"


def indexes(draft: Draft) -> None:
    """Build what is missing, rebuild what is broken, drop what is stale."""
    texts = [query.text for query in draft.declared.queries]
    for table in draft.declared.tables:
        state = draft.state(table)
        own = own_names(table, state.columns) if state is not None else set()
        for name in sorted(own & set(draft.live.indexes) - set(draft.target.indexes)):
            found = draft.live.indexes[name]
            kept = found.constraint or found.unique or any(name in t for t in texts)
            if found.table == table and not kept and name not in draft.unindexed:
                _drop(draft, name, table)
    for index in draft.target.indexes.values():
        there = draft.live.indexes.get(index.name)
        if there is not None and index.name not in draft.unindexed:
            if there.valid and same(index, there):
                continue
            _drop(draft, index.name, index.table)
        _create(draft, index)


def same(index: Index, found: IndexState) -> bool:
    """Say whether an index is built as it should be."""
    if (found.table, found.method, len(found.keys)) != (index.table, index.method, 1):
        return False
    if index.operator_class.rpartition(".")[2] not in ("", *found.classes):
        return False
    key = found.keys[0].replace('"', "")
    if index.key != quote(index.column):
        return "ll_to_earth(" in key and index.column in key and not found.partial
    return key == index.column and not found.partial


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
    key = index.key if index.key == quote(index.column) else f"({index.key})"
    ending = f" {index.operator_class}" if index.operator_class else ""
    draft.add(
        f"create index {how}{quote(index.name)} on {public(index.table)}"
        f" using {index.method} ({key}{ending})",
        "index",
        index.table,
        name=index.name,
        lock=UPDATE_EXCLUSIVE if how else "SHARE",
        scan=True,
        transactional=not how,
        undo=f"drop index {how}if exists {public(index.name)}",
    )


def defaults(draft: Draft, table: str) -> None:
    """Fill created_at of new rows."""
    state, declared = draft.state(table), draft.declared_columns(table)
    if state is None or "created_at" not in declared:
        return
    if not is_birth("created_at", draft.datatypes(table)["created_at"]):
        return
    found = state.columns.get("created_at")
    if found is None and declared["created_at"].not_null:
        return  # added with its default
    if found is None or found.default is None:
        sql = f"alter table {public(table)} alter column created_at set default now()"
        draft.add(sql, "default", table, lock=EXCLUSIVE)


def functions(draft: Draft) -> None:
    """Make trigger functions that are missing or of another version."""
    for function in FUNCTIONS:
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
        for trigger in wanted_triggers(tables)
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


def checks(draft: Draft, table: str) -> None:
    """Let flags be 0, 1 or null."""
    state = draft.state(table)
    if state is None:
        return  # a new table has them
    datatypes = draft.datatypes(table)
    for column in draft.declared_columns(table):
        name, datatype = check_name(table, column), datatypes[column]
        validated = draft.live.constraints.get((table, name))
        if validated or not is_flag(column, datatype):
            continue
        target = f"alter table {public(table)}"
        if validated is None:
            late = " not valid" if state.rows else ""
            sql = (
                f"{target} add constraint {quote(name)}"
                f" check ({quote(column)} in (0, 1)){late}"
            )
            draft.add(sql, "constraint", table, name=name, lock=EXCLUSIVE)
        if validated is False or state.rows:
            draft.add(
                f"{target} validate constraint {quote(name)}",
                "constraint",
                table,
                name=name,
                lock=UPDATE_EXCLUSIVE,
                scan=True,
                transactional=False,
            )


def queries(draft: Draft) -> None:
    """Run the user's queries that have not run as they are now."""
    for query in draft.declared.queries:
        before = draft.live.applied.get(query.label)
        added = query.constraints
        if added and all(place in draft.live.constraints for place in added):
            if before not in {None, query.mark}:
                draft.drift.append(
                    f"Query {query.label} has changed, but its constraint exists:"
                    " drop that to have it made anew."
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
    """Say whether what a query did once is gone: its constraint, or its table."""
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
