"""Parsers of config values: each returns the value, or raises ValueError."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from atom.errors import nearest

Parse = Callable[[Any], Any]
WORD = re.compile(r"[a-z0-9_-]{1,50}")


def text(value: Any) -> str | None:
    """Parse text; empty means unset."""
    return str(value).strip() or None


def flag(value: Any) -> bool:
    """Parse 0, 1, true or false."""
    word = str(value).strip().lower()
    if word not in {"0", "1", "true", "false"}:
        raise ValueError("expected 0, 1, true or false")
    return word in {"1", "true"}


def prefix(value: Any) -> str:
    """Parse the beginning of a path; the slash at its end may be left out.

    >>> prefix("/api/"), prefix("")
    ('/api', '')
    """
    given = (text(value) or "").rstrip("/")
    if given and (not given.startswith("/") or "//" in given or "{" in given):
        raise ValueError("expected a path such as /api")
    return given


def names(value: Any) -> tuple[str, ...]:
    """Parse a comma string or a Python list; an empty one is an empty list."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple | set | frozenset):
        raise ValueError("expected a comma string or a list")
    return tuple(word for word in (str(part).strip() for part in parts) if word)


def integers(value: Any) -> tuple[int, ...]:
    """Parse a comma string, a list, or one whole number."""
    parts = (value,) if isinstance(value, int) else names(value)
    try:
        return tuple(int(part) for part in parts)
    except ValueError:
        raise ValueError("expected whole numbers joined by commas") from None


def whole(least: int = 0, most: int = 2**31) -> Parse:
    """Return a parser of a whole number between two bounds, both included."""

    def parse(value: Any) -> int:
        wrong = f"expected a whole number from {least} to {most}"
        if isinstance(value, bool | float):
            raise ValueError(wrong)
        try:
            number = int(str(value).strip())
        except ValueError:
            raise ValueError(wrong) from None
        if not least <= number <= most:
            raise ValueError(wrong)
        return number

    return parse


def seconds(value: Any) -> float:
    """Parse a time in seconds, fractions allowed, above zero."""
    try:
        number = float(str(value).strip())
    except ValueError:
        number = 0.0
    if not 0 < number < 10**9:
        raise ValueError("expected seconds above 0")
    return number


def fraction(value: Any) -> float:
    """Parse a share, from 0 to 1."""
    try:
        number = float(str(value).strip())
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError("expected a number from 0 to 1")
    return number


def seconds_or_none(value: Any) -> float:
    """Parse a time in seconds, fractions allowed; 0 is none."""
    return 0.0 if str(value).strip() == "0" else seconds(value)


def all_seconds(value: Any) -> tuple[float, ...]:
    """Parse times in seconds: a comma string, a list, or one.

    >>> all_seconds("1, 2.5")
    (1.0, 2.5)
    """
    parts = (value,) if isinstance(value, int | float) else names(value)
    return tuple(seconds(part) for part in parts)


def one_of(*words: str) -> Parse:
    """Return a parser of one word of a closed set."""

    def parse(value: Any) -> str:
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError(
                f"expected one of {', '.join(words)}. {nearest(word, words)}".rstrip()
            )
        return word

    return parse


def mapping(value: Any) -> Mapping[str, Any]:
    """Parse a dict."""
    if not isinstance(value, Mapping):
        raise ValueError("expected a dict")
    return value


def taken(value: Any) -> Mapping[str, Any]:
    """Parse what sign-up takes: `{"column": […], "mandatory": […]}`."""
    given = mapping(value)
    if unknown := set(given) - {"column", "mandatory"}:
        raise ValueError(f"expected column, mandatory; not {min(map(str, unknown))!r}")
    return {part: names(given.get(part, ())) for part in ("column", "mandatory")}


def word(value: Any) -> str:
    """Parse one word of letters, digits, `-` and `_`.

    >>> word(" Staging ")
    'staging'
    """
    found = str(value).strip().lower()
    if not WORD.fullmatch(found):
        raise ValueError("expected one word of letters, digits, - and _")
    return found
