"""`<column>=<operator>,<value>`: what a caller may ask of rows, a closed grammar.

    id=>,1                  title=ilike,%ab%         type=in,1|2|3
    rating=between,1|5      title=is,null            is_active=is distinct from,1
    tag=contains,a|b        tag=overlap,a|b          tag=any,a
    metadata=contains,{"a":1}    metadata=exists,a   title=fts,two words

Parameters are AND-ed, the same column twice too; `group.py` reads or=(…) and and=(…).
Lists (`in`, `not in`, `between`, `contains` and `overlap` of arrays) are joined by `|`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from atom.datatype import value
from atom.datatype.datatype import Datatype, datatype
from atom.datatype.operator import IS, OPERATORS, Operator
from atom.errors import ApiError, nearest
from atom.postgres.catalog import LiveColumn, Table, shown, unknown_column
from atom.postgres.identifier import quote

LIST_MAX = 1000
REGULAR = frozenset({"~", "~*"})


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as written: its column is not looked up, its value not read."""

    column: str
    operator: str
    operand: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter that fits its column, without its values: what decides the text."""

    column: LiveColumn
    operator: Operator


def unreadable(message: str, hint: str = "") -> ApiError:
    """Return the error for a filter that cannot be parsed."""
    return ApiError(message, code="filter.unreadable", hint=hint)


def parse_filter(column: str, text: str) -> Filter:
    """Read `<operator>,<value>`.

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


def suiting(kind: Datatype) -> list[str]:
    """Return the operators that suit a datatype."""
    if kind.is_opaque:
        return ["is"]
    return [
        name
        for name, each in OPERATORS.items()
        if any(kind.family in operator.families for operator in each)
    ]


def check(table: Table, written: Filter) -> tuple[Condition, tuple[Any, ...]]:
    """Fit a filter to its column: what decides the text, and the values, read.

    Raises:
        ApiError: when the table has no such column, the operator does not suit its
            datatype, or the value cannot be read.
    """
    column = table.columns.get(written.column)
    if column is None:
        raise unknown_column(table.name, written.column, table.columns)
    kind = datatype(column.datatype)
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
    return Condition(column, operator), READS[operator.takes](column, written.operand)


def _split(column: LiveColumn, operand: str) -> list[str]:
    words = operand.split("|")
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
    words = operand.split("|")
    if len(words) != 2:
        raise unreadable(
            f"'between' on column '{column.name}' takes two values.",
            f"Write {column.name}=between,1|5.",
        )
    return tuple(value.from_text(column, word) for word in words)


def _many(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    return ([value.from_text(column, word) for word in _split(column, operand)],)


def _items(column: LiveColumn, operand: str) -> tuple[Any, ...]:
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


def render(
    condition: Condition, alias: str, marks: Iterator[str], value_checks: list[str]
) -> str:
    """Write a condition, taking a parameter from `marks` for each of its values.

    `value_checks` receives a condition, always true, for what only PostgreSQL checks.
    """
    kind = datatype(condition.column.datatype)
    column = f"{alias}.{quote(condition.column.name)}"
    takes, sql = condition.operator.takes, condition.operator.sql
    if takes == "nothing":
        return sql.format(c=column)
    if takes in {"key", "words"}:
        return sql.format(c=column, v=f"{next(marks)}::text")
    if takes == "many":
        values = [kind.cast_list(next(marks))]
    elif takes == "item":
        kind = datatype(value.element(condition.column).datatype)
        values = [kind.cast(next(marks))]
    else:
        values = [kind.cast(next(marks)) for _ in range(2 if takes == "two" else 1)]
    if condition.operator.name in REGULAR:
        value_checks.append(f"('' ~ {values[0]}) is not null")
    if (kind.element or kind).family == "other":
        value_checks += [f"{each} is not null" for each in values]
    return sql.format(c=column, v=values[0], w=values[-1])
