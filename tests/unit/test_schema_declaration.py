"""config_postgres_schema read as a whole: everything wrong is told at once."""

import pytest

from atom.errors import ConfigError
from atom.schema.declaration import Declaration, Query
from atom.schema.entry import Column

FAULTS = {
    "unknown key": ({"tables": {}}, "unknown key 'tables'. Did you mean 'table'?"),
    "no dict": ([], "expected a dict"),
    "part no dict": ({"table": []}, "'table' is a dict, not list"),
    "table name": ({"table": {"Test": []}}, "table Test: 'Test': a name is made of"),
    "no list": ({"table": {"test": "a"}}, "table test: expected a list of columns"),
    "no text": (
        {"table": {"test": [1]}},
        "table test: 1: a column is one text or a dict",
    ),
    "id": ({"table": {"test": ["id-bigint-1-0"]}}, "id is made for every table"),
    "twice": (
        {"table": {"test": ["a-text-0-0", "a-int-0-0"]}},
        "column a is declared twice",
    ),
    "datatype": ({"table": {"test": ["a-txt-0-0"]}}, "Did you mean 'text'?"),
    "index": (
        {"table": {"test": ["a-bigint-0-gin"]}},
        "PostgreSQL has no gin index on bigint",
    ),
    "query": ({"query": {"a": 1}}, "query 'a': expected one SQL text"),
    "label": ({"query": {1: "select 1"}}, "query 1: a name is text"),
}


@pytest.mark.parametrize(("schema", "words"), FAULTS.values(), ids=FAULTS)
def test_fault_is_named(schema, words):
    """Each fault says where it is and what would be right."""
    with pytest.raises(ConfigError) as caught:
        Declaration.parse(schema)

    assert 1 == len(caught.value.problems)
    assert words in caught.value.problems[0]


def test_all_faults_are_told_at_once():
    """Nobody mends one fault to find the next."""
    schema = {
        "quary": {},
        "table": {"test": ["a-txt-0-0", "b-text-3-0"], "1": []},
        "query": {"x": ""},
    }

    with pytest.raises(ConfigError) as caught:
        Declaration.parse(schema)

    assert 5 == len(caught.value.problems)


def test_declaration_keeps_tables_and_columns_in_their_order():
    """What is declared first is made first."""
    schema = {"table": {"b": ["z-text-1-gin", "a-int-0-0"], "a": []}}

    declared = Declaration.parse(schema)

    assert ["b", "a"] == list(declared.tables)
    assert ["z", "a"] == list(declared.tables["b"])
    assert Column("z", "text", True, ("gin",)) == declared.tables["b"]["z"]


def test_query_that_starts_with_0_is_off():
    """A 0 in front of the text or of its label switches a query off."""
    schema = {"query": {"a": "0 select 1", "0b": "select 1", "c": "select 1"}}

    assert ["c"] == [query.label for query in Declaration.parse(schema).queries]


@pytest.mark.parametrize(
    ("text", "destructive"),
    [
        ("alter table t drop column x", True),
        ("alter table t drop x", True),
        ("alter table t drop if exists x", True),
        ("drop table t", True),
        ("truncate t", True),
        ("delete from t", True),
        ("alter table t alter column x type int", True),
        ("alter table t alter x set data type int", True),
        ("alter table t drop constraint x", False),
        ("alter table t alter column x drop not null", False),
        ("alter table t alter column x drop default", False),
        ("drop index x", False),
        ("insert into t values ('drop table t')", False),
        ("select 1 -- drop table t", False),
        ("alter table t add column type int", False),
    ],
)
def test_query_that_takes_something_away_is_known(text, destructive):
    """Dropping rows, columns or tables needs to be asked for; naming them does not."""
    assert destructive is Query("label", text).destructive


def test_query_names_the_constraints_it_adds_with_their_tables():
    """The same constraint on another table is another constraint."""
    text = (
        "alter table if exists only public.users add constraint one unique (a);"
        ' ALTER TABLE "b" ADD CONSTRAINT "two" check (x > 0)'
    )

    assert (("users", "one"), ("b", "two")) == Query("label", text).constraints


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("create index concurrently a on b (c)", False),
        ("vacuum test", False),
        ("create view v as select 1", True),
    ],
)
def test_query_that_runs_outside_a_transaction_is_known(text, inside):
    """PostgreSQL refuses some statements in a transaction."""
    assert inside is Query("label", text).transactional
