"""The query string of a read, taken apart: fixed parameters parsed, filters split.

Knows no table: whether a column exists is asked later, in `read_plan.py`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from urllib.parse import parse_qsl

from atom.datatype import geography
from atom.datatype.operator import OPERATORS
from atom.errors import ApiError, nearest
from atom.postgres.catalog import shown
from atom.row.sql import group, relation
from atom.row.sql.filter import Filter, Group, parse_filter, parse_group
from atom.row.sql.group import Aggregate, Grouping
from atom.row.sql.relation import RelationQuery
from atom.row.sql.statement import Order, split_words

FIXED = (
    "table",
    "column",
    "order",
    "limit",
    "page",
    "cursor",
    "is_count",
    "creator_key",
    "location_filter",
    "group_by",
    "aggregate",
    "timezone",
    "relation",
    "deleted",
)
# A column may be called so: then a comma makes it a filter.
MAY_FILTER = frozenset({"timezone", "deleted"})
# What other parts of the server read from any query string.
ELSEWHERE = frozenset({"is_background", "is_serialize"})
LIMIT_DEFAULT = 100
PARENTS = ("table", "parent_table", "parent_column", "order", "limit", "page")
ONE = ("table", "column", "creator_key", "relation", "deleted")  # of a read of one row
PAGE_MAX = 1_000_000_000
PARAMETERS_MAX = 100
ORDER = re.compile(
    r"(?P<column>.+?)(?:\s+(?P<way>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Near:
    """Rows between two distances of a place."""

    longitude: float
    latitude: float
    least_meters: float
    most_meters: float


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller asks of one table."""

    table: str
    columns: tuple[str, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int = LIMIT_DEFAULT
    page: int = 1
    cursor: str | None = None  # "" asks for the first page
    is_count: bool = False
    with_deleted: bool = False  # those that a rule marks as deleted, too
    creator_keys: tuple[str, ...] = ()
    near: Near | None = None
    groups: tuple[Grouping, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    zone: str | None = None
    filters: tuple[Filter | Group, ...] = ()
    planned: bool = False  # a large count may be an estimate
    relations: tuple[RelationQuery, ...] = ()


def invalid(name: str, takes: str) -> ApiError:
    """Return the error for a parameter of another kind."""
    return ApiError(f"'{name}' takes {takes}.", code="request.invalid")


def decoded(raw: bytes) -> str:
    """Decode the bytes of a query string.

    Raises:
        ApiError: `request.invalid` when they are not UTF-8.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise _unreadable() from None


def _unreadable() -> ApiError:
    return ApiError(
        "The query string cannot be read.",
        hint=f"UTF-8, percent-encoded, at most {PARAMETERS_MAX} parameters.",
    )


def parameters(raw: bytes, allowed: tuple[str, ...]) -> dict[str, str]:
    """Parse a query string that holds nothing but known parameters.

    Raises:
        ApiError: naming one that is unknown or given twice.
    """
    found: dict[str, str] = {}
    for name, text in pairs(decoded(raw)):
        if name in ELSEWHERE:
            continue
        if name not in allowed:
            raise ApiError(
                f"There is no parameter '{shown(name)}' here.",
                hint=nearest(name[:60], allowed) or "It takes " + ", ".join(allowed),
            )
        if name in found:
            raise ApiError(f"'{name}' is given twice.")
        found[name] = text
    return found


def pairs(raw: str) -> list[tuple[str, str]]:
    """Split a query string into names and values.

    Raises:
        ApiError: `request.invalid` when it is not UTF-8 or has too many parts.
    """
    if "%" not in raw and "+" not in raw and raw.count("&") < PARAMETERS_MAX:
        parts = [part.partition("=") for part in raw.split("&") if part]
        return [(name, text) for name, _, text in parts]
    try:
        return parse_qsl(
            raw, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
        )
    except ValueError:
        raise _unreadable() from None


def filters_read_as_parameters(raw: bytes) -> tuple[str, list[str]]:
    """Return the table, and the parameters with values that look like filters."""
    try:
        found = pairs(decoded(raw))
    except ApiError:  # raised already, by what read it
        return "", []
    table = next((text for name, text in found if name == "table"), "")
    return table, [name for name, text in found if name in FIXED and _like(text)]


def _like(text: str) -> bool:
    word, comma, _ = text.partition(",")
    return bool(comma) and " ".join(word.lower().split()) in OPERATORS


def split(
    raw: str, fixed: tuple[str, ...]
) -> tuple[dict[str, str], tuple[Filter | Group, ...]]:
    """Return the fixed parameters by name, and everything else as filters.

    Raises:
        ApiError: when a fixed one is given twice or a filter cannot be parsed.
    """
    named: dict[str, str] = {}
    filters: list[Filter | Group] = []
    for name, text in pairs(raw):
        if name in fixed and not (name in MAY_FILTER and "," in text):
            if name in named:
                raise ApiError(f"'{name}' is given twice.")
            named[name] = text
        elif name == "or" or (name == "and" and text.startswith("(")):
            filters.append(parse_group(name, text))
        elif name not in ELSEWHERE:
            filters.append(_filter(name, text, fixed))
    if not named.get("table"):
        raise invalid("table", "the name of a table")
    return named, tuple(filters)


def _filter(name: str, text: str, fixed: tuple[str, ...]) -> Filter:
    """Parse a filter; one that is none may be a misspelt parameter.

    Only one that is very near: `title=x` means the column, not `table`.
    """
    try:
        return parse_filter(name, text)
    except ApiError as error:
        if "," not in text:
            every = f"{error.hint} Parameters: {', '.join(fixed)}."
            error.hint = nearest(name[:60], fixed, cutoff=0.75) or every
        raise


@lru_cache(512)
def parse(raw: str, limit_max: int) -> Query:
    """Parse the query string of a read.

    Raises:
        ApiError: naming the parameter that cannot be parsed, and what it takes.

    >>> parse("table=test&id=>,1&limit=3", 1000).filters[0].operand
    '1'
    """
    named, filters = split(raw, FIXED)
    grouped = "group_by" in named or "aggregate" in named
    if "cursor" in named and ("page" in named or grouped):
        raise ApiError("'cursor' goes with neither 'page' nor 'group_by'.")
    for other in ("column", "creator_key", "relation"):
        if grouped and other in named:
            raise ApiError(f"'group_by' does not go with '{other}'.")
    if "timezone" in named and not grouped:
        raise ApiError("'timezone' goes with 'group_by'.")
    planned = named.get("is_count", "").lower() == "planned"
    if planned and grouped:
        raise ApiError("'group_by' does not go with 'is_count=planned'.")
    return Query(
        table=named["table"],
        columns=names(named, "column"),
        order=order(named["order"]) if "order" in named else (),
        limit=whole(named, "limit", LIMIT_DEFAULT, limit_max),
        page=whole(named, "page", 1, PAGE_MAX),
        cursor=named.get("cursor"),
        is_count=planned or _flag(named, "is_count"),
        with_deleted=_flag(named, "deleted"),
        creator_keys=names(named, "creator_key"),
        near=_near(named["location_filter"]) if "location_filter" in named else None,
        groups=group.parse_groups(names(named, "group_by")) if grouped else (),
        aggregates=group.parse_aggregates(named.get("aggregate", "count"))
        if grouped
        else (),
        zone=group.parse_zone(named["timezone"]) if "timezone" in named else None,
        filters=filters,
        planned=planned,
        relations=relation.parse(named["relation"]) if "relation" in named else (),
    )


def parse_parents(raw: str, limit_max: int) -> tuple[str, str, Query]:
    """Parse the query string of a read of parents: a table, its column, and a query.

    Raises:
        ApiError: naming the parameter that is missing, unknown or cannot be parsed.
    """
    named, filters = split(raw, PARENTS)
    if filters:
        hint = "It takes " + ", ".join(PARENTS)
        raise ApiError("This route takes no filters.", hint=hint)
    for name in ("parent_table", "parent_column"):
        if not named.get(name):
            raise invalid(name, f"the name of a {name.partition('_')[2]}")
    query = Query(
        table=named["parent_table"],
        order=order(named["order"]) if "order" in named else (),
        limit=whole(named, "limit", LIMIT_DEFAULT, limit_max),
        page=whole(named, "page", 1, PAGE_MAX),
    )
    return named["table"], named["parent_column"], query


def parse_one(raw: str) -> Query:
    """Parse the query string of a read of one row.

    Raises:
        ApiError: naming the parameter that is unknown or cannot be parsed.
    """
    named, filters = split(raw, ONE)
    if filters:
        hint = "It takes " + ", ".join(ONE[1:])
        raise ApiError("A read of one row takes no filters.", hint=hint)
    return Query(
        table=named["table"],
        columns=names(named, "column"),
        creator_keys=names(named, "creator_key"),
        relations=relation.parse(named["relation"]) if "relation" in named else (),
        with_deleted=_flag(named, "deleted"),
        limit=1,
    )


def names(named: dict[str, str], name: str) -> tuple[str, ...]:
    """Parse names of columns, each once.

    Raises:
        ApiError: when one is empty.
    """
    if name not in named:
        return ()
    parts = split_words(named[name], ",")
    found = tuple(dict.fromkeys(part.strip() for part in parts))
    if "" in found:
        raise invalid(name, "names of columns, joined by commas")
    return found


def whole(named: dict[str, str], name: str, default: int, most: int) -> int:
    """Parse a whole number from 1 to `most`.

    Raises:
        ApiError: naming the parameter.
    """
    if name not in named:
        return min(default, most)
    text = named[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise invalid(name, f"a whole number from 1 to {most}")
    number = int(text)
    if not 1 <= number <= most:
        raise invalid(name, f"a whole number from 1 to {most}")
    return number


def _flag(named: dict[str, str], name: str) -> bool:
    text = named.get(name, "0").lower()
    if text not in {"0", "1", "true", "false"}:
        raise invalid(name, "0, 1 or planned" if name == "is_count" else "0 or 1")
    return text in {"1", "true"}


def order(text: str) -> tuple[Order, ...]:
    """Parse `<column> [asc|desc] [nulls first|last]`, joined by commas.

    Raises:
        ApiError: when it is not that, or names a column twice.
    """
    orders = []
    for part in split_words(text, ","):
        found = ORDER.fullmatch(part.strip())
        if found is None:
            raise invalid("order", "columns, for example type desc,id")
        nulls = found["nulls"]
        orders.append(
            Order(
                found["column"],
                (found["way"] or "asc").lower() == "desc",
                None if nulls is None else nulls.lower() == "first",
            )
        )
    names = [order.column for order in orders]
    if len(set(names)) != len(names):
        raise ApiError("'order' names a column twice.")
    return tuple(orders)


def _measure(text: str) -> float:
    """Parse a number; Python would take 1_0 and the digits of other scripts for one."""
    if not text.isascii() or "_" in text:
        raise ValueError("not a number")
    return float(text)


def _near(text: str) -> Near:
    takes = "longitude,latitude,min_meter,max_meter"
    try:
        longitude, latitude, least, most = map(_measure, text.split(","))
        geography.place(longitude, latitude)
    except ValueError:
        example = "such as 77.2,28.6,0,5000; a latitude is from -90 to 90"
        raise invalid("location_filter", f"{takes}, {example}") from None
    if not (0 <= least <= most and isfinite(most)):
        raise invalid("location_filter", f"{takes}, with 0 <= min_meter <= max_meter")
    return Near(longitude, latitude, least, most)
