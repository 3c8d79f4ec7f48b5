"""Keys of one dict of `config_postgres_schema`, each read in one way."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from atom.errors import nearest
from atom.postgres.identifier import MAX_BYTES

NAME = re.compile(r"[a-z_][a-z0-9_]*")
# Every PostgreSQL table has these; a column of that name cannot be added.
SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
STRINGS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
# What could end an expression early, or hide its end.
LOOSE = re.compile(r"['\";$\\\0]|--|/\*")


def unquoted_name(name: str) -> str:
    """Return a table's or column's name when it is one that needs no quotes.

    Raises:
        ValueError: with what is wrong with it.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r}: a name is made of a-z, 0-9 and _, no digit first")
    if len(name) > MAX_BYTES:
        raise ValueError(f"{name!r}: a name has at most {MAX_BYTES} characters")
    return name


def column_name(text: str) -> str:
    """Return a column's name when a table can have it.

    Raises:
        ValueError: with what is wrong with it.
    """
    name = unquoted_name(text.strip())
    if name in SYSTEM_COLUMNS:
        raise ValueError(f"{name!r} is a column PostgreSQL keeps for itself")
    return name


def known(entry: Mapping[str, Any], keys: Collection[str]) -> None:
    """Refuse a key that is not one of these.

    Raises:
        ValueError: naming it, and the nearest that is known.
    """
    for key in entry:
        if key not in keys:
            hint = nearest(str(key), keys) or f"Use {', '.join(keys)}."
            raise ValueError(f"unknown key {key!r}. {hint}")


def word(entry: Mapping[str, Any], key: str, otherwise: str = "") -> str:
    """Return a text.

    Raises:
        ValueError: when it is something else.
    """
    value = entry.get(key, otherwise)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is a text, not {value!r}")
    return value


def bit(entry: Mapping[str, Any], key: str) -> bool:
    """Return whether a key is 1; 0 when it is missing.

    Raises:
        ValueError: when it is neither.
    """
    value = entry.get(key, 0)
    if value not in (0, 1, "0", "1"):
        raise ValueError(f"{key!r} is 0 or 1, not {value!r}")
    return bool(int(value))


def one_of(
    entry: Mapping[str, Any], key: str, choices: Collection[str], otherwise: str
) -> str:
    """Return a word of these.

    Raises:
        ValueError: naming what is not one of them.
    """
    value = word(entry, key, otherwise).strip()
    if value not in choices:
        hint = nearest(value, choices) or f"Use {', '.join(choices)}."
        raise ValueError(f"{key!r}: {value!r} is not known. {hint}")
    return value


def names(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a list of columns, which may be a text with commas.

    Raises:
        ValueError: when it is not a list, is empty or names a column twice.
    """
    value = entry[key]
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not listed:
        raise ValueError(f"{key!r} is a list of columns, not {value!r}")
    found = tuple(unquoted_name(str(name).strip()) for name in listed)
    if len(set(found)) != len(found):
        raise ValueError(f"{key!r} names a column twice")
    return found


def expression(entry: Mapping[str, Any], key: str) -> str:
    """Return an SQL expression that stays within the parentheses around it, or "".

    Raises:
        ValueError: when it could end early, or is empty.
    """
    text = word(entry, key).strip()
    bare = STRINGS.sub("", text)
    if LOOSE.search(bare) or "\\'" in text:
        what = "condition" if key in {"check", "where"} else "expression"
        raise ValueError(f"{key!r} is one SQL {what}, without ; $ \\ and comments")
    depth = 0
    for letter in bare:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            break
    if depth:
        raise ValueError(f"{key!r}: the parentheses do not match")
    if key in entry and not text:
        raise ValueError(f"{key!r} is empty")
    return text
