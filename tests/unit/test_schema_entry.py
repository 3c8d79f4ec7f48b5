"""The long form of a declaration: dicts for columns, indexes and foreign keys."""

import pytest

from atom.errors import ConfigError
from atom.schema.declaration import Declaration
from atom.schema.entry import Column, Composite, Reference, read
from atom.schema.literal import quoted


def column(**keys):
    """Read a dict that is a column of text, unless told otherwise."""
    return read({"name": "a", "datatype": "text", **keys})


def test_long_form_says_what_the_short_one_does():
    """Either may be used, side by side, for the same column."""
    entry = {"name": "a", "datatype": "varchar(9)", "is_mandatory": 1, "index": "gin"}

    assert Column.parse("a-varchar(9)-1-gin") == Column(
        *(getattr(read(entry), name) for name in ("name", "datatype", "not_null")),
        read(entry).indexes,
    )


def test_everything_that_can_be_asked_of_a_column_is_read():
    """Each key ends up where the planner looks for it."""
    found = column(
        index=["btree", "hash"],
        default="it's",
        unique=1,
        check="length(a) > 1",
        regex="^i",
        old="b",
        references="t.c",
        on_delete="Set  Null",
        **{"in": ["it's", "x", "x"]},
    )

    assert ("btree", "hash") == found.indexes
    assert "'it''s'::text" == found.default
    assert found.unique
    assert ("length(a) > 1", "^i", "b") == (found.check, found.regex, found.old)
    assert ("'it''s'::text", "'x'::text") == found.choices
    assert Reference(("a",), "t", ("c",), "set null") == found.reference


def test_default_that_is_absent_is_not_the_default_null():
    """Nothing said leaves alone, None takes away."""
    assert "" == column().default
    assert "null" == column(default=None).default


def test_reference_to_a_table_is_to_its_id():
    """The shortest form is the one that is meant most."""
    assert ("id",) == column(references="users").reference.targets


def test_several_columns_are_indexed_and_refer_together():
    """A list or a text with commas."""
    assert Composite(("a", "b"), "btree", True) == read(
        {"index": ["a", "b"], "unique": 1}
    )
    assert Composite(("a", "b"), "gin") == read({"index": "a, b", "type": "gin"})
    assert Reference(("a", "b"), "t", ("c", "d"), "cascade") == read(
        {"foreign_key": ["a", "b"], "references": "t.c,d", "on_delete": "cascade"}
    )


FAULTS = {
    "key": ({"chek": "a"}, "unknown key 'chek'. Did you mean 'check'?"),
    "datatype": ({"datatype": "txt"}, "Did you mean 'text'?"),
    "mandatory": ({"is_mandatory": 2}, "'is_mandatory' is 0 or 1, not 2"),
    "unique": ({"unique": "b"}, "'unique' is 0 or 1"),
    "method": (
        {"index": "btre"},
        "'btre' is not an index method. Did you mean 'btree'?",
    ),
    "name": ({"name": "A"}, "a name is made of"),
    "old": ({"old": "a"}, "'old' is another name"),
    "old id": ({"old": "id"}, "'old' is another name"),
    "default": ({"datatype": "int", "default": "x"}, "'default': 'x' is not a value"),
    "default function": (
        {"datatype": "uuid", "default": "uuid()"},
        "or use gen_random_uuid()",
    ),
    "default datatype": ({"datatype": "inet", "default": "::1"}, "use a query"),
    "default beside in": ({"default": "x", "in": ["y"]}, "'default' is none of 'in'"),
    "in": ({"in": []}, "'in' is a list of values"),
    "in value": ({"datatype": "int", "in": [1, "x"]}, "'in': 'x' is not a value"),
    "in json": ({"datatype": "jsonb", "in": [{}]}, "'in' is not for jsonb"),
    "regex": ({"datatype": "int", "regex": "1"}, "'regex' is for text"),
    "check": ({"check": ""}, "'check' is empty"),
    "on_delete": (
        {"references": "t", "on_delete": "casade"},
        "Did you mean 'cascade'?",
    ),
    "on_delete alone": ({"on_delete": "cascade"}, "'on_delete' needs 'references'"),
    "on_delete null": (
        {"references": "t", "on_delete": "set null", "is_mandatory": 1},
        "cannot be 'set null'",
    ),
    "targets": ({"references": "t.a,b"}, "names 2 column(s) for 1"),
}


@pytest.mark.parametrize(("keys", "words"), FAULTS.values(), ids=FAULTS)
def test_fault_of_a_column_is_named(keys, words):
    """Each fault says what is wrong, and what would be right."""
    with pytest.raises(ValueError) as caught:
        column(**keys)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a > 0); drop table users; --",
        "a > 0) or (true",
        "a > 0 -- yes",
        "a > 0 /* yes */",
        "a = 'x",
        "a = $$x$$",
        "a = E'\\'",
        "(a > 0",
    ],
)
def test_condition_cannot_leave_its_parentheses(text):
    """What stands in a check stays one condition."""
    with pytest.raises(ValueError, match="'check'"):
        column(check=text)


def test_condition_may_hold_texts_with_anything_in_them():
    """Only what is outside of quotes counts."""
    text = "a <> ';)--' and \"a\" <> 'it''s ('"

    assert text == column(check=text).check


TABLE_FAULTS = {
    "index column": (
        ["title-text-0-0", {"index": ["titel", "id"]}],
        "no column 'titel'. Did you mean 'title'?",
    ),
    "index method": (
        ["a-int-0-0", {"index": ["a"], "type": "gin"}],
        "PostgreSQL has no gin index on integer",
    ),
    "unique json": (
        [{"name": "a", "datatype": "json", "unique": 1}],
        "PostgreSQL has no btree index on json",
    ),
    "index twice": (
        ["a-int-0-btree", {"index": ["a"]}],
        "the btree index on a is declared twice",
    ),
    "key column": (
        [{"foreign_key": ["b"], "references": "t"}],
        "foreign_key: no column 'b'",
    ),
    "key null": (
        ["a-int-1-0", {"foreign_key": "a", "references": "t", "on_delete": "set null"}],
        "'a' is mandatory and cannot be 'set null'",
    ),
    "key twice": (
        [
            {"name": "a", "datatype": "int", "references": "t"},
            {"foreign_key": "a", "references": "u"},
        ],
        "the foreign key on a is declared twice",
    ),
    "old declared": (
        ["b-int-0-0", {"name": "a", "datatype": "int", "old": "b"}],
        "'old' 'b' is declared as a column itself",
    ),
    "old twice": (
        [
            {"name": "a", "datatype": "int", "old": "c"},
            {"name": "b", "datatype": "int", "old": "c"},
        ],
        "two columns have the 'old' name 'c'",
    ),
    "neither": ([{"datatype": "int"}], "a dict has 'name' and 'datatype'"),
    "no datatype": ([{"name": "a"}], "'datatype' is missing"),
    "hash": (["a-int-0-0", {"index": "a,id", "type": "hash"}], "has one column"),
    "unique gin": (["a-int-0-0", {"index": "a", "type": "gin", "unique": 1}], "btree"),
}


@pytest.mark.parametrize(("lines", "words"), TABLE_FAULTS.values(), ids=TABLE_FAULTS)
def test_fault_of_a_table_is_named_once(lines, words):
    """What only shows when the lines are read together is told as well."""
    with pytest.raises(ConfigError) as caught:
        Declaration.parse({"table": {"test": lines}})

    assert 1 == len(caught.value.problems)
    assert words in caught.value.problems[0]


def test_quote_in_a_text_is_doubled():
    """A text is a text, whatever it holds."""
    assert "'a''; drop table x; --'" == quoted("a'; drop table x; --")
