"""Error codes of a project: `CODES` in a file of its own, next to those of Atom."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from atom.error_code import CODES
from atom.errors import Code

SHAPE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
OWN: dict[str, Code] = {}


def find(name: str) -> Code | None:
    """Return a code of Atom or of the project."""
    return CODES.get(name) or OWN.get(name)


def declare(found: Any) -> Iterator[str]:
    """Add codes, `{"clinic.closed": (403, "The clinic is closed.")}`.

    A text alone has the status 400. Yields what is wrong with them.
    """
    if not isinstance(found, Mapping):
        yield f"CODES: expected a dict, not {type(found).__name__}"
        return
    for name, value in found.items():
        status, meaning = _read(value)
        if not isinstance(name, str) or not SHAPE.fullmatch(name):
            yield f"CODES: {name!r}: expected two words like clinic.closed"
        elif type(status) is not int or not 400 <= status < 600 or not meaning:
            yield f"CODES: {name}: expected a text, or a status from 400 and a text"
        elif name in CODES:
            yield f"CODES: {name} is a code of Atom"
        elif OWN.setdefault(name, code := Code(name, status, meaning)) != code:
            yield f"CODES: {name} is declared twice, with another meaning"


def _read(value: Any) -> tuple[Any, str]:
    if isinstance(value, str):
        return 400, value
    if isinstance(value, tuple | list) and len(value) == 2 and type(value[1]) is str:
        return value[0], value[1]
    return None, ""
