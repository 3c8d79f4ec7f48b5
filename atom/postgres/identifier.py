"""Names of tables and columns, made safe to stand in a statement."""

from collections.abc import Iterable

MAX_BYTES = 63


def quote(name: str) -> str:
    """Quote a name so that PostgreSQL takes it as an identifier, whatever it holds.

    A name over 63 bytes is refused: PostgreSQL would cut it, and a cut name can be the
    name of something else.

    Raises:
        ValueError: when the name is empty, too long, holds a NUL or is not Unicode.

    Source: PostgreSQL manual, section 4.1.1, Identifiers and Key Words.

    >>> quote("title")
    '"title"'
    >>> quote('a"; drop table users; --')
    '"a""; drop table users; --"'
    """
    size = len(name.encode())
    if not 0 < size <= MAX_BYTES or "\0" in name:
        raise ValueError(f"{name!r} cannot name a table or column")
    return '"' + name.replace('"', '""') + '"'


def quote_all(names: Iterable[str]) -> str:
    """Quote names, joined by commas.

    >>> quote_all(["id", "title"])
    '"id", "title"'
    """
    return ", ".join(map(quote, names))


def public(name: str) -> str:
    """Quote a table of schema `public`, so that no search path can turn it.

    >>> public("test")
    '"public"."test"'
    """
    return '"public".' + quote(name)
