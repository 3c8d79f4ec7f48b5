"""Indexes: their names, what they are to be, and the steps from what there is."""

import re
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256

from atom.datatype.datatype import datatype as known
from atom.datatype.declared import INDEX_METHODS, operator_class
from atom.postgres.identifier import MAX_BYTES, public, quote
from atom.schema import extension
from atom.schema.draft import Draft, Index, Part
from atom.schema.entry import Column
from atom.schema.entry_index import Composite
from atom.schema.live import IndexState
from atom.schema.plan import EXCLUSIVE, UPDATE_EXCLUSIVE
from atom.schema.probe import Shown

# The word that stands for the method in the name of an index that is a rule as well.
UNIQUE = "unique"
PLAIN = (*INDEX_METHODS, UNIQUE)
KINDS = (*PLAIN, *(f"{kind}_where" for kind in PLAIN))
EXPRESSION = re.compile(r"_expression(_where)?(_[0-9a-f]{8})?")


def shorten(name: str, whole: str = "") -> str:
    """Cut a name to what PostgreSQL keeps; the end distinguishes cut names.

    With `whole` the name is given that end even when it is short enough.
    """
    if len(name) <= MAX_BYTES and not whole:
        return name
    digest = sha256((whole or name).encode()).hexdigest()[:8]
    return f"{name[: MAX_BYTES - 9]}_{digest}"


def _whole(table: str, columns: str, method: str) -> str:
    return f"index_{table}_{columns.replace(',', '_')}_{method}"


def index_name(table: str, columns: str, method: str) -> str:
    """Return the name of an index; several columns have commas between.

    >>> index_name("test", "title", "gin"), index_name("test", "a,b", "unique")
    ('index_test_title_gin', 'index_test_a_b_unique')
    """
    return shorten(_whole(table, columns, method))


def other_name(table: str, columns: str, method: str) -> str:
    """Return a name for an index that shares its own: a_b + c and a + b_c meet."""
    return shorten(_whole(table, columns, method), f"{table}.{columns}.{method}")


def own_names(table: str, columns: Iterable[str]) -> set[str]:
    """Return every name Atom may have given to an index on one of these columns.

    Of an index on several columns hand in all of them, with commas between.
    """
    return {
        make(table, column, method)
        for column in columns
        for method in KINDS
        for make in (index_name, other_name)
    }


def is_own(index: IndexState, singles: Collection[str]) -> bool:
    """Whether an index has the name Atom gives; `singles` are `own_names`."""
    several = len(index.keys) > 1
    return index.name in singles or (
        several and index.name in own_names(index.table, [",".join(index.columns)])
    )


def choose(draft: Draft) -> None:
    """Choose the indexes that this server can build, and their names."""
    for table, columns in draft.declared.tables.items():
        for column in columns.values():
            for method in column.indexes:
                _choose(draft, table, [column], method)
            if column.unique:
                _choose(draft, table, [column], "btree", unique=True)
    for table, composites in draft.declared.indexes.items():
        for index in composites:
            if index.expression:
                _choose_expression(draft, table, index)
                continue
            named = [draft.declared.column(table, name) for name in index.columns]
            entry = index if index.where else None
            unique = index.unique
            _choose(draft, table, named, index.method, unique=unique, entry=entry)


def _choose(
    draft: Draft,
    table: str,
    columns: Sequence[Column],
    method: str,
    *,
    unique: bool = False,
    entry: Composite | None = None,
) -> None:
    parts = [
        part
        for column in columns
        if (part := _part(draft, table, column, method)) is not None
    ]
    if len(parts) < len(columns):
        return
    joined = ",".join(column.name for column in columns)
    kind = (UNIQUE if unique else method) + ("_where" if entry is not None else "")
    name = index_name(table, joined, kind)
    if _is_taken(draft, name, table):
        name = other_name(table, joined, kind)
    if name in draft.indexes and entry is not None:
        name = other_name(table, f"{joined} {entry.where}", kind)
    draft.indexes[name] = Index(name, table, method, tuple(parts), unique, entry)


def _choose_expression(draft: Draft, table: str, entry: Composite) -> None:
    if entry.operator_class.endswith("_trgm_ops"):
        extension.use(draft, "pg_trgm")
    kind = (UNIQUE if entry.unique else entry.method) + "_expression"
    kind += "_where" if entry.where else ""
    words = "_".join(re.findall(r"[a-z0-9]+", entry.expression.lower()))
    name = index_name(table, words, kind)
    if _is_taken(draft, name, table):
        text = f"{entry.expression} {entry.where}"
        name = shorten(name, f"{table}.{text}.{kind}")
    draft.indexes[name] = Index(name, table, entry.method, (), entry.unique, entry)


def _is_taken(draft: Draft, name: str, table: str) -> bool:
    state = draft.live.indexes.get(name)
    return name in draft.indexes or (state is not None and state.table != table)


def _part(draft: Draft, table: str, column: Column, method: str) -> Part | None:
    """Return what an index stores of a column; None when it cannot be built here."""
    datatype = draft.chosen[table].get(column.name, column.datatype)
    lent = operator_class(method, datatype)
    if lent is None:
        return Part(column.name)
    needed, name = lent
    if extension.use(draft, needed):
        return Part(column.name, extension.within(draft, needed, name))
    draft.note(
        f"A {method} index on {known(datatype).family} needs {needed}, which cannot be"
        f" used here; it is left out. {extension.cure(draft, needed)}"
    )
    return None


def steps(draft: Draft) -> None:
    """Build what is missing, rebuild what is broken, drop what is stale."""
    _drop_stale(draft)
    for index in draft.indexes.values():
        there = draft.live.indexes.get(index.name)
        if there is not None and index.name not in draft.unindexed:
            if there.valid and same(index, there, draft.live.shown):
                continue
            _drop(draft, index.name, index.table)
        _create(draft, index)


def _drop_stale(draft: Draft) -> None:
    texts = [query.text for query in draft.declared.queries]
    for name, found in sorted(draft.live.indexes.items()):
        table, state = found.table, draft.state(found.table)
        if table not in draft.declared.tables or state is None:
            continue
        if name in draft.indexes or name in draft.unindexed:
            continue
        if not (is_own(found, own_names(table, state.columns)) or is_expression(found)):
            continue
        if not draft.has_declared(table, found.columns):
            continue  # a column that stays keeps its index
        # One that is unique under another name was meant as more than speed.
        rule = found.unique and not _is_unique_name(found)
        if not (found.constraint or rule or any(name in t for t in texts)):
            _drop(draft, name, table)


def _is_unique_name(found: IndexState) -> bool:
    columns = ",".join(found.columns)
    makers, kinds = (index_name, other_name), (UNIQUE, f"{UNIQUE}_where")
    names = {make(found.table, columns, kind) for make in makers for kind in kinds}
    return found.name in names or is_expression(found)


def is_expression(found: IndexState) -> bool:
    """Whether an index on an expression has the name Atom gives."""
    name, prefix = found.name, f"index_{found.table}_"
    return name.startswith(prefix) and EXPRESSION.search(name) is not None


def same(index: Index, found: IndexState, shown: Shown) -> bool:
    """Whether an index is built as it should be."""
    if (found.table, found.method) != (index.table, index.method):
        return False
    if index.unique and not found.unique:
        return False
    entry, keys, predicate = index.entry, found.keys, ""
    if entry is not None:
        if (index.table, entry) not in shown.indexes:
            return not shown.is_able
        keys, predicate = shown.indexes[index.table, entry]
    if predicate != found.predicate:
        return False
    if entry is not None and entry.expression:
        return keys == found.keys
    classes = found.classes or ("",) * len(found.keys)
    return len(found.keys) == len(index.parts) and all(
        map(_same_part, index.parts, found.columns, classes)
    )


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
    where = ""
    if index.entry is not None:
        keys = index.entry.keys if index.entry.expression else keys
        where = f" where ({index.entry.where})" if index.entry.where else ""
    draft.add(
        f"create {unique}index {how}{quote(index.name)} on {public(index.table)}"
        f" using {index.method} ({keys}){where}",
        "index",
        index.table,
        name=index.name,
        lock=UPDATE_EXCLUSIVE if how else "SHARE",
        scan=True,
        transactional=not how,
        undo=f"drop index {how}if exists {public(index.name)}",
    )
