"""Values as hooks have them: a time as datetime, jsonb as object, a place as GeoJSON.

A row that is parsed has them as they are sent to PostgreSQL, many as text.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

import orjson

from atom.datatype.datatype import PLACES
from atom.postgres.catalog import LiveColumn

MOMENTS = {
    "moment": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
}
PAIR = re.compile(r"\(([^ ,()]+)[ ,]([^ ,()]+)\)")  # of a place


def natural(column: LiveColumn, value: Any) -> Any:
    """Return a parsed value as a row that is read has it, wherever Python has such."""
    if not isinstance(value, str):
        return list(value) if isinstance(value, list) else value
    kind = column.kind
    if kind.family == "json":
        return orjson.loads(value)
    if kind.family in PLACES:
        if value.startswith("{"):
            return orjson.loads(value)
        if found := PAIR.search(value):
            return {"type": "Point", "coordinates": [float(found[1]), float(found[2])]}
    if (parse := MOMENTS.get(kind.family)) is None:
        return value
    try:
        return parse(value)
    except ValueError:  # infinity, or a year Python does not have
        return value


def written(value: Any) -> Any:
    """Return a value of Python as JSON has it.

    >>> written([date(2026, 1, 31), {"at": time(8)}])
    ['2026-01-31', {'at': '08:00:00'}]
    >>> written(timedelta(hours=1, microseconds=5))
    '3600000005 microseconds'
    """
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)} microseconds"
    if isinstance(value, Enum):
        return written(value.value)
    if isinstance(value, UUID | IPv4Address | IPv6Address):
        return str(value)
    if isinstance(value, Mapping):
        return {name: written(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [written(each) for each in value]
    return value


def same(before: Any, after: Any) -> bool:
    """Whether a hook left a value as it was."""
    if type(before) is not type(after):
        return False
    return before is after or bool(before == after)  # NaN equals nothing
