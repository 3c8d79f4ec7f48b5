"""Conditions of `config_table`: trusted SQL over the columns of one table.

A condition is read once and written into many statements. There the table has an alias,
other rows are in sight and values are parameters, so its columns are qualified, sets of
the caller (`config_scope`) become arrays that PostgreSQL computes once a statement, and
`:me` becomes a parameter.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import orjson

from atom.postgres.identifier import quote

# Key words that are expressions or operators where a column of that name is not meant.
# PostgreSQL itself wants such a column in quotes.
RESERVED = frozenset(
    re.findall(
        r"\w+",
        "all analyse analyze and any array as asc asymmetric authorization "
        "between binary both case cast check collate collation column "
        "concurrently constraint create cross current_catalog current_date "
        "current_role current_schema current_time current_timestamp "
        "current_user default deferrable desc distinct do else end except "
        "exists false fetch for foreign freeze from full grant group having "
        "ilike in initially inner intersect into is isnull join lateral leading "
        "left like limit localtime localtimestamp natural not notnull null "
        "offset on only or order outer overlaps placing primary references "
        "returning right select session_user similar some symmetric system_user "
        "table tablesample then to trailing true union unique user using "
        "variadic verbose when where window with ",
    )
)
QUERY = frozenset({"select", "with", "values", "table"})  # begin a query in parentheses
TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<text>[eE]'(?:[^'\\]|\\.|'')*'|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*')
  | (?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<cast>::)
  | (?P<bind>:[A-Za-z_]\w*)
  | (?P<name>[^\W\d][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
ME, ROLE, CLAIM = "me", "role", "claim_"
NESTED_MAX = 10  # scopes that name scopes


class UnreadableCondition(ValueError):
    """A condition, or a scope it names, that cannot be read."""


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of SQL: its kind, and its text as written."""

    kind: str
    text: str

    @property
    def name(self) -> str:
        """The identifier as PostgreSQL understands it; empty for anything else."""
        if self.kind == "name":
            return self.text.lower()
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"')
        return ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table, to be qualified by its alias."""

    name: str


@dataclass(frozen=True, slots=True)
class Bind:
    """A value of the caller: `me`, or `claim_…`."""

    name: str

    @property
    def datatype(self) -> str:
        """The datatype of its parameter."""
        return "bigint" if self.name == ME else "text"


class Form(Enum):
    """How a set of the caller is written; which is fastest depends on its size."""

    ARRAY = "its rows are found by their index, once the whole set is known"
    JOIN = "PostgreSQL chooses, by an index of the set if it has one"
    HASH = "rows are taken in order until enough of them are in the set"


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a set of the caller begins or ends."""

    begins: bool
    negated: bool = False

    def render(self, form: Form) -> str:
        """Write it; all forms mean the same, also for nulls."""
        if not self.begins:
            return "))" if form is Form.ARRAY else ")"
        if form is Form.ARRAY:
            return f"{'<> all' if self.negated else '= any'} (array("
        return f"{'not in' if self.negated else 'in'} ("


Piece = str | Column | Bind | Edge


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was read. Its text is written by `render`."""

    pieces: tuple[Piece, ...]

    @property
    def binds(self) -> tuple[str, ...]:
        """The values of the caller that it takes, each once."""
        found = (each.name for each in self.pieces if isinstance(each, Bind))
        return tuple(dict.fromkeys(found))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that it names, each once."""
        found = (each.name for each in self.pieces if isinstance(each, Column))
        return tuple(dict.fromkeys(found))

    @property
    def names(self) -> frozenset[str]:
        """Every name in it but the columns: tables that it reads are among them.

        A claim is read from `users` when a token is made.
        """
        texts = (each for each in self.pieces if isinstance(each, str))
        found = {
            Token(str(match.lastgroup), match[0]).name
            for text in texts
            for match in TOKEN.finditer(text)
        }
        if any(name.startswith(CLAIM) for name in self.binds):
            found.add("users")
        return frozenset(found - {""})

    @property
    def has_sets(self) -> bool:
        """Whether it compares with a set of the caller."""
        return any(isinstance(each, Edge) for each in self.pieces)

    def sizes(self, marks: Mapping[str, str], most: int) -> list[str]:
        """Write queries that count each set of the caller, no further than `most`."""
        found, inside, depth = [], list[Piece](), 0
        for piece in self.pieces:
            if isinstance(piece, Edge):
                depth += 1 if piece.begins else -1
            if depth and not (depth == 1 and isinstance(piece, Edge) and piece.begins):
                inside.append(piece)
            elif inside:
                text = Condition(tuple(inside)).render("", marks)
                counted = f"(select from {text} s limit {most}) s"
                found.append(f"select count(*) from {counted}")  # noqa: S608
                inside = []
        return found

    def render(
        self, alias: str, marks: Mapping[str, str], form: Form = Form.ARRAY
    ) -> str:
        """Write it for a table called `alias`; `marks` has the parameters by name."""
        written = []
        for piece in self.pieces:
            if isinstance(piece, Column):
                written.append(f"{alias}.{quote(piece.name)}")
            elif isinstance(piece, Bind):
                written.append(f"{marks[piece.name]}::{piece.datatype}")
            elif isinstance(piece, Edge):
                written.append(piece.render(form))
            else:
                written.append(piece)
        text = f"({''.join(written)})"
        # Of a condition that is compared PostgreSQL makes no join.
        return f"({text} is true)" if form is Form.HASH else text


def both(conditions: Iterable[Condition | None]) -> Condition | None:
    """Join conditions that must all hold; None is a condition that always holds."""
    given = [each for each in conditions if each is not None]
    if len(given) < 2:
        return given[0] if given else None
    pieces: list[Piece] = []
    for each in given:
        pieces += [" and (" if pieces else "(", *each.pieces, ")"]
    return Condition(tuple(pieces))


def tokens(text: str) -> list[Token]:
    """Split SQL into tokens, without comments and with single spaces.

    Raises:
        UnreadableCondition: for a parenthesis, quote or comment that is not closed, a
            semicolon, or a parameter written as `$1`.
    """
    found: list[Token] = []
    depth = 0
    for match in TOKEN.finditer(text):
        kind, word = str(match.lastgroup), match[0]
        if kind == "tag":
            kind = "dollar"
        if kind == "space":
            if found and found[-1].kind != "space":
                found.append(Token("space", " "))
            continue
        if kind == "other":
            depth += (word == "(") - (word == ")")
            if word in {"'", '"', ";", "$"} or depth < 0:
                raise UnreadableCondition(f"{word} is not expected")
            if word == "/" and text[match.end() :].startswith("*"):
                raise UnreadableCondition("a comment is not closed")
        found.append(Token(kind, word))
    if depth:
        raise UnreadableCondition("a parenthesis is not closed")
    while found and found[-1].kind == "space":
        found.pop()
    if not found:
        raise UnreadableCondition("it is empty")
    return found


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads conditions: `scopes` are the sets of the caller, `roles` their roles."""

    scopes: Mapping[str, str]
    roles: Mapping[str, str]

    def read(self, text: str, table: str, columns: Iterable[str]) -> Condition:
        """Read a condition over the columns of a table.

        Raises:
            UnreadableCondition: naming what cannot be read.
        """
        known = frozenset(columns)
        return Condition(_joined(self._pieces(tokens(text), table, known, ())))

    def role(self, names: Iterable[str]) -> Condition:
        """Return the condition that the caller has one of these roles."""
        parts = [f"exists ({self.roles[name]}\n)" for name in names]
        return self.read(" or ".join(parts), "", ())

    def _pieces(
        self,
        given: list[Token],
        table: str,
        columns: frozenset[str],
        within: tuple[str, ...],
    ) -> list[Piece]:
        found: list[Piece] = []
        inner: list[bool] = []  # for each open parenthesis, whether it holds a query
        shadowed = _shadowed(given, table)
        at = 0
        while at < len(given):
            token = given[at]
            before = _near(given, at, -1)
            after = _near(given, at, 1)
            scope = self._scope(given, at)
            if scope is not None:
                at, negated, name = scope
                found += [Edge(True, negated), *self._set(name, within), Edge(False)]
            elif token.kind == "bind":
                found += self._bind(token.text[1:], within)
            elif token.text == "(":
                word = after.name if after is not None and after.kind == "name" else ""
                inner.append((bool(inner) and inner[-1]) or word in QUERY)
                found.append("(")
            elif token.text == ")":
                inner.pop()
                found.append(")")
            elif (
                token.name == table
                and token.name
                and not shadowed
                and after is not None
                and after.text == "."
                and (before is None or before.text != ".")
                and (column := _near(given, at, 2)) is not None
                and column.name in columns
            ):
                found.append(Column(column.name))
                at = _index(given, at, 2)
            elif self._is_column(token, before, after, columns) and not any(inner):
                found.append(Column(token.name))
            else:
                found.append(token.text)
            at += 1
        return found

    @staticmethod
    def _is_column(
        token: Token, before: Token | None, after: Token | None, columns: frozenset[str]
    ) -> bool:
        if token.name not in columns:
            return False
        if token.kind == "name" and token.name in RESERVED:
            return False
        if before is not None and (
            before.text == "." or before.kind == "cast" or before.name == "as"
        ):
            return False
        return after is None or after.text not in {"(", "."}

    def _scope(self, given: list[Token], at: int) -> tuple[int, bool, str] | None:
        """Find `in my_scope` or `not in my_scope` here.

        Returns the place of its last token, whether it is negated, and the name.
        """
        negated = given[at].name == "not" and given[at].kind == "name"
        steps = (1, 2) if negated else (0, 1)
        word, name = (_near(given, at, step) if step else given[at] for step in steps)
        if word is None or word.kind != "name" or word.name != "in" or name is None:
            return None
        if name.name not in self.scopes:
            return None
        return _index(given, at, steps[1]), negated, name.name

    def _set(self, name: str, within: tuple[str, ...]) -> list[Piece]:
        if name in within or len(within) >= NESTED_MAX:
            raise UnreadableCondition(f"config_scope[{name!r}] names itself")
        text = self.scopes[name]
        return self._pieces(tokens(text), "", frozenset(), (*within, name))

    def _bind(self, name: str, within: tuple[str, ...]) -> list[Piece]:
        if name == ME or (name.startswith(CLAIM) and name != CLAIM):
            return [Bind(name)]
        if name != ROLE:
            raise UnreadableCondition(f":{name} is not known; there is :me, :role")
        if ROLE in within:
            raise UnreadableCondition("config_role names :role")
        found: list[Piece] = ["array_remove(array["]
        for number, (role, text) in enumerate(self.roles.items()):
            word = role.replace("'", "''")
            query = self._pieces(tokens(text), "", frozenset(), (*within, ROLE))
            found += [", " if number else "", "case when exists(", *query]
            found += [f") then '{word}' end"]
        return [*found, "]::text[], null)"]


def _shadowed(given: list[Token], table: str) -> bool:
    """Whether a query inside reads from a table of this name itself, unqualified."""
    for at, token in enumerate(given):
        if token.name == table and table:
            before, after = _near(given, at, -1), _near(given, at, 1)
            qualifies = after is not None and after.text == "."
            words = {before.name, before.text} if before is not None else set()
            if not qualifies and words & {"from", "join", ",", "."}:
                return True
    return False


def _index(given: list[Token], at: int, steps: int) -> int:
    """Return the place so many tokens away, spaces not counted; -1 outside."""
    step = 1 if steps > 0 else -1
    left = abs(steps)
    while left:
        at += step
        if not 0 <= at < len(given):
            return -1
        if given[at].kind != "space":
            left -= 1
    return at


def _near(given: list[Token], at: int, steps: int) -> Token | None:
    found = _index(given, at, steps)
    return given[found] if found >= 0 else None


def _joined(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """Join neighbouring texts into one."""
    found: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        else:
            found.append(piece)
    return tuple(found)


def queries(key: str, given: Mapping[Any, Any], problems: list[str]) -> dict[str, str]:
    """Return the queries of `config_scope` or `config_role`; every fault is noted."""
    found = {}
    for name, text in given.items():
        try:
            if (
                not isinstance(name, str)
                or not name.isidentifier()
                or name != name.lower()
            ):
                raise UnreadableCondition("expected a name of small letters and _")
            if not isinstance(text, str) or tokens(text)[0].name not in QUERY:
                raise UnreadableCondition("expected a select")
        except UnreadableCondition as error:
            problems.append(f"{key}[{name!r}]: {error}")
        else:
            found[name] = text
    return found


def claim_text(value: Any) -> str | None:
    """Return a claim as statements take it: text, JSON where it is not a text itself.

    >>> claim_text("a"), claim_text(3), claim_text(True), claim_text([1])
    ('a', '3', 'true', '[1]')
    """
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value, default=str).decode()


@lru_cache(256)
def numbered(names: tuple[str, ...]) -> Mapping[str, str]:
    """Return the parameters of a statement that takes these values first."""
    return {name: f"${number}" for number, name in enumerate(names, 1)}
