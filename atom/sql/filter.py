"""`<column>=<operator>,<value>`: what a caller may ask of rows, a closed grammar.

    id=>,1                  title=ilike,%ab%         type=in,1|2|3
    rating=between,1|5      title=is,null            is_active=is distinct from,1
    tag=contains,a|b        tag=overlap,a|b          tag=any,a
    metadata=contains,{"a":1}    metadata=exists,a   title=fts,two words

Parameters are AND-ed, the same column twice too. `or=(title=ilike,%a%;id=>,5)` holds
alternatives, a semicolon between them; `\\;` is a semicolon inside a value.
Lists (`in`, `not in`, `between`, `contains` and `overlap` of arrays) are joined by `|`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from atom.errors import ApiError, nearest
from atom.sql import value
from atom.sql.catalog import LiveColumn, Table, shown, unknown_column
from atom.sql.datatype import datatype
from atom.sql.identifier import quote
from atom.sql.operator import IS, OPERATORS, Operator

LIST_MAX = 1000
ALTERNATIVES_MAX = 50
BETWEEN_ALTERNATIVES = re.compile(r"(?<!\\);")


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter as written: its column is not looked up, its value not read."""

    column: str
    operator: str
    operand: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Filters of which one must hold."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter that fits its column, without its values: what decides the text."""

    column: LiveColumn
    operator: Operator


@dataclass(frozen=True, slots=True)
class Either:
    """Conditions of which one must hold."""

    conditions: tuple[Condition, ...]


def _unreadable(message: str, hint: str = "") -> ApiError:
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
        raise _unreadable(
            f"The filter of '{shown(column)}' has no operator.",
            f"Write {shown(column)}=<operator>,<value>, for example id=>,1.",
        )
    if operator not in OPERATORS:
        raise _unreadable(
            f"The filter of '{shown(column)}' has an unknown operator.",
            nearest(operator[:60], OPERATORS) or "One of: " + "  ".join(OPERATORS),
        )
    return Filter(column, operator, operand)


def parse_or(text: str) -> AnyOf:
    """Read `(<column>=<operator>,<value>;…)`.

    Raises:
        ApiError: `filter.unreadable` when it is not that.

    >>> [f.column for f in parse_or("(title=ilike,%a%;id=>,5)").filters]
    ['title', 'id']
    """
    if not (text.startswith("(") and text.endswith(")") and len(text) > 2):
        raise _unreadable(
            "'or' takes alternatives in parentheses.",
            "Write or=(title=ilike,%a%;id=>,5).",
        )
    alternatives = BETWEEN_ALTERNATIVES.split(text[1:-1])
    if len(alternatives) > ALTERNATIVES_MAX:
        raise _unreadable(f"'or' takes at most {ALTERNATIVES_MAX} alternatives.")
    filters = []
    for alternative in alternatives:
        column, equals, rest = alternative.partition("=")
        if not equals:
            raise _unreadable(
                "An alternative of 'or' is not <column>=<operator>,<value>.",
                "Write or=(title=ilike,%a%;id=>,5).",
            )
        filters.append(parse_filter(column.strip(), rest.replace("\\;", ";")))
    return AnyOf(tuple(filters))


def check(table: Table, asked: Filter) -> tuple[Condition, tuple[Any, ...]]:
    """Fit a filter to its column: what decides the text, and the values, read.

    Raises:
        ApiError: when the table has no such column, the operator does not suit its
            datatype, or the value cannot be read.
    """
    column = table.columns.get(asked.column)
    if column is None:
        raise unknown_column(table.name, asked.column, table.columns)
    kind = datatype(column.datatype)
    suits = [o for o in OPERATORS[asked.operator] if kind.family in o.families]
    if column.datatype == "json" and asked.operator != "is":
        suits = []  # json, unlike jsonb, has no operators
    if asked.operator == "is":
        word = " ".join(asked.operand.lower().split())
        suits = [o for w, o in IS.items() if w == word and kind.family in o.families]
        if not suits:
            raise _unreadable(
                f"'is' on column '{column.name}' takes "
                + ", ".join(w for w, o in IS.items() if kind.family in o.families)
                + "."
            )
    if not suits:
        fit = [
            n for n, os in OPERATORS.items() for o in os if kind.family in o.families
        ]
        raise _unreadable(
            f"Operator '{asked.operator}' does not suit column '{column.name}'"
            f" ({kind.name}).",
            "One of: " + "  ".join(fit if column.datatype != "json" else ["is"]),
        )
    operator = suits[0]
    return Condition(column, operator), READS[operator.takes](column, asked.operand)


def _split(column: LiveColumn, operand: str) -> list[str]:
    words = operand.split("|")
    if len(words) > LIST_MAX:
        raise _unreadable(
            f"The list for column '{column.name}' has over {LIST_MAX} items."
        )
    return words


def _one(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    return (value.from_text(column, operand),)


def _pattern(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    """Refuse what PostgreSQL refuses only when a row gets so far: an index may try the
    rows of others first, and the error would tell that there is one."""
    if (len(operand) - len(operand.rstrip("\\"))) % 2:
        raise _unreadable("The pattern may not end with a backslash.")
    return _one(column, operand)


def _two(column: LiveColumn, operand: str) -> tuple[Any, ...]:
    words = operand.split("|")
    if len(words) != 2:
        raise _unreadable(
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


def render(asked: Condition | Either, alias: str, marks: Iterator[str]) -> str:
    """Write a condition, taking a parameter from `marks` for each of its values."""
    if isinstance(asked, Either):
        parts = (render(condition, alias, marks) for condition in asked.conditions)
        return "(" + " or ".join(parts) + ")"
    kind = datatype(asked.column.datatype)
    column = f"{alias}.{quote(asked.column.name)}"
    takes = asked.operator.takes
    if takes == "nothing":
        return asked.operator.sql.format(c=column)
    if takes in {"key", "words"}:
        return asked.operator.sql.format(c=column, v=f"{next(marks)}::text")
    if takes == "many":
        return asked.operator.sql.format(c=column, v=kind.cast_list(next(marks)))
    if takes == "item":
        item = datatype(value.element(asked.column).datatype)
        return asked.operator.sql.format(c=column, v=item.cast(next(marks)))
    first = kind.cast(next(marks))
    if takes == "two":
        second = kind.cast(next(marks))
        return asked.operator.sql.format(c=column, v=first, w=second)
    return asked.operator.sql.format(c=column, v=first)
