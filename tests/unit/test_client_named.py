"""`:name` values become numbers, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.postgres.named import numbered, placed


@pytest.mark.parametrize(
    ("text", "expected", "names"),
    [
        ("select :a", "select $1", ("a",)),
        ("select :a, :b, :a", "select $1, $2, $1", ("a", "b")),
        ("select :a::int, now()::text", "select $1::int, now()::text", ("a",)),
        ("select ':a', :a", "select ':a', $1", ("a",)),
        ("select 'it''s :b', :a", "select 'it''s :b', $1", ("a",)),
        (r"select E'\':b', :a", r"select E'\':b', $1", ("a",)),
        (r"select '\', :a", r"select '\', $1", ("a",)),
        ('select ":a" from t where x=:b', 'select ":a" from t where x=$1', ("b",)),
        ("select 1 -- :a\n, :b", "select 1 -- :a\n, $1", ("b",)),
        ("/* :a /* :b */ :c */ select :d", "/* :a /* :b */ :c */ select $1", ("d",)),
        ("select $$:a$$, :b", "select $$:a$$, $1", ("b",)),
        ("select $x$ :a $$ :b $x$, :c", "select $x$ :a $$ :b $x$, $1", ("c",)),
        ("select '{\"a\":1}'::jsonb, :b", "select '{\"a\":1}'::jsonb, $1", ("b",)),
        ("select a[1:2], '12:30'", "select a[1:2], '12:30'", ()),
        (r"select a[\:n]", "select a[:n]", ()),
        ("insert into t values (:a,:b)", "insert into t values ($1,$2)", ("a", "b")),
        ("x=:größe", "x=$1", ("größe",)),
        ("f(x=>:a)", "f(x=>$1)", ("a",)),
        ("select 'open :a", "select 'open $1", ("a",)),
        ("", "", ()),
    ],
)
def test_statement(text, expected, names):
    """Casts, strings, names, comments and dollar quotes stay as they are."""
    assert (expected, names) == numbered(text)


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                ("select ", "select "),
                ("::int", "::int"),
                ("':a'", "':a'"),
                ('":b"', '":b"'),
                ("/* :c */", "/* :c */"),
                ("-- :d\n", "-- :d\n"),
                ("$q$:e$q$", "$q$:e$q$"),
            ]
        ),
        st.sampled_from("xyz").map(lambda name: (f":{name}", name)),
    )
)


@given(PIECES)
def test_any_mixture(pieces):
    """However they follow one another, only the values are numbered, in order."""
    numbers = {}
    expected = []
    for text, meaning in pieces:
        if len(meaning) == 1:
            expected.append(f"${numbers.setdefault(meaning, len(numbers) + 1)}")
        else:
            expected.append(text)

    given_text = " ".join(text for text, _ in pieces)
    assert (" ".join(expected), tuple(numbers)) == numbered(given_text)


@given(st.text(alphabet="':\"$-/*\\ ae1\n", max_size=40))
def test_anything_at_all(text):
    """No text makes it fail, and without a colon nothing changes."""
    result, names = numbered(text)

    assert names or result == text.replace("\\:", ":") or ":" in text


def test_values_are_put_in_order():
    """By name, whatever the order of the dict."""
    assert [1, 2] == placed(("a", "b"), {"b": 2, "a": 1})


def test_missing_and_surplus_values_are_named():
    """A slip of the pen is told, not guessed."""
    with pytest.raises(ValueError, match="needs a value for :b"):
        placed(("a", "b"), {"a": 1})
    with pytest.raises(ValueError, match="has no :c"):
        placed(("a",), {"a": 1, "c": 2})
