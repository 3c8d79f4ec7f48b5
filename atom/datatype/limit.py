"""The limit of a column: values that its datatype accepts and its size does not.

PostgreSQL's error does not name the column, so check first.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from atom.datatype.datatype import datatype as known
from atom.datatype.families import BY_NAME
from atom.datatype.family import Limit
from atom.errors import Unprocessable
from atom.postgres.catalog import LiveColumn


@lru_cache(1024)
def limit(datatype: str) -> Limit | None:
    """Return whether a value fits, and the rule in words; None without a limit.

    >>> limit("character varying(5)")[1]
    'at most 5 characters'
    >>> limit("text") is None
    True
    """
    kind = known(datatype)
    family = BY_NAME[(kind.element or kind).family]
    return family.limit(datatype.replace("[]", ""))


def check(column: LiveColumn, value: Any) -> None:
    """Check that a value is not longer or larger than its column accepts.

    Raises:
        Unprocessable: naming the column and the rule.
    """
    found = limit(column.datatype)
    if found is None or value is None:
        return
    fits, rule = found
    if not _all_fit(fits, value):
        raise Unprocessable(f"Column '{column.name}' takes {rule}.")


def _all_fit(fits: Callable[[Any], bool], value: Any) -> bool:
    if isinstance(value, list):
        return all(_all_fit(fits, item) for item in value)
    return value is None or fits(value)
