"""`or=(…;…)` and `and=(…;…)`: filters in groups, groups within groups.

    or=(title=ilike,%a%;id=>,5)
    or=(rating==,1;and=(rating=>,3;or=(title==,x;title==,y)))

A semicolon separates the members; `\\;` is a semicolon inside a value. Within an
inner group `\\)` is a closing parenthesis inside a value; in the outermost it needs
nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from atom.postgres.catalog import Table
from atom.row.sql import filter as filters
from atom.row.sql.filter import Condition, Filter, unreadable

MEMBERS_MAX = 50  # in all, groups within it included
DEPTH_MAX = 5
WORDS = ("or", "and")
OPENED = re.compile(r"\s*(or|and)=\(")
STOP_OUTER = re.compile(r"(?<!\\);|\Z")
STOP_INNER = re.compile(r"(?<!\\)[;)]|\Z")


@dataclass(frozen=True, slots=True)
class Group:
    """Filters of which one (or) or every one (and) must hold."""

    word: str
    members: tuple["Filter | Group", ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """Conditions of which one (or) or every one (and) must hold."""

    word: str
    members: tuple["Condition | Joined", ...]


Shape = Condition | Joined


def parse(word: str, text: str) -> Group:
    """Read `(<column>=<operator>,<value>;…)`.

    Raises:
        ApiError: `filter.unreadable` when it is not that.

    >>> [each.column for each in parse("or", "(title=ilike,%a%;id=>,5)").members]
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
    """Read the members of a group. Return them, and where the group ends."""
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
    return filters.parse_filter(column.strip(), rest)


def leaves(asked: Filter | Group) -> Iterator[Filter]:
    """Yield every filter of a group, or the filter itself."""
    if isinstance(asked, Filter):
        yield asked
        return
    for each in asked.members:
        yield from leaves(each)


def fit(view: Table, asked: Filter | Group) -> tuple[Shape, tuple[Any, ...]]:
    """Fit a filter or a group to a table: what decides the text, and all values.

    Raises:
        ApiError: naming the column, operator or value that does not fit.
    """
    if isinstance(asked, Filter):
        return filters.check(view, asked)
    fitted = [fit(view, each) for each in asked.members]
    values = tuple(value for _, read in fitted for value in read)
    return Joined(asked.word, tuple(shape for shape, _ in fitted)), values


def render(
    asked: Shape,
    alias: str,
    marks: Iterator[str],
    value_checks: list[str] | None = None,
) -> str:
    """Write a condition or a group.

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


def _render(
    asked: Shape, alias: str, marks: Iterator[str], value_checks: list[str]
) -> str:
    if isinstance(asked, Condition):
        return filters.render(asked, alias, marks, value_checks)
    parts = (_render(each, alias, marks, value_checks) for each in asked.members)
    return "(" + f" {asked.word} ".join(parts) + ")"
