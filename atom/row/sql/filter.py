"""`<column>=<operator>,<value>`: what a caller may ask of rows, a closed grammar.

    id=>,1                  title=ilike,%ab%         type=in,1|2|3
    rating=between,1|5      title=is,null            is_active=is distinct from,1
    tag=contains,a|b        tag=overlap,a|b          tag=any,a
    metadata=contains,{"a":1}    metadata=exists,a   title=fts,two words

Parameters are AND-ed, the same column twice too. Lists (`in`, `not in`, `between`,
`contains` and `overlap` of arrays) are joined by `|`; `\\|` is one inside a value, and
an array may also be given as a JSON list. Filters are held together by `or` and `and`,
groups within groups:

    or=(title=ilike,%a%;id=>,5)
    or=(rating==,1;and=(rating=>,3;or=(title==,x;title==,y)))

A column that refers to another table leads to the columns of that:

    slot_id.starts_at=>,2026-01-01

A row is found where the row it refers to is within the caller's reach and meets the
filter.

A semicolon separates the members; `\\;` is a semicolon inside a value. Within an
inner group `\\)` is a closing parenthesis inside a value; in the outermost it needs
nothing.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from atom.datatype import value
from atom.datatype.datatype import UNPARSED, Datatype
from atom.datatype.operator import IS, OPERATORS, Operator
from atom.errors import ApiError, nearest
from atom.postgres.catalog import LiveColumn, Reference, Table, shown
from atom.postgres.identifier import public, quote
from atom.row.sql.relation import Relatives, parent, reference
from atom.row.sql.statement import Marks, RowSet, reached, split_words, where
from atom.row.sql.statement import column as column_of

LIST_MAX = 1000
MEMBERS_MAX = 50  # in all, groups within it included
DEPTH_MAX = 5
OPENED = re.compile(r"\s*(or|and)=\(")
STOP_OUTER = re.compile(r"(?<!\\);|\Z")
STOP_INNER = re.compile(r"(?<!\\)[;)]|\Z")
REGULAR = frozenset({"~", "~*"})
BACK_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")  # not after a \ of its own


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as written: its column is not looked up, its value not parsed."""

    column: str
    operator: str
    operand: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter that fits its column, without its values: what decides the text."""

    column: LiveColumn
    operator: Operator


@dataclass(frozen=True, slots=True)
class Group:
    """Filters of which one (or) or every one (and) must hold."""

    word: str
    members: tuple["Filter | Group", ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """Conditions of which one (or) or every one (and) must hold."""

    word: str
    members: tuple["Shape", ...]


@dataclass(frozen=True, slots=True)
class Through:
    """A condition on the row that a row refers to."""

    reference: Reference
    row_set: RowSet  # the rows it may lead to
    condition: Condition


Shape = Condition | Joined | Through


def is_regular(shape: Shape) -> bool:
    """Whether a condition, or one of a group, is a regular expression."""
    if isinstance(shape, Condition):
        return shape.operator.name in REGULAR
    if isinstance(shape, Through):
        return is_regular(shape.condition)
    return any(is_regular(each) for each in shape.members)


def unreadable(message: str, hint: str = "") -> ApiError:
    """Return the error for a filter that cannot be parsed."""
    return ApiError(message, code="filter.unreadable", hint=hint)


def parse_filter(column: str, text: str) -> Filter:
    """Parse `<operator>,<value>`.

    Raises:
        ApiError: `filter.unreadable` without a comma or with an unknown operator.

    >>> parse_filter("id", ">,1")
    Filter(column='id', operator='>', operand='1')
    """
    word, comma, operand = text.partition(",")
    operator = " ".join(word.lower().split())
    if not comma:
        raise unreadable(
            f"The filter of '{shown(column)}' has no operator.",
            f"Write {shown(column)}=<operator>,<value>. {shown(column)}==,x is equal"
            " to x.",
        )
    if operator not in OPERATORS:
        raise unreadable(
            f"The filter of '{shown(column)}' has an unknown operator.",
            nearest(operator[:60], OPERATORS) or "One of: " + "  ".join(OPERATORS),
        )
    return Filter(column, operator, operand)


def parse_group(word: str, text: str) -> Group:
    """Parse `(<column>=<operator>,<value>;…)`.

    Raises:
        ApiError: `filter.unreadable` when it is not that.

    >>> [each.column for each in parse_group("or", "(title=ilike,%a%;id=>,5)").members]
    ['title', 'id']
    """
    example = f"Write {word}=(title=ilike,%a%;id=>,5)."
    if not (text.startswith("(") and text.endswith(")") and len(text) > 2):
        raise unreadable(f"'{word}' takes alternatives in parentheses.", example)
    found = Group(word, _members(text[1:-1], 0, 1)[0])
    if sum(1 for _ in leaves(found)) > MEMBERS_MAX:
        raise unreadable(f"'{word}' takes at most {MEMBERS_MAX} alternatives.")
    return found


def _members(
    text: str, start: int, depth: int
) -> tuple[tuple[Filter | Group, ...], int]:
    """Parse the members of a group. Return them, and where the group ends."""
    if depth > DEPTH_MAX:
        raise unreadable(f"Groups of filters go at most {DEPTH_MAX} deep.")
    found: list[Filter | Group] = []
    while True:
        if opened := OPENED.match(text, start):
            inner, end = _members(text, opened.end(), depth + 1)
            found.append(Group(opened[1], inner))
        else:
            end = _stop(text, start, depth)
            found.append(_alternative(text[start:end], depth))
        if depth == 1 and end == len(text):
            return tuple(found), end
        if depth > 1 and text[end : end + 1] == ")":
            return tuple(found), end + 1
        if text[end : end + 1] != ";":
            raise unreadable(
                "A parenthesis of 'or' or 'and' is not closed, or something but a"
                " semicolon follows it.",
                "Write or=(id==,1;and=(id=>,5;id=<,9)).",
            )
        start = end + 1


def _stop(text: str, start: int, depth: int) -> int:
    found = (STOP_OUTER if depth == 1 else STOP_INNER).search(text, start)
    return len(text) if found is None else found.start()


def _alternative(text: str, depth: int) -> Filter:
    column, equals, rest = text.partition("=")
    if not equals:
        raise unreadable(
            "An alternative of 'or' or 'and' is not <column>=<operator>,<value>.",
            "Write or=(title=ilike,%a%;id=>,5).",
        )
    rest = rest.replace("\\;", ";")
    if depth > 1:
        rest = rest.replace("\\)", ")")
    return parse_filter(column.strip(), rest)


def leaves(asked: Filter | Group) -> Iterator[Filter]:
    """Yield every filter of a group, or the filter itself."""
    if isinstance(asked, Filter):
        yield asked
        return
    for each in asked.members:
        yield from leaves(each)


def suiting(kind: Datatype) -> list[str]:
    """Return the operators that suit a datatype."""
    if kind.is_opaque:
        return ["is"]
    return [
        name
        for name, each in OPERATORS.items()
        if any(kind.family in operator.families for operator in each)
    ]


def through(shapes: Iterable[Shape]) -> Iterator[RowSet]:
    """Yield the rows of other tables that conditions lead to."""
    for shape in shapes:
        if isinstance(shape, Joined):
            yield from through(shape.members)
        elif isinstance(shape, Through):
            yield shape.row_set


def check(
    table: Table, written: Filter, relatives: Relatives | None = None
) -> tuple[Condition | Through, tuple[Any, ...]]:
    """Fit a filter to its column, or to that of the row that a column refers to.

    Raises:
        ApiError: as `_fitted`; `sql.unknown_relation` when the column before the dot
            does not refer to rows that the caller reaches.
    """
    name, dot, of = written.column.partition(".")
    if not dot or written.column in table.columns or relatives is None:
        return _fitted(table, written)
    found = reference(relatives, table, name)
    side = None if found is None else parent(relatives, found)
    if found is None or side is None:
        raise ApiError(
            f"Table '{table.name}' has no relation '{shown(name)}'.",
            code="sql.unknown_relation",
            hint="A filter through a relation is <column>.<column of the other table>.",
        )
    row_set, view = side
    condition, values = _fitted(view, Filter(of, written.operator, written.operand))
    return Through(found, row_set, condition), values


def _fitted(table: Table, written: Filter) -> tuple[Condition, tuple[Any, ...]]:
    """Fit a filter to its column: what decides the text, and the values, parsed.

    Raises:
        ApiError: when the table has no such column, the operator does not suit its
            datatype, or the value cannot be parsed.
    """
    column = column_of(table, written.column)
    kind = column.kind
    suits = [o for o in OPERATORS[written.operator] if kind.family in o.families]
    if kind.is_opaque and written.operator != "is":
        suits = []
    if written.operator == "is":
        word = " ".join(written.operand.lower().split())
        suits = [o for w, o in IS.items() if w == word and kind.family in o.families]
        if not suits:
            raise unreadable(
                f"'is' on column '{column.name}' takes "
                + ", ".join(w for w, o in IS.items() if kind.family in o.families)
                + "."
            )
    if not suits:
        raise unreadable(
            f"Operator '{written.operator}' does not suit column '{column.name}'"
            f" ({kind.name}).",
            "One of: " + "  ".join(suiting(kind)),
        )
    operator = suits[0]
    read = READS[operator.takes](column, written.operand)
    if written.operator in REGULAR and BACK_REFERENCE.search(str(read[0])):
        raise ApiError(
            "A regular expression here has no back-references: they take too long.",
            code="filter.back_reference",
            hint="For a backslash before a digit write two.",
        )
    return Condition(column, operator), read


def _split(column: LiveColumn, operand: str) -> list[str]:
    words = split_words(operand, "|")
    if len(words) > LIST_MAX:
        raise unreadable(
            f"The list for column '{column.name}' has over {LIST_MAX} items."
        )
    return words


def _one(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    return (value.from_text(column, operand),)


def _pattern(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    """Refuse what PostgreSQL refuses only when a row gets so far: an index may try the
    rows of others first, and the error would reveal that there is one."""
    if (len(operand) - len(operand.rstrip("\\"))) % 2:
        raise unreadable("The pattern may not end with a backslash.")
    return _one(column, operand)


def _two(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    words = split_words(operand, "|")
    if len(words) != 2:
        raise unreadable(
            f"'between' on column '{column.name}' takes two values.",
            f"Write {column.name}=between,1|5.",
        )
    return tuple(value.from_text(column, word) for word in words)


def _many(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    return ([value.from_text(column, word) for word in _split(column, operand)],)


def _items(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    if (items := value.json_list(operand)) is not None:
        return (value.from_json(column, items),)
    single = value.element(column)
    words = _split(column, operand) if operand else []
    return ([value.from_text(single, word) for word in words],)


def _item(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    return (value.from_text(value.element(column), operand),)


WORDS = LiveColumn("", "text")


def _word(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    return (value.from_text(LiveColumn(column.name, WORDS.datatype), operand),)


def _nothing(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    return ()


READS: dict[str, Callable[[LiveColumn, str], tuple[Any, ...]]] = {
    "one": _one,
    "pattern": _pattern,
    "two": _two,
    "many": _many,
    "items": _items,
    "item": _item,
    "key": _word,
    "words": _word,
    "nothing": _nothing,
}


def fit(
    view: Table, asked: Filter | Group, relatives: Relatives | None = None
) -> tuple[Shape, tuple[Any, ...]]:
    """Fit a filter or a group to a table: what decides the text, and all values.

    Raises:
        ApiError: naming the column, operator or value that does not fit.
    """
    if isinstance(asked, Filter):
        return check(view, asked, relatives)
    fitted = [fit(view, each, relatives) for each in asked.members]
    values = tuple(value for _, read in fitted for value in read)
    return Joined(asked.word, tuple(shape for shape, _ in fitted)), values


def render(
    asked: Shape,
    alias: str,
    marks: Marks,
    value_checks: list[str] | None = None,
) -> str:
    """Build a condition or a group.

    `value_checks` receives what belongs at the end of the whole statement: conditions,
    always true, that make PostgreSQL check values that only it can check. They run even
    where no row is tested, so that an answer depends on the request alone, never on the
    rows of others. Without it they follow the condition.
    """
    checks: list[str] = []
    text = _render(
        asked, alias, marks, checks if value_checks is None else value_checks
    )
    return " and ".join([text, *checks])


def _render(asked: Shape, alias: str, marks: Marks, value_checks: list[str]) -> str:
    if isinstance(asked, Condition):
        return _condition(asked, alias, marks, value_checks)
    if isinstance(asked, Through):
        return _through(asked, alias, marks, value_checks)
    parts = (_render(each, alias, marks, value_checks) for each in asked.members)
    return "(" + f" {asked.word} ".join(parts) + ")"


def _through(asked: Through, alias: str, marks: Marks, value_checks: list[str]) -> str:
    """Build a condition on the row that a row refers to.

    The other table is read once a statement where that is cheaper.
    """
    parts = reached(asked.row_set, "p", marks)
    parts.append(_condition(asked.condition, "p", marks, value_checks))
    here = ", ".join(f"{alias}.{quote(name)}" for name in asked.reference.columns)
    there = ", ".join(f"p.{quote(name)}" for name in asked.reference.to)
    source = f"{public(asked.row_set.table.name)} p{where(parts)}"
    return f"({here}) in (select {there} from {source})"


def _condition(
    condition: Condition, alias: str, marks: Marks, value_checks: list[str]
) -> str:
    """Build a condition, taking a parameter from `marks` for each of its values."""
    kind = condition.column.kind
    column = f"{alias}.{quote(condition.column.name)}"
    takes, sql = condition.operator.takes, condition.operator.sql
    if takes == "nothing":
        return sql.format(c=column)
    if takes in {"key", "words"}:
        return sql.format(c=column, v=f"{next(marks)}::text")
    if takes == "many":
        values = [kind.cast_list(next(marks))]
    elif takes == "item":
        kind = value.element(condition.column).kind
        values = [kind.cast(next(marks))]
    elif takes == "pattern" and kind.name == "character":
        values = [f"{next(marks)}::text"]
    else:
        values = [kind.cast(next(marks)) for _ in range(2 if takes == "two" else 1)]
    if kind.element and takes == "one" and not condition.column.indexed:
        column += "[:]"  # items alone count, not where the bounds begin
    if condition.operator.name in REGULAR:
        value_checks.append(f"('' ~ {values[0]}) is not null")
    if (kind.element or kind).family in UNPARSED:
        # A row of nulls is null in the words of SQL.
        value_checks += [f"{each} is distinct from null" for each in values]
    return sql.format(c=column, v=values[0], w=values[-1])
