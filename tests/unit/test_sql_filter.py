"""The grammar of filters and of the query string."""

import re
from itertools import count
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.datatype.operator import OPERATORS
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn, Table
from atom.row.sql import cursor, query_string, read_plan
from atom.row.sql.filter import Filter, check, parse_filter, render
from atom.row.sql.filter import parse_group as parse

DATATYPES = {
    "id": "bigint",
    "title": "text",
    "rating": "numeric(10,3)",
    "tag": "text[]",
    "metadata": "jsonb",
    "is_open": "boolean",
    "created_at": "timestamp with time zone",
    "location": "point",
    "mood": "mood",
    "plain": "json",
}
TABLE = Table("test", {n: LiveColumn(n, d) for n, d in DATATYPES.items()})


def marks():
    return (f"${number}" for number in count(1))


@given(st.text(), st.text())
def test_any_text_is_a_filter_or_a_400(column, text):
    """Nothing but ApiError comes of what a caller writes."""
    try:
        check(TABLE, parse_filter(column, text))
    except ApiError as error:
        assert 400 == error.status


@given(
    st.sampled_from(sorted(DATATYPES)),
    st.sampled_from(sorted(set(OPERATORS) - {"is"})),
    st.text(),
    st.text(),
)
def test_values_never_stand_in_the_text(column, operator, operand, other):
    """A condition's text depends on column and operator alone; values are counted."""
    texts = {}
    for each in (operand, other):
        try:
            condition, values = check(TABLE, Filter(column, operator, each))
        except ApiError as error:
            assert 400 == error.status
            continue
        text = render(condition, "t", marks())
        used = {int(number) for number in re.findall(r"\$(\d+)", text)}
        assert used == set(range(1, len(values) + 1))
        # Of as many values the text is the same, whichever they are.
        assert text == texts.setdefault(len(values), text)


@pytest.mark.parametrize("word", ["null", "not null", "true", "false", " NULL "])
@pytest.mark.parametrize("column", sorted(DATATYPES))
def test_what_is_compared_by_is_stands_in_the_text(column, word):
    """It is one of four words, and no value."""
    try:
        condition, values = check(TABLE, Filter(column, "is", word))
    except ApiError as error:
        assert 400 == error.status
        return
    assert render(condition, "t", marks()).endswith(f" is {word.strip().lower()}")
    assert not values


@given(
    st.lists(st.tuples(st.sampled_from([*query_string.FIXED, "or", "id"]), st.text()))
)
def test_any_query_string_is_read_or_a_400(pairs):
    """Nothing but ApiError comes of a query string."""
    try:
        query_string.parse(
            urlencode([("table", "test"), *pairs], errors="ignore"), 1000
        )
    except ApiError as error:
        assert 400 == error.status


@given(st.binary())
def test_any_bytes_are_read_or_a_400(raw):
    """Neither does anything else come of bytes that are no text."""
    try:
        query_string.parse(query_string.decoded(raw), 1000)
    except ApiError as error:
        assert 400 == error.status


@given(
    st.text(), st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])))
)
def test_cursors_come_back(order, keys):
    """What is written into a cursor is read from it, by the same order alone."""
    import orjson

    order = order.encode(errors="ignore").decode()
    made = cursor.encode(order, orjson.dumps(keys).decode())

    assert tuple(keys) == cursor.decode(made, order)
    with pytest.raises(ApiError):
        cursor.decode(made, order + "x")


@given(st.text())
def test_any_cursor_is_read_or_a_400(text):
    """A cursor that nobody wrote is refused."""
    with pytest.raises(ApiError):
        cursor.decode(text, "id")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (">,1", (">", "1")),
        ("=,a,b", ("=", "a,b")),
        ("=,", ("=", "")),
        (" NOT  IN ,1|2", ("not in", "1|2")),
        ("<>,=", ("<>", "=")),
    ],
)
def test_an_operator_ends_at_the_first_comma(text, read):
    """Everything after it is the value, commas included."""
    found = parse_filter("id", text)

    assert read == (found.operator, found.operand)


def test_alternatives_are_parted_by_semicolons():
    """A semicolon inside a value is written with a backslash."""
    found = parse("or", "(title=ilike,%a,b%;id=>,5;title==,x\\;y)")

    assert ["%a,b%", "5", "x;y"] == [each.operand for each in found.members]


@pytest.mark.parametrize(
    ("column", "operator", "hint"),
    [("id", "ilike", "between"), ("title", "contains", "ilike"), ("plain", "=", "is")],
)
def test_an_operator_that_does_not_suit_names_those_that_do(column, operator, hint):
    """Which operators a datatype has is said, and not looked up in a manual."""
    with pytest.raises(ApiError) as caught:
        check(TABLE, Filter(column, operator, "1"))

    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("", "table"),
        ("table=", "table"),
        ("table=test&limit=abc", "limit"),
        ("table=test&limit=1001", "limit"),
        ("table=test&limit=%C2%B2", "limit"),
        ("table=test&page=0", "page"),
        ("table=test&is_count=yes", "is_count"),
        ("table=test&column=a,,b", "column"),
        ("table=test&order=", "order"),
        ("table=test&order=id,id", "order"),
        ("table=test&location_filter=a,b,c,d", "location_filter"),
        ("table=test&location_filter=1,2,5,4", "location_filter"),
        ("table=test&aggregate=median(id)", "aggregate"),
        ("table=test&aggregate=sum", "aggregate"),
        ("table=test&group_by=id&column=id", "group_by"),
        ("table=test&cursor=&page=2", "cursor"),
        ("table=test&limit=1&limit=1", "limit"),
    ],
)
def test_a_wrong_parameter_is_named(raw, name):
    """The message says which parameter, and what it takes."""
    with pytest.raises(ApiError) as caught:
        query_string.parse(raw, 1000)

    assert f"'{name}'" in caught.value.message


def test_an_order_is_settled_by_id():
    """Rows that are equal by the order have one order all the same."""
    asked = query_string.order("title desc nulls last")

    assert ["title", "id"] == [by.column for by in read_plan.order(TABLE, asked)]
    assert read_plan.order(TABLE, ())[0].descending
    assert 1 == len(read_plan.order(TABLE, query_string.order("id")))


def test_parameters_of_other_parts_are_no_filters():
    """`is_background` belongs to a step."""
    assert () == query_string.parse("table=test&is_background=0", 1000).filters
