"""Statements that write: each names one table, and its owner where there is one."""

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from atom.postgres.catalog import LiveColumn, Table
from atom.row.sql import read_plan, upsert, write
from atom.row.sql.filter import parse_filter
from atom.row.sql.statement import OWNED as MINE
from atom.row.sql.statement import RowSet

NAME = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
).filter(lambda name: len(name.encode()) <= 63)
DATATYPE = st.sampled_from(["text", "bigint", "jsonb", "text[]", "numeric", "point"])


@st.composite
def tables(draw):
    """A table with odd names, an id and an owner."""
    columns = draw(st.dictionaries(NAME, DATATYPE, min_size=1, max_size=4))
    columns |= {"id": "bigint", "created_by_id": "bigint"}
    name = draw(NAME)
    return Table(name, {n: LiveColumn(n, d) for n, d in columns.items()})


def parsed(text, kind, table):
    """Parse one statement, and check that it is of a kind and names one table."""
    (whole,) = sqlglot.parse(text, read="postgres")
    (tree,) = whole.find_all(exp.Insert, exp.Update, exp.Delete)
    assert isinstance(tree, kind)
    named = {(t.db, t.name) for t in whole.find_all(exp.Table) if t.db}
    assert {("public", table.name)} == named
    return tree


@given(tables())
def test_inserts_name_one_table(table):
    """One row, many rows, rows that may be there already: one insert each."""
    names = tuple(table.columns)
    target = RowSet(table, MINE)

    for text in (
        write.insert(target, names),
        write.insert_many(target, names),
        upsert.merge(target, target, names, names[:1], "updated_by_id"),
        upsert.ignore(target, target, names, names[:1]),
    ):
        parsed(text, exp.Insert, table)


@given(tables())
def test_changes_of_owned_rows_ask_for_the_owner_first(table):
    """No update or delete of owned rows is written without the owner."""
    target = RowSet(table, MINE)
    conditions, _ = read_plan.conditions(table, [parse_filter("id", ">,1")])
    names = tuple(table.columns)[:1]

    for text, kind in (
        (write.update(target, names), exp.Update),
        (write.update_ids(target, names), exp.Update),
        (write.update_many(target, names, names, ("id",)), exp.Update),
        (write.delete_ids(target), exp.Delete),
        (write.delete_any(target, conditions), exp.Delete),
    ):
        where = parsed(text, kind, table).find(exp.Where)
        assert '"created_by_id" = ' in where.sql(dialect="postgres")
        assert '(t."created_by_id" = $1::bigint) and ' in text


@given(tables())
def test_every_change_has_a_where(table):
    """Not even without an owner is a whole table changed."""
    target = RowSet(table)

    for text in (write.update(target, ("id",)), write.delete_ids(target)):
        (tree,) = sqlglot.parse(text, read="postgres")
        assert tree.find(exp.Where)
    with pytest.raises(ValueError):
        write.delete_any(target, ())


def test_text_is_written_once_for_each_shape():
    """The second statement of a shape costs a look-up."""
    target = RowSet(Table("x", {"id": LiveColumn("id", "bigint")}))

    assert write.insert(target, ("id",)) is write.insert(target, ("id",))
