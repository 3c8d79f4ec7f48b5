"""The rows of an answer as JSON, no more of them than its largest size allows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from atom.datatype.answer import exceeds
from atom.postgres.catalog import LiveColumn, Table
from atom.postgres.identifier import quote

# ruff: noqa: S608 - SQL is written here, of quoted names and parameters alone.

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
