"""Tables and columns as they are, and the words for those that are not."""

import pytest

from atom.errors import ApiError, NotFound
from atom.postgres.catalog import build

ROWS = [
    {
        "table": table,
        "column": column,
        "datatype": "text",
        "not_null": column == "id",
        "default": None,
        "indexed": False,
        "generated": False,
    }
    for table, column in [("test", "id"), ("test", "title"), ("users", "id")]
]


def test_columns_keep_their_order_and_table():
    """A column belongs to its table alone."""
    catalog = build(ROWS)

    assert ["id", "title"] == list(catalog.table("test").columns)
    assert catalog.column("test", "id").not_null
    with pytest.raises(ApiError):
        catalog.column("users", "title")


@pytest.mark.parametrize(
    "name", ["Test", "tets", "public.test", '"test"', "", "x" * 999]
)
def test_a_table_has_one_spelling(name):
    """Anything else is unknown; a near word is hinted at."""
    with pytest.raises(NotFound) as caught:
        build(ROWS).table(name)

    assert "sql.unknown_table" == caught.value.code
    assert len(caught.value.message) < 120


def test_hints_name_the_nearest():
    """A misspelt word is answered with the right one."""
    with pytest.raises(ApiError) as caught:
        build(ROWS).column("test", "titel")
    assert "Did you mean 'title'?" == caught.value.hint


def test_a_callers_word_cannot_write_into_the_log():
    """Line ends and control characters are not repeated in a message."""
    with pytest.raises(ApiError) as caught:
        build(ROWS).column("test", "a\n\x1b[31mb")

    assert caught.value.message.isprintable()


def test_two_catalogs_are_two_keys():
    """What was remembered for a catalog is not found with the next one."""
    first, second = build(ROWS), build(ROWS)

    assert 2 == len({first, second})
    assert first.table("test") != second.table("test")
