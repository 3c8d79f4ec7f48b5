"""What a caller may ask of one table, as data: not yet looked up in any catalog."""

from dataclasses import dataclass

from atom.row.sql.filter import Filter
from atom.row.sql.group import Group

LIMIT_DEFAULT = 100


@dataclass(frozen=True, slots=True)
class Order:
    """One column to sort by; `nulls_first` None leaves it to PostgreSQL's habit."""

    column: str
    descending: bool = False
    nulls_first: bool | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A function over the rows of a group."""

    function: str
    column: str  # "" for count of rows


@dataclass(frozen=True, slots=True)
class Near:
    """Rows between two distances of a place."""

    longitude: float
    latitude: float
    least_meters: float
    most_meters: float


@dataclass(frozen=True, slots=True)
class RelationQuery:
    """A relation as written: a table or a column, what of it, and how many."""

    name: str
    column: str = ""  # by which column, where there are several
    inside: tuple["RelationQuery", ...] = ()  # columns and relations
    amount: str = ""  # a number, or count
    bare: bool = False  # a single word: inside parentheses, a column


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
    creator_keys: tuple[str, ...] = ()
    near: Near | None = None
    groups: tuple[str, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    filters: tuple[Filter | Group, ...] = ()
    planned: bool = False  # a large count may be an estimate
    relations: tuple[RelationQuery, ...] = ()
