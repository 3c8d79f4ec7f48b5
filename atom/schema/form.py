"""Views, functions, triggers and data migrations, as they are declared."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.schema import reading

VIEW = ("sql", "key", "materialized")
FUNCTION = ("sql", "arguments", "returns", "language", "volatility", "definer")
TRIGGER = ("table", "on", "function", "when", "each")
MIGRATION = ("sql", "when", "before")
LANGUAGES = ("sql", "plpgsql")
VOLATILITIES = ("immutable", "stable", "volatile")
# What a data migration may come before; "" is after all of it, before the queries.
PHASES = ("column", "drop", "null", "constraint", "")
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
STRING = re.compile(r"'(?:[^']|'')*'")
EVENT = re.compile(
    r"(?:before|after|instead\s+of)\s+"
    r"(?:insert|delete|truncate|update(?:\s+of\s+\w+(?:\s*,\s*\w+)*)?)"
    r"(?:\s+or\s+(?:insert|delete|truncate|update(?:\s+of\s+\w+(?:\s*,\s*\w+)*)?))*",
    re.IGNORECASE,
)
CALL = re.compile(r"\w+\s*\((?:[^();$\\]|'[^']*')*\)")
CONDITION = re.compile(r"(\w+)(?:\.(\w+))?\s+(exists|missing)", re.IGNORECASE)
# What PostgreSQL runs in no transaction, and what ends the one around.
OUTSIDE = re.compile(
    r"\bconcurrently\b|^\s*(vacuum|alter\s+system|(create|drop)\s+(database|tablespace))\b",
    re.IGNORECASE,
)
CONTROL = re.compile(
    r"(?:^|;)\s*(begin|commit|rollback|start\s+transaction)\s*(?:;|$)", re.IGNORECASE
)


def bare(text: str) -> str:
    """Return SQL without comments and strings, for looking at its words."""
    return STRING.sub("''", COMMENT.sub(" ", text))


@dataclass(frozen=True)
class View:
    """A view; `key` is the column that a row is found by."""

    name: str
    sql: str
    key: str
    materialized: bool = False


@dataclass(frozen=True)
class Function:
    """A function of schema `public`; no other has its name."""

    name: str
    sql: str
    arguments: str = ""
    returns: str = "void"
    language: str = "sql"
    volatility: str = "volatile"
    definer: bool = False

    def create(self, schema: str = "public") -> str:
        """Return the statement that makes it, or replaces its body."""
        definer = " security definer" if self.definer else ""
        path = " set search_path = public, pg_temp" if self.definer else ""
        mark = "$atom$"
        while mark in self.sql:
            mark = f"${mark[1:-1]}x$"
        return (
            f'create or replace function {schema}."{self.name}"({self.arguments})'
            f" returns {self.returns} language {self.language} {self.volatility}"
            f"{definer}{path} as {mark}{self.sql}{mark}"
        )


@dataclass(frozen=True)
class UserTrigger:
    """A trigger of the project's own on a declared table or view."""

    name: str
    table: str
    on: str
    function: str
    when: str = ""
    each: str = "row"

    def create(self, place: str) -> str:
        """Return the statement that makes it on a table."""
        when = f" when ({self.when})" if self.when else ""
        return (
            f'create trigger "{self.name}" {self.on} on {place}'
            f" for each {self.each}{when} execute function {self.function}"
        )


@dataclass(frozen=True)
class Migration:
    """A change of data that a database takes once; `when` are tables and columns.

    Each of `when` is a table, a column or "", and whether it has to exist.
    """

    name: str
    sql: str
    when: tuple[tuple[str, str, bool], ...] = ()
    before: str = ""


def view(name: str, entry: Any) -> View:
    """Read a view.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    _dict(name, entry, VIEW)
    key = reading.column_name(reading.word(entry, "key", "id"))
    text = _sql(entry)
    if not re.match(r"\s*\(*\s*(select|with|values|table)\b", bare(text), re.I):
        raise ValueError("'sql' is one select")
    if ";" in bare(text):
        raise ValueError("'sql' is one select, without ;")
    return View(name, text, key, reading.bit(entry, "materialized"))


def function(name: str, entry: Any) -> Function:
    """Read a function.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    _dict(name, entry, FUNCTION)
    if name.startswith("atom_"):
        raise ValueError("names that begin with atom_ are Atom's")
    arguments = reading.expression(entry, "arguments") if entry.get("arguments") else ""
    returns = reading.expression(entry, "returns") or "void"
    return Function(
        name,
        _sql(entry, whole=True),
        arguments,
        returns,
        reading.one_of(entry, "language", LANGUAGES, "sql"),
        reading.one_of(entry, "volatility", VOLATILITIES, "volatile"),
        reading.bit(entry, "definer"),
    )


def trigger(name: str, entry: Any) -> UserTrigger:
    """Read a trigger.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    _dict(name, entry, TRIGGER)
    if name.startswith("atom_"):
        raise ValueError("names that begin with atom_ are Atom's")
    on = " ".join(reading.word(entry, "on").split())
    if not EVENT.fullmatch(on):
        raise ValueError(f"'on': {on!r} is not such as 'before insert or update'")
    called = reading.word(entry, "function").strip()
    called = called if "(" in called or not called else f"{called}()"
    if not CALL.fullmatch(called):
        raise ValueError("'function' is a function of the database, such as 'stamp()'")
    table = reading.unquoted_name(reading.word(entry, "table"))
    each = reading.one_of(entry, "each", ("row", "statement"), "row")
    when = reading.expression(entry, "when")
    return UserTrigger(name, table, on.lower(), called, when, each)


def migration(name: str, entry: Any) -> Migration:
    """Read a data migration.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    if not isinstance(entry, Mapping):
        raise ValueError("expected a dict with 'sql'")
    reading.known(entry, MIGRATION)
    text = _sql(entry)
    if OUTSIDE.search(bare(text)) or CONTROL.search(bare(text)):
        raise ValueError("'sql' runs in a transaction: use a query for what cannot")
    before = reading.one_of(entry, "before", PHASES, "")
    return Migration(name, text, _when(reading.word(entry, "when")), before)


def _when(text: str) -> tuple[tuple[str, str, bool], ...]:
    if not text.strip():
        return ()
    found = []
    for part in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE):
        read = CONDITION.fullmatch(part.strip())
        if read is None:
            raise ValueError(
                f"'when': {part!r} is not such as 'doctor.rating exists' or"
                " 'doctor missing', joined by and"
            )
        there = read[3].lower() == "exists"
        found.append((read[1].lower(), (read[2] or "").lower(), there))
    return tuple(found)


def _dict(name: str, entry: Any, keys: tuple[str, ...]) -> None:
    reading.unquoted_name(name)
    if not isinstance(entry, Mapping):
        raise ValueError(f"expected a dict with {', '.join(map(repr, keys))}")
    reading.known(entry, keys)


def _sql(entry: Mapping[str, Any], *, whole: bool = False) -> str:
    """Return SQL; unless `whole`, without the semicolon that ends it."""
    text = reading.word(entry, "sql").strip()
    text = text if whole else text.rstrip(";").rstrip()
    if not text:
        raise ValueError("'sql' is missing")
    if "\0" in text:
        raise ValueError("'sql' holds a NUL")
    return text
