"""`relation=…`: the rows that refer to a row, how many, and the rows it refers to.

    message                rows of message that refer to this one: ten, newest first
    message:3              three of them
    message:count          how many there are
    message(id,title)      with these columns
    message.user_id        by this column, where there are several; of the tables that
                           refer to users, created_by_id only where there is no other
    user_id                the row that this one refers to
    user_id(username)      with these columns of it
    message(id,user_id(username))   and so on, two steps deep

Joined by commas; a backslash before a separator makes it part of a name. Inside
parentheses a single word is a column and `*` all of them.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count
from typing import Protocol

from atom.errors import ApiError, nearest
from atom.postgres.catalog import (
    Catalog,
    LiveColumn,
    Reference,
    Table,
    shown,
    unknown_column,
)
from atom.postgres.identifier import public, quote
from atom.row.sql import statement
from atom.row.sql.statement import (
    OWNER,
    USUAL_LIMITS,
    Bound,
    Marks,
    RowSet,
    cells,
    json_array,
)

CHILDREN_DEFAULT = 10
CHILDREN_MAX = 100
DEPTH_MAX = 2
RELATIONS_MAX = 10
ROWS_MAX = 100_000
# Who made and who changed a row; every table may have them, so a table is a child of
# users by another column first.
STAMPS = ("created_by_id", "updated_by_id")
TOKEN = re.compile(r"[(),:]|(?:\\.|[^(),:])+", re.DOTALL)
ESCAPED = re.compile(r"\\([(),:.])")
DOT = re.compile(r"(?<!\\)\.")
TAKES = (
    "'relation' takes tables that refer to this one and columns that refer to others,"
    " joined by commas."
)
EXAMPLE = "For example relation=message(id,title):3,message:count,user_id(username)."


@dataclass(frozen=True, slots=True)
class RelationQuery:
    """A relation as written: a table or a column, what of it, and how many."""

    name: str
    column: str = ""  # by which column, where there are several
    inside: tuple["RelationQuery", ...] = ()  # columns and relations
    amount: str = ""  # a number, or count
    bare: bool = False  # a single word: inside parentheses, a column


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation fitted to the catalog: everything but its values."""

    key: str  # its name in the answer
    kind: str  # parent, children or count
    row_set: RowSet
    view: Table  # the columns that may be shown
    here: tuple[str, ...]  # columns of the row it hangs on
    there: tuple[str, ...]  # columns of the related rows
    columns: tuple[str, ...] = ()
    limit: int | None = None  # of children; None: a parameter
    relations: tuple["Relation", ...] = ()

    @property
    def row_sets(self) -> Iterator[RowSet]:
        """The rows of it and of the relations within."""
        yield self.row_set
        for each in self.relations:
            yield from each.row_sets


def unreadable(message: str = TAKES, hint: str = EXAMPLE) -> ApiError:
    """Return the error for a relation that cannot be parsed."""
    return ApiError(message, code="relation.unreadable", hint=hint)


def parse(text: str) -> tuple[RelationQuery, ...]:
    """Parse a relation.

    Raises:
        ApiError: `relation.unreadable`.

    >>> [each.name for each in parse("message(id):3,user_id")]
    ['message', 'user_id']
    """
    words = [word.strip() for word in TOKEN.findall(text)][::-1]
    found = _items(words, 1)
    if words:
        raise unreadable()
    return found


def _items(words: list[str], depth: int) -> tuple[RelationQuery, ...]:
    found = [_item(words, depth)]
    while words and words[-1] == ",":
        words.pop()
        found.append(_item(words, depth))
    return tuple(found)


def _item(words: list[str], depth: int) -> RelationQuery:
    word = words.pop() if words else ""
    parts = [ESCAPED.sub(r"\1", part) for part in DOT.split(word, maxsplit=1)]
    name, column, dot = parts[0], parts[-1] if len(parts) == 2 else "", len(parts) == 2
    if not name or word in "(),:" or (dot and not column):
        raise unreadable()
    inside: tuple[RelationQuery, ...] = ()
    bare = not dot
    if words and words[-1] == "(":
        words.pop()
        bare = False
        inside = _items(words, depth + 1)
        if not words or words.pop() != ")":
            raise unreadable("A parenthesis of 'relation' is not closed.")
    amount = ""
    if words and words[-1] == ":":
        words.pop()
        bare = False
        amount = words.pop() if words else ""
        if not _is_amount(amount):
            raise unreadable(
                f"'{shown(name)}:' takes count, or a number from 1 to {CHILDREN_MAX}."
            )
    if depth > DEPTH_MAX and not bare:
        raise unreadable(f"'relation' goes at most {DEPTH_MAX} steps deep.")
    if amount == "count" and inside:
        raise unreadable(f"'{shown(name)}:count' has no columns.")
    return RelationQuery(name, column, inside, amount, bare=bare)


def _is_amount(text: str) -> bool:
    if text == "count":
        return True
    digits = text.isascii() and text.isdecimal() and len(text) <= 3
    return digits and 1 <= int(text) <= CHILDREN_MAX


@lru_cache(16)
def references(catalog: Catalog) -> Mapping[str, Mapping[str, Reference]]:
    """Return, for every table, its columns that refer and what they refer to.

    Of a foreign key of several columns one stands for all.
    """
    return {name: _references(catalog, each) for name, each in catalog.tables.items()}


def _references(catalog: Catalog, table: Table) -> Mapping[str, Reference]:
    found = {}
    for column in table.columns.values():
        parent = catalog.tables.get(column.refers or "")
        if parent is not None:
            to = (column.refers_to or parent.key,)
            found[column.name] = Reference((column.name,), parent.name, to)
    for reference in table.references:
        free = [each for each in reference.columns if each not in found]
        if free and table.columns.keys() >= {*free}:
            like = (
                n for n in free if reference.table in _likely(table, table.columns[n])
            )
            found[next(like, free[-1])] = reference
    for column in table.columns.values():
        if column.name not in found and (named := _named(catalog, table, column)):
            to = (named.key,)
            found[column.name] = Reference((column.name,), named.name, to)
    return {name: each for name, each in found.items() if _is_whole(catalog, each)}


def _is_whole(catalog: Catalog, reference: Reference) -> bool:
    """Whether the other table has a key and shows the columns that are referred to."""
    parent = catalog.tables.get(reference.table)
    return parent is not None and parent.columns.keys() >= {parent.key, *reference.to}


@lru_cache(16)
def referrers(catalog: Catalog) -> Mapping[str, Mapping[str, Mapping[str, Reference]]]:
    """Return, for every table, the tables that refer to it and by which columns."""
    found: dict[str, dict[str, dict[str, Reference]]] = {}
    for child, columns in references(catalog).items():
        for column, reference in columns.items():
            by = found.setdefault(reference.table, {})
            by.setdefault(child, {})[column] = reference
    return found


def _named(catalog: Catalog, table: Table, column: LiveColumn) -> Table | None:
    """Return the table that a column refers to by its name."""
    family = column.kind.family
    for name in _likely(table, column):
        parent = catalog.tables.get(name)
        if parent is not None and parent.key in parent.columns:
            found = parent.columns[parent.key].kind.family
            return parent if found == family else None
    return None


def _likely(table: Table, column: LiveColumn) -> tuple[str, ...]:
    """Name the tables a column may refer to, the likeliest first."""
    if column.name in STAMPS:
        return ("users",)
    if column.name == "parent_id":
        return (table.name,)
    if not column.name.endswith("_id"):
        return ()
    stem = column.name.removesuffix("_id")
    return (stem, stem + "s")


class Relatives(Protocol):
    """What a caller reaches of the tables around one."""

    @property
    def catalog(self) -> Catalog:
        """Return every table, without columns that do not exist outside."""

    def parent(self, name: str) -> tuple[RowSet, Table] | None:
        """Return the rows and columns of a table that others refer to, if open."""

    def child(self, name: str) -> tuple[RowSet, Table] | None:
        """Return the rows and columns of a table that refers to others, if open."""


def reference(relatives: Relatives, view: Table, name: str) -> Reference | None:
    """Return what a column of a table refers to, None when it does not."""
    found = references(relatives.catalog).get(view.name, {}).get(name)
    if found is None or not view.columns.keys() >= {*found.columns}:
        return None
    return found


def parent(relatives: Relatives, reference: Reference) -> tuple[RowSet, Table] | None:
    """Return the rows and columns that a reference leads to, if those are open."""
    side = relatives.parent(reference.table)
    if side is None or not side[1].columns.keys() >= {*reference.to}:
        return None
    return side


@dataclass(slots=True)
class Fitting:
    """Looks up relations; keeps what the statement and the cache want to know."""

    relatives: Relatives
    limits: list[int] = field(default_factory=list)  # those that are parameters
    tables: set[str] = field(default_factory=set)
    count: int = 0
    rows: int = 0

    def fit(
        self, queries: tuple[RelationQuery, ...], view: Table, rows: int
    ) -> tuple[Relation, ...]:
        """Fit relations of a table of which at most so many rows are read.

        Raises:
            ApiError: naming the relation or column that is unknown, or all of them
                when they ask for too many rows.
        """
        relations, keys = [], set(view.columns)
        for each in queries:
            relation = self._one(each, view, rows)
            if relation.key in keys:
                raise unreadable(
                    f"Rows of table '{view.name}' would have two '{relation.key}'.", ""
                )
            keys.add(relation.key)
            relations.append(relation)
        return tuple(relations)

    def _one(self, query: RelationQuery, view: Table, rows: int) -> Relation:
        refers = references(self.relatives.catalog)[view.name]
        shown = view.columns.keys()
        refers = {name: to for name, to in refers.items() if shown >= {*to.columns}}
        if query.name in refers and not query.column:
            relation = self._parent(query, view, refers)
        else:
            relation = self._children(query, view, refers)
        if relation.kind == "children":
            limit = int(query.amount or CHILDREN_DEFAULT)
            rows *= limit
            if limit in USUAL_LIMITS:
                relation = replace(relation, limit=limit)
            else:
                self.limits.append(limit)
        self.tables.add(relation.view.name)
        self.count += 1
        self.rows += rows
        if self.count > RELATIONS_MAX:
            raise unreadable(f"'relation' takes at most {RELATIONS_MAX} in all.", "")
        if self.rows > ROWS_MAX:
            raise unreadable(
                f"'limit' and 'relation' together ask for more than {ROWS_MAX} rows.",
                "Ask for fewer rows, or for fewer of a relation.",
            )
        nested = tuple(each for each in query.inside if not each.bare)
        return replace(
            relation,
            columns=_columns(query, relation.view),
            relations=self.fit(nested, relation.view, rows),
        )

    def _parent(
        self, query: RelationQuery, view: Table, refers: Mapping[str, Reference]
    ) -> Relation:
        reference = refers[query.name]
        side = parent(self.relatives, reference)
        if side is None:
            raise self._unknown(query, view, refers)
        if query.amount:
            raise unreadable(f"'{query.name}' is one row: it takes no number.", "")
        stem = query.name.removesuffix("_id")
        key = stem if stem != query.name else f"{stem}_row"
        here, there = reference.columns, reference.to
        return Relation(key, "parent", *side, here=here, there=there)

    def _children(
        self, query: RelationQuery, view: Table, refers: Mapping[str, Reference]
    ) -> Relation:
        by = referrers(self.relatives.catalog).get(view.name, {})
        side = self.relatives.child(query.name) if query.name in by else None
        columns = {
            name: each
            for name, each in by.get(query.name, {}).items()
            if side is not None
            and side[1].columns.keys() >= {*each.columns}
            and view.columns.keys() >= {*each.to}
        }
        if side is None or not columns:
            raise self._unknown(query, view, refers)
        column = query.column
        if not column:
            known = [name for name in columns if name not in STAMPS]
            known = known or [name for name in columns if name == OWNER]
            if len(known) != 1:
                raise unreadable(
                    f"Table '{query.name}' refers to '{view.name}' in several ways.",
                    f"Write {' or '.join(f'{query.name}.{name}' for name in columns)}.",
                )
            column = known[0]
        elif column not in columns:
            raise unreadable(
                f"Table '{query.name}' does not refer to '{view.name}' by"
                f" '{shown(column)}'.",
                nearest(column[:60], columns) or "It does by " + ", ".join(columns),
            )
        key = f"{query.name}_{column}" if query.column else query.name
        kind = "children"
        if query.amount == "count":
            key, kind = f"{key}_count", "count"
        here, there = columns[column].to, columns[column].columns
        return Relation(key, kind, *side, here=here, there=there)

    def _unknown(
        self, query: RelationQuery, view: Table, refers: Mapping[str, Reference]
    ) -> ApiError:
        """Return the error for an unknown relation, naming those the caller reaches."""
        by = referrers(self.relatives.catalog).get(view.name, {})
        open_to = [
            name for name, to in refers.items() if self.relatives.parent(to.table)
        ]
        open_to += [name for name in by if self.relatives.child(name)]
        hint = nearest(query.name[:60], open_to)
        if query.name in open_to:
            hint = "The columns that lead from one table to the other are not shown."
        elif open_to and not hint:
            hint = "It has " + ", ".join(open_to)
        return ApiError(
            f"Table '{view.name}' has no relation '{shown(query.name)}'.",
            code="sql.unknown_relation",
            hint=hint,
        )


def _columns(query: RelationQuery, view: Table) -> tuple[str, ...]:
    names = [each.name for each in query.inside if each.bare]
    for name in names:
        if name not in view.columns and name != "*":
            raise unknown_column(view.name, name, view.columns)
    if not names or "*" in names:
        return tuple(view.columns)
    return tuple(dict.fromkeys(names))


def render(
    relations: tuple[Relation, ...], row: str, taken: Marks, bound: Bound
) -> list[tuple[Relation, str]]:
    """Build each relation of the row called `row` as one expression."""
    aliases = (f"r{number}" for number in count(1))
    return [(each, _one(each, row, taken, aliases, bound)) for each in relations]


def _one(
    relation: Relation, row: str, taken: Marks, aliases: Iterator[str], bound: Bound
) -> str:
    alias = next(aliases)
    parts = statement.reached(relation.row_set, alias, taken)
    parts += [
        f"{alias}.{quote(there)} = {row}.{quote(here)}"
        for there, here in zip(relation.there, relation.here, strict=True)
    ]
    source = f" from {public(relation.view.name)} {alias}{statement.where(parts)}"
    if relation.kind == "count":
        return f"(select count(*){source})"
    limit = "1" if relation.kind == "parent" else str(relation.limit)
    if relation.kind == "children" and relation.limit is None:
        limit = f"{next(taken)}::bigint"
    output = statement.select_list(relation.view, relation.columns, alias)
    for each in relation.relations:
        inner = _one(each, alias, taken, aliases, bound)
        output += f", {inner} as {quote(each.key)}"
    if relation.kind == "parent":
        return f"(select to_json(r.*) from (select {output}{source} limit {limit}) r)"
    ordered = (
        f" order by {alias}.{quote(relation.row_set.table.key)} desc limit {limit}"
    )
    children = f"select {output}{source}{ordered}"
    child = cells(relation.view, relation.columns)
    child += [(each.key, None) for each in relation.relations]
    return f"(select {json_array(children, limit, bound, child)})"
