"""What every statement is made of: the rows it reaches, its values, shared clauses.

What it takes of the caller (`:me`, claims) comes before all other values.
"""

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from atom.datatype.answer import answered, exceeds
from atom.datatype.families import having
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn, Table, unknown_column
from atom.postgres.condition import ME, Bind, Column, Condition, Form, numbered
from atom.postgres.errors import REFUSED_BY_RULE
from atom.postgres.identifier import quote

OWNER = "created_by_id"
SORTED = having("sorted")


@dataclass(frozen=True, slots=True)
class Order:
    """One column to sort by; `nulls_first` None leaves it to PostgreSQL's habit."""

    column: str
    descending: bool = False
    nulls_first: bool | None = None


def split_words(text: str, separator: str) -> list[str]:
    """Split a list at a separator; a backslash before one makes it part of a word.

    >>> split_words("a" + chr(92) + ",b,c", ",")
    ['a,b', 'c']
    """
    if "\\" not in text:
        return text.split(separator)
    words = re.split(rf"(?<!\\){re.escape(separator)}", text)
    return [word.replace("\\" + separator, separator) for word in words]


def column(view: Table, name: str) -> LiveColumn:
    """Return a column of a table, one that may be shown.

    Raises:
        ApiError: `sql.unknown_column`.
    """
    found = view.columns.get(name)
    if found is None:
        raise unknown_column(view.name, name, view.columns)
    return found


def is_sorted(found: LiveColumn) -> bool:
    """Whether rows can be ordered and grouped by a column."""
    kind = found.kind
    return not kind.is_opaque and kind.family in SORTED


def require_key(table: Table) -> str:
    """Return the key of a table.

    Raises:
        ApiError: when it has none.
    """
    if table.key not in table.columns:
        raise ApiError(
            f"Table '{table.name}' has no key, which every route here needs.",
            code="sql.unknown_column",
            hint="A key is a primary key of one column, or a column 'id', and holds"
            " whole numbers, text or uuid.",
        )
    return table.key


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What one verb of one tier may do with a table; equal only to itself."""

    where: Condition | None = None  # which rows it reaches, as they are; None: every
    check: Condition | None = None  # which rows it may leave behind; None: every
    columns: frozenset[str] | None = None  # that are shown, or sent; None: every
    preset: Mapping[str, Condition] = field(
        default_factory=dict
    )  # set to these, never sent
    default: Mapping[str, Condition] = field(
        default_factory=dict
    )  # where they are not sent
    most: int | None = None  # rows of one write
    soft: tuple[str, str] | None = None  # the column, and the value, that mark deleted
    is_free: bool = field(init=False, default=True)  # a write takes nothing for it

    def __post_init__(self) -> None:
        parts = (self.where, self.check, self.preset, self.default)
        object.__setattr__(self, "is_free", not any(parts))

    @property
    def is_limit(self) -> bool:
        """Whether anything is not allowed, or is set."""
        limits = (self.where, self.check, self.columns, self.most, self.soft)
        return any(each is not None for each in limits) or bool(
            self.preset or self.default
        )

    @property
    def takes(self) -> tuple[str, ...]:
        """What the condition of its rows takes of the caller."""
        return () if self.where is None else self.where.binds

    @property
    def names(self) -> frozenset[str]:
        """Every name in the condition of its rows: tables it reads are among them."""
        return frozenset() if self.where is None else self.where.names

    def sets(self, columns: Iterable[str]) -> dict[str, Condition]:
        """Return what else is set where these columns are sent."""
        if not self.preset and not self.default:
            return {}
        sent = set(columns)
        missing = {k: v for k, v in self.default.items() if k not in sent}
        return {**missing, **self.preset}

    def takes_to_write(self, columns: Iterable[str]) -> tuple[str, ...]:
        """What a statement that writes these columns takes of the caller."""
        if self.is_free:
            return ()
        found = dict.fromkeys(self.takes)
        for each in (self.check, *self.sets(columns).values()):
            if each is not None:
                found |= dict.fromkeys(each.binds)
        return tuple(found)


EVERY_ROW = Rule()
OWNED = Rule(Condition((Column(OWNER), " = ", Bind(ME))))


@dataclass(frozen=True, slots=True)
class RowSet:
    """Rows of a table that a rule reaches.

    Every statement takes one and asks it for its first condition, so a statement
    cannot be written without the rule.
    """

    table: Table
    rule: Rule = EVERY_ROW

    def __post_init__(self) -> None:
        require_key(self.table)


def takes(row_sets: Iterable[RowSet]) -> tuple[str, ...]:
    """Return what a statement on these rows takes of the caller, each once."""
    return tuple(dict.fromkeys(name for each in row_sets for name in each.rule.takes))


@dataclass(frozen=True, slots=True)
class Statement:
    """Text and values; what it takes of the caller goes before the values."""

    text: str
    values: tuple[Any, ...]
    takes: tuple[str, ...] = ()

    def bound(self, of_caller: Callable[[str], Any]) -> tuple[Any, ...]:
        """Return every value, in the order of the parameters."""
        if not self.takes:
            return self.values
        return (*map(of_caller, self.takes), *self.values)


def key(table: Table, mark: str, *, many: bool = False) -> str:
    """Build the parameter that finds a row by its key, or rows by a list of keys.

    A whole number too large for a smaller datatype is found nowhere, and no error.
    """
    kind = table.columns[table.key].kind
    if kind.family == "integer":
        return f"{mark}::bigint{'[]' * many}"
    return kind.cast_list(mark) if many else kind.cast(mark)


class Marks:
    """The parameters of one statement: $1, $2, … after those `of_caller`."""

    def __init__(self, taken: tuple[str, ...] = ()) -> None:
        self.of_caller = numbered(taken)
        self.start = len(taken) + 1
        self._numbers = count(self.start)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return f"${next(self._numbers)}"


DISTANCE = "distance_meter"  # what location_filter adds to a row
# Written into the text, so that PostgreSQL may plan once for all; any other limit is a
# parameter, so that limits cannot fill the cache of prepared statements.
USUAL_LIMITS = frozenset({1, 5, 10, 20, 25, 30, 50, 100, 200, 500, 1000})


def reached(
    row_set: RowSet, alias: str, marks: Marks, form: Form = Form.ARRAY
) -> list[str]:
    """Build the conditions of the rows a statement may reach; they come first."""
    if row_set.rule.where is None:
        return []
    return [row_set.rule.where.render(alias, marks.of_caller, form)]


def checked(rule: Rule, alias: str, table: Table, marks: Marks) -> str:
    """Build a column to return that is an error for a row that may not be left behind.

    It depends on the row, or PostgreSQL would compute it before there is one.
    """
    if rule.check is None:
        return ""
    condition = rule.check.render(alias, marks.of_caller)
    refused = f"('{REFUSED_BY_RULE}' || {alias}.{quote(table.key)}::text)::boolean"
    return f", case when {condition} then true else {refused} end"


def where(parts: list[str]) -> str:
    """Build the where clause of conditions that must all hold."""
    return " where " + " and ".join(parts) if parts else ""


def select_list(view: Table, names: tuple[str, ...], alias: str = "t") -> str:
    """Build the columns of a row as they are answered."""
    return ", ".join(_answer(view.columns[name], alias) for name in names)


def _answer(column: LiveColumn, alias: str) -> str:
    plain, kind = f"{alias}.{quote(column.name)}", column.kind
    text = answered(kind, plain, in_text=column.composite or column.in_text)
    return plain if text == plain else f"{text} as {quote(column.name)}"


def nulls(by: Order) -> str:
    """Build where nulls go, if that was asked."""
    return {None: "", True: " nulls first", False: " nulls last"}[by.nulls_first]


def ordered(order: tuple[Order, ...], meters: str = "") -> str:
    """Build the order by clause; `meters` is the distance, where it is not a column."""
    if not order:
        return ""
    parts = []
    for by in order:
        key = f"t.{quote(by.column)}"
        if meters and by.column == DISTANCE:
            key = meters
        parts.append(f"{key}{' desc' if by.descending else ''}{nulls(by)}")
    return " order by " + ", ".join(parts)


# The rows of an answer as JSON, no more of them than its largest size allows.

Cell = tuple[str, LiveColumn | None]  # its name; None: a value made as JSON


@dataclass(frozen=True, slots=True)
class Bound:
    """How many bytes the rows of an answer may have as JSON.

    PostgreSQL refuses before it has collected more. Unless the bound is `exact`, one
    row with more than its share is refused already: that costs next to nothing, where
    the sum of all rows costs a tenth of a read.
    """

    most: int
    exact: bool = False


ANSWER_MAX = Bound(32 * 2**20)
# So few rows, each of one request at most, are not measured: that is a tenth of a read.
FEW = frozenset({"1", "5", "10"})
# More rows than of these pages are taken to be no longer as JSON than is likely, and
# measured once more in the end: what PostgreSQL collects is still bounded.
PAGES = frozenset({"20", "25", "30", "50", "100"})
LIKELY = 3


def cells(view: Table, names: Iterable[str]) -> list[Cell]:
    """Return the cells of columns that are answered under their own names."""
    return [(name, view.columns[name]) for name in names]


def json_array(
    inner: str, limit: str, bound: Bound = ANSWER_MAX, row: Sequence[Cell] = ()
) -> str:
    """Build the expression for all rows of a query as one JSON array.

    The query returns at most `limit` rows, of these cells; an `exact` bound needs
    neither. Too many bytes fail with an error of `width_bucket` that nothing else
    causes. Measured on PostgreSQL 18: faster than json_agg, string_agg and building
    objects column by column.
    """
    if bound.exact:
        rows = f"select row_to_json(r.*) as x from ({inner}) r offset 0"
        total = "sum(pg_column_size(x)) over (rows unbounded preceding)"
        rows = f"select x, {total} as n from ({rows}) r"
        fits = _fits(f"n <= {bound.most}")
        return f"array_to_json(array(select x from ({rows}) r where {fits}))"
    share, is_page = f"{bound.most} / {limit}", limit in PAGES
    likely = share if is_page else f"{LIKELY * bound.most} / {limit}"
    longer = [] if limit in FEW else _longer(row, likely)
    if not longer:
        return f"array_to_json(array(select (r.*)::record from ({inner}) r))"
    # A row is written to see its size only where a value in it is long.
    fits = _fits(f"pg_column_size(row_to_json(r.*)) <= {share}")
    row_fits = f"case when {fits} then (r.*)::record end"
    rows = (
        f"select case when {' or '.join(longer)} then {row_fits} else (r.*)::record end"
    )
    made = f"array_to_json(array({rows} from ({inner}) r))"
    if is_page:
        return made
    fits = _fits(f"pg_column_size(r.x) <= {bound.most}")
    return f"(select r.x from (select {made} as x offset 0) r where {fits})"


def _fits(condition: str) -> str:
    """Build a condition that is an error where it does not hold."""
    return f"width_bucket(0.5, 0, 1, ({condition})::int) = 1"


def _longer(row: Sequence[Cell], share: str) -> list[str]:
    """Build conditions, of which one holds where a row exceeds its share."""
    long = [each for each in row if _exceeds(each, share)]
    return [_exceeds(each, f"{share} / {len(long)}") for each in long]


def _exceeds(cell: Cell, most: str) -> str:
    name, column = cell
    value = f"r.{quote(name)}"
    if column is None:
        return f"pg_column_size({value}) > {most}"
    in_text = column.composite or column.in_text
    return exceeds(column.kind, value, most, in_text=in_text)


def json_text(
    inner: str, limit: str, bound: Bound = ANSWER_MAX, row: Sequence[Cell] = ()
) -> str:
    """Build the expression for all rows of a query as the text of a JSON array."""
    return json_array(inner, limit, bound, row) + "::text"
