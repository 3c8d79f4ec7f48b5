"""What happens to rows before they are written together, without a database."""

from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.datatype import limit
from atom.errors import Unprocessable
from atom.postgres.catalog import LiveColumn, Table
from atom.row.write import grouped, listed

ROWS = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.integers(), min_size=1), min_size=1
)


@given(ROWS)
def test_groups_hold_every_row_once_with_its_own_columns(rows):
    """Nothing is lost, nothing twice, and nobody gets a column of somebody else."""
    groups = grouped(rows)
    places = [place for _, chosen in groups for place in chosen]

    assert list(range(len(rows))) == sorted(places)
    for names, chosen in groups:
        assert all(set(names) == set(rows[place]) for place in chosen)
        assert sorted(chosen) == list(chosen)
    assert len({names for names, _ in groups}) == len(groups)


def test_arrays_travel_as_literals():
    """Lists of lists would be taken apart by unnest."""
    table = Table("t", {"a": LiveColumn("a", "text[]"), "b": LiveColumn("b", "bigint")})
    rows = [{"a": ["x,y", None], "b": 1}, {"a": None, "b": 2}]

    assert [['{"x,y",NULL}', None], [1, 2]] == listed(table, ("a", "b"), rows)


@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=9),
    st.integers(1, 40),
    st.integers(-5, 20),
)
def test_a_number_fits_when_it_does_so_rounded(number, digits, scale):
    """Exactly what PostgreSQL's numeric(digits, scale) takes."""
    with localcontext(prec=200):
        rounded = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
        expected = abs(rounded) < Decimal(10) ** (digits - scale)
    fits, _ = limit.limit(f"numeric({digits},{scale})")

    assert expected is fits(number)


@given(st.text(st.sampled_from("a é")), st.integers(1, 6))
def test_a_text_fits_when_only_spaces_are_too_many(text, most):
    """As the SQL standard cuts them."""
    fits, _ = limit.limit(f"character varying({most})")

    assert (len(text[:most] + text[most:].rstrip(" ")) <= most) is fits(text)


@pytest.mark.parametrize("datatype", ["text", "numeric", "bigint", "character varying"])
def test_most_datatypes_have_no_limit(datatype):
    """Then nothing is looked at."""
    assert limit.limit(datatype) is None
    limit.check(LiveColumn("x", datatype), "x" * 10_000)


def test_what_does_not_fit_is_named():
    """The column and its rule; of a list any item counts."""
    with pytest.raises(Unprocessable, match="Column 'x' takes at most 2 characters."):
        limit.check(LiveColumn("x", "character(2)[]"), ["ab", None, "abc"])
