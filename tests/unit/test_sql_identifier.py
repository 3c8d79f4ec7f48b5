"""Names that may stand in a statement."""

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from atom.postgres.identifier import public, quote

NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: len(name.encode()) <= 63)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64, "é" * 32, "\ud800"])
def test_name_that_postgres_would_not_keep_is_refused(name):
    """A name cut short could mean another table."""
    with pytest.raises(ValueError):
        quote(name)


@pytest.mark.parametrize("name", ["x" * 63, "é" * 31, " ", '"', "Users", "select"])
def test_any_other_name_is_kept(name):
    """Length is counted in bytes; case and keywords are kept by the quotes."""
    assert name == quote(name)[1:-1].replace('""', '"')


@given(NAMES)
def test_a_quoted_name_is_one_token(name):
    """Whatever a name holds, a parser reads one identifier and gets it back."""
    (token,) = sqlglot.tokenize(quote(name), read="postgres")

    assert name == token.text


def test_tables_are_named_with_their_schema():
    """No search path can turn a table into another."""
    assert '"public"."a""b"' == public('a"b')
