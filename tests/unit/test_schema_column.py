"""One line of a schema declaration: read whole, or refused with the right word."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.datatype.declared import (
    INDEX_METHODS,
    KNOWN,
    canonical,
    element,
    fits,
    operator_class,
)
from atom.datatype.families import ALSO
from atom.schema.entry import Column
from atom.schema.index import index_name, other_name

SPELLINGS = {
    "text": "text",
    "TEXT": "text",
    "int": "integer",
    "int8": "bigint",
    "bool": "boolean",
    "decimal": "numeric",
    "numeric(10,2)": "numeric(10,2)",
    "numeric( 10 , 2 )": "numeric(10,2)",
    "numeric(7)": "numeric(7,0)",
    "varchar(20)": "character varying(20)",
    "character varying (20)": "character varying(20)",
    "char": "character(1)",
    "bit": "bit(1)",
    "float": "double precision",
    "float(24)": "real",
    "float(25)": "double precision",
    "double  precision": "double precision",
    "timestamptz": "timestamp with time zone",
    "timestamptz(3)": "timestamp(3) with time zone",
    "timestamp(3) with time zone": "timestamp(3) with time zone",
    "timestamp": "timestamp without time zone",
    "time": "time without time zone",
    "text[]": "text[]",
    "int[3][]": "integer[]",
    "numeric(10,2)[]": "numeric(10,2)[]",
    "geography(POINT)": "geography(point,4326)",
    "geography(Point, 4326)": "geography(point,4326)",
    "geometry(LineString,3857)": "geometry(linestring,3857)",
    "vector(384)": "vector(384)",
}
UNREADABLE = {
    "txt": "Did you mean 'text'?",
    "timestampz": "Did you mean 'timestamp",
    "text; drop table users": "cannot be read as a datatype",
    "text)": "cannot be read as a datatype",
    "te[]xt": "cannot be read as a datatype",
    "serial": "use bigint",
    "varchar(0)": "invalid length or precision",
    "varchar(x)": "invalid length or precision",
    "numeric(1,2,3)": "invalid length or precision",
    "float8(3)": "invalid length or precision",
    "timestamptz(9)": "invalid length or precision",
    "geography(POINT,x)": "invalid length or precision",
    "text(3)": "invalid length or precision",
    "": "cannot be read as a datatype",
}
LINES = {
    "title-text": "expected name-datatype-mandatory-index",
    "title": "expected name-datatype-mandatory-index",
    "": "expected name-datatype-mandatory-index",
    "title-text-2-0": "mandatory is 0 or 1, not '2'",
    "title-text-1-btre": "Did you mean 'btree'?",
    "title-text-1-": "'' is not an index method",
    "title-text-1-btree,btree": "names a method twice",
    "Title-text-1-0": "'Title': a name is made of",
    "1st-text-1-0": "'1st': a name is made of",
    "a" * 64 + "-text-1-0": "at most 63 characters",
    "xmin-text-1-0": "PostgreSQL keeps for itself",
    'ti"tle-text-1-0': "a name is made of",
}


@pytest.mark.parametrize(("written", "spelled"), SPELLINGS.items())
def test_datatype_is_said_in_the_words_of_postgresql(written, spelled):
    """However a datatype is spelt, it is compared in one spelling."""
    assert spelled == canonical(written)


@pytest.mark.parametrize(("written", "words"), UNREADABLE.items())
def test_datatype_that_is_none_is_refused_with_the_reason(written, words):
    """What PostgreSQL would not take is told before it is asked."""
    with pytest.raises(ValueError, match=re.escape(words)):
        canonical(written)


@given(st.sampled_from(sorted(set(SPELLINGS.values()))))
def test_canonical_spelling_stays_as_it_is(datatype):
    """Spelling a spelled datatype changes nothing."""
    assert datatype == canonical(datatype)


def test_line_with_dashes_only_between_its_parts_is_read():
    """A datatype may hold blanks, commas and brackets."""
    column = Column.parse(" rating - numeric(10, 2) - 1 - btree, brin ")

    assert Column("rating", "numeric(10,2)", True, ("btree", "brin")) == column


@pytest.mark.parametrize(("line", "words"), LINES.items())
def test_line_that_cannot_be_read_names_the_part(line, words):
    """The message says which of the four parts is wrong."""
    with pytest.raises(ValueError, match=re.escape(words)):
        Column.parse(line)


@given(st.text())
def test_any_text_is_read_or_refused(line):
    """No text, however odd, is anything but a column or a ValueError."""
    try:
        column = Column.parse(line)
    except ValueError:
        return

    assert column.name.isascii()


def test_every_known_datatype_has_a_verdict_for_every_index_method():
    """No combination of datatype and method is left undecided."""
    names = {ALSO.get(name, name) for name in KNOWN}

    verdicts = [fits(method, name) for name in names for method in INDEX_METHODS]

    assert {True, False} == set(verdicts)


@pytest.mark.parametrize(
    ("method", "datatype", "answer"),
    [
        ("gin", "text", True),
        ("gin", "jsonb", True),
        ("gin", "text[]", True),
        ("gin", "bigint", False),
        ("gist", "geography(point,4326)", True),
        ("btree", "geography(point,4326)", False),
        ("gist", "bigint", False),
        ("brin", "timestamp with time zone", True),
        ("brin", "jsonb", False),
        ("btree", "json", False),
        ("btree", "json[]", False),
        ("hash", "point", False),
        ("brin", "text[]", False),
    ],
)
def test_index_fits_what_postgresql_has_an_operator_class_for(method, datatype, answer):
    """An index PostgreSQL cannot build is refused in the declaration already."""
    assert answer is fits(method, datatype)


def test_trigrams_are_for_text_alone():
    """Text gets the trigram class, an array of text its own."""
    trigrams = ("pg_trgm", "gin_trgm_ops")
    assert trigrams == operator_class("gin", "character varying(20)")
    assert operator_class("gin", "text[]") is None
    assert operator_class("btree", "text") is None


def test_long_index_names_stay_apart():
    """Two names that are cut differ, and PostgreSQL will not cut them again."""
    first = index_name("t" * 40, "c" * 40 + "a", "btree")
    second = index_name("t" * 40, "c" * 40 + "b", "btree")

    assert first != second
    assert 63 >= max(len(first), len(second))


def test_tables_whose_index_names_meet_have_another():
    """index_a_b_c_btree is b_c of a and c of a_b: the second name tells them apart."""
    assert index_name("a", "b_c", "btree") == index_name("a_b", "c", "btree")
    assert other_name("a", "b_c", "btree") != other_name("a_b", "c", "btree")


def test_element_is_the_bare_word():
    """Size and dimensions are not part of a datatype's word."""
    assert "numeric" == element("numeric(10,2)[]")
