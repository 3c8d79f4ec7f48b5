"""Reads fitted to a table: any request becomes one harmless statement, or a 400."""

import re
from urllib.parse import urlencode

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from atom.datatype.operator import OPERATORS
from atom.errors import ApiError
from atom.postgres.catalog import LiveColumn, Table
from atom.row.sql import query_string, read_plan
from atom.row.sql.statement import OWNED as MINE
from atom.row.sql.statement import RowSet
from tests.unit.test_sql_filter import TABLE

OWNED = Table(
    "test", {**TABLE.columns, "created_by_id": LiveColumn("created_by_id", "bigint")}
)
USERS = RowSet(Table("users", {n: LiveColumn(n, "text") for n in ("id", "username")}))

COLUMNS = st.sampled_from([*OWNED.columns, "nope", 'x"y'])
VALUES = st.sampled_from(
    ["1", "a", "1|2", "a|b", '{"a":1}', "null", "true", "2026-01-01", "');--", ""]
) | st.text(max_size=8)
FILTERS = st.builds(
    lambda c, o, v: (c, f"{o},{v}"), COLUMNS, st.sampled_from(sorted(OPERATORS)), VALUES
)
ORS = st.lists(FILTERS, min_size=1, max_size=3).map(
    lambda all: ("or", "(" + ";".join(f"{c}={t}" for c, t in all) + ")")
)
NAMES = st.lists(COLUMNS, min_size=1, max_size=3).map(",".join)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "column": NAMES,
        "order": st.lists(
            st.builds(
                "{} {}".format,
                COLUMNS,
                st.sampled_from(["", "desc", "desc nulls last"]),
            ),
            min_size=1,
            max_size=3,
        ).map(",".join),
        "limit": st.sampled_from(["1", "7", "100", "1000"]),
        "page": st.sampled_from(["1", "3"]),
        "cursor": st.just(""),
        "is_count": st.sampled_from(["0", "1"]),
        "creator_key": st.sampled_from(["username", "username,id", "nope"]),
        "location_filter": st.just("77.2,28.6,0,100"),
        "group_by": NAMES,
        "aggregate": st.sampled_from(["count", "sum(rating),max(title)", "avg(title)"]),
    },
)
TARGETS = st.sampled_from([RowSet(OWNED, MINE), RowSet(OWNED)])


@settings(deadline=None)  # a busy machine is no fault
@given(TARGETS, OPTIONS, st.lists(FILTERS | ORS, max_size=3))
def test_every_read_is_one_select_on_its_table(target, options, filters):
    """It parses as PostgreSQL, only selects, and names this table (and creators)."""
    raw = urlencode([("table", "test"), *options.items(), *filters], errors="ignore")
    try:
        asked = query_string.parse(raw, 1000)
        statement = read_plan.read(asked, target, OWNED, USERS).statement
    except ApiError as error:
        assert 400 == error.status
        return
    (tree,) = sqlglot.parse(statement.text, read="postgres")

    assert isinstance(tree, exp.Select)
    assert not list(
        tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Command, exp.Into)
    )
    tables = {(t.db, t.name) for t in tree.find_all(exp.Table)}
    allowed = {("public", "test"), ("public", "users"), ("", "page")}
    assert tables <= allowed
    assert (("public", "users") in tables) is bool(asked.creator_keys)
    assert_numbered(statement, target)


def assert_numbered(statement, target):
    """Every value has its parameter, and every parameter its value."""
    values = statement.bound({"me": 7}.get)
    used = {int(word.lstrip("$")) for word in re.findall(r"\$\d+", statement.text)}
    assert set(range(1, len(values) + 1)) == used
    if target.rule is MINE:
        assert '"created_by_id" = $1::bigint' in statement.text
        assert 7 == values[0]


@settings(deadline=None)
@given(TARGETS, OPTIONS, st.lists(FILTERS, max_size=2), st.integers(0, 2**40))
def test_the_text_depends_on_the_shape_alone(target, options, filters, number):
    """Two reads that differ only in a value share one text, so one prepared plan."""
    made = []
    for each in (number, number + 1):
        pairs = [("table", "test"), *options.items(), *filters, ("id", f">,{each}")]
        try:
            asked = query_string.parse(urlencode(pairs, errors="ignore"), 1000)
            made.append(read_plan.read(asked, target, OWNED, USERS).statement)
        except ApiError:
            return
    first, second = made

    assert first.text is second.text
    assert first.values != second.values


def test_what_is_taken_of_the_caller_comes_first():
    """The id of the owner is bound when the statement runs, before all values."""
    statement = read_plan.read(
        query_string.parse("table=test&id=>,1", 1000), RowSet(OWNED, MINE), OWNED
    ).statement

    assert ("me",) == statement.takes
    assert 7 == statement.bound({"me": 7}.get)[0]


def test_a_table_without_key_has_no_row_set():
    """Every statement finds rows by their key."""
    with pytest.raises(ApiError):
        RowSet(Table("x", {"a": LiveColumn("a", "text")}))


def test_unusual_limits_are_parameters():
    """Odd limits share one text; usual ones are planned once for all."""
    texts = {
        read_plan.read(
            query_string.parse(f"table=test&limit={n}", 1000),
            RowSet(OWNED),
            OWNED,
        ).statement.text
        for n in (7, 8, 9, 10)
    }

    assert 2 == len(texts)


def test_parents_are_asked_through_ones_own_rows():
    """The ids come from rows of the owner, whatever the parent."""
    raw = "table=test&parent_table=users&parent_column=id&limit=3"
    table, column, query = query_string.parse_parents(raw, 1000)
    users = RowSet(Table("users", {"id": LiveColumn("id", "bigint")}))
    referring = RowSet(OWNED, MINE), (column,), ("id",)
    statement = read_plan.read(query, users, users.table, referring=referring).statement
    (tree,) = sqlglot.parse(statement.text, read="postgres")

    assert {"test", "users"} == {t.name for t in tree.find_all(exp.Table)}
    assert 'c."created_by_id" = $1::bigint' in statement.text
    assert "test" == table
    assert (7, 3) == statement.bound({"me": 7}.get)
