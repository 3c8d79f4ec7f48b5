"""Values of the right datatype that are too long or too large for their column.

PostgreSQL's error does not name the column, so check first.
"""

import re
from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Any

from atom.errors import Unprocessable
from atom.postgres.catalog import LiveColumn

TEXT = re.compile(r"character(?: varying)?\((\d+)\)(?:\[\])*")
BITS = re.compile(r"bit( varying)?\((\d+)\)(?:\[\])*")
NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)(?:\[\])*")
Fits = Callable[[Any], bool]


@lru_cache(1024)
def limit(datatype: str) -> tuple[Fits, str] | None:
    """Return whether a value fits, and the rule in words; None without a limit.

    >>> limit("character varying(5)")[1]
    'at most 5 characters'
    >>> limit("text") is None
    True
    """
    if found := TEXT.fullmatch(datatype):
        most = int(found[1])
        # Spaces beyond the end are cut by the standard, not refused.
        return (lambda v: not v[most:].strip(" ")), f"at most {most} characters"
    if found := BITS.fullmatch(datatype):
        size = int(found[2])
        if found[1]:
            return (lambda v: len(v) <= size), f"at most {size} bits"
        return (lambda v: len(v) == size), f"exactly {size} bits"
    if found := NUMERIC.fullmatch(datatype):
        digits, scale = int(found[1]), int(found[2])
        bound = Decimal(10) ** (digits - scale)
        with localcontext(prec=2100):  # PostgreSQL's own most is 1000 digits
            # From here on it is rounded up to a number of one more digit.
            least = bound - Decimal(5).scaleb(-scale - 1)
        return (lambda v: v.copy_abs() < least), f"numbers smaller than {bound:f}"
    return None


def check(column: LiveColumn, value: Any) -> None:
    """Refuse a value that is longer or larger than its column.

    Raises:
        Unprocessable: naming the column and the rule.
    """
    found = limit(column.datatype)
    if found is None or value is None:
        return
    fits, rule = found
    items = value if isinstance(value, list) else [value]
    if not all(item is None or fits(item) for item in items):
        raise Unprocessable(f"Column '{column.name}' takes {rule}.")
