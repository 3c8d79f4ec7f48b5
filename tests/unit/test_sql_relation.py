"""`relation=…`: a closed grammar, and statements that stay within each side's reach."""

import re

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from atom.config import keys
from atom.config import resolve as settings
from atom.errors import ApiError
from atom.postgres.catalog import Catalog, LiveColumn, Table
from atom.row.scope import RowConfig, ScopedRelatives
from atom.row.sql import query_string, read_plan, relation


def table(name, *columns, **refers):
    """Return a table whose columns that end on _id hold ids."""
    found = {
        each: LiveColumn(
            each,
            "bigint" if each == "id" or each.endswith("_id") else "text",
            refers=refers.get(each),
        )
        for each in ("id", *columns, *refers)
    }
    return Table(name, found)


CATALOG = Catalog(
    {
        each.name: each
        for each in [
            table("users", "created_by_id", "username", "password", "email", "mobile"),
            table("test", "created_by_id", "title", "password", "parent_id"),
            table("message", "created_by_id", "user_id", "description", "password_id"),
            table("note", "created_by_id", "test_id", "title", owner_a="users"),
            table("lookup", "title", "test_id"),
        ]
    }
)
OWNED = {name: {"my": "owner"} for name in ("message", "test", "note")}
RULES = RowConfig(
    settings.resolve(keys.KEYS, []).replace(
        {"config_table": {**OWNED, "users": {"my": {"read": "id = :me"}}}}
    )
)
REACHES = {
    "my": RULES.my(7),
    "public": RULES.public(),
    "admin": RULES.admin(7),
}


def made(text, tier="my", name="test", **more):
    """Fit a read with a relation to the catalog."""
    reach = REACHES[tier]
    options = "".join(f"&{key}={value}" for key, value in more.items())
    asked = query_string.parse(f"table={name}&relation={text}{options}", 1000)
    return read_plan.read(
        asked,
        reach.readable(CATALOG, name),
        reach.visible_columns(CATALOG, name),
        None,
        ScopedRelatives(reach, CATALOG),
    )


def refused(text, tier="my", name="test", **more):
    """Return the refusal of a relation."""
    with pytest.raises(ApiError) as caught:
        made(text, tier, name, **more)
    assert 400 == caught.value.status
    return caught.value


def referred(catalog):
    """Return the tables that columns refer to, by table and column."""
    return {
        name: {column: each.table for column, each in found.items()}
        for name, found in relation.references(catalog).items()
    }


class TestReferences:
    """Which column holds the ids of which table."""

    def test_names_and_foreign_keys_are_found(self):
        """By name, by who made a row, by itself, by a real foreign key."""
        found = referred(CATALOG)

        assert {"created_by_id": "users", "parent_id": "test"} == found["test"]
        assert {"created_by_id": "users", "user_id": "users"} == found["message"]
        assert {"created_by_id": "users", "test_id": "test"} == {
            k: v for k, v in found["note"].items() if k != "owner_a"
        }

    def test_a_foreign_key_beats_a_name(self):
        """What the database says is true."""
        tables = [table("a"), table("as"), table("b", a_id="as")]
        catalog = Catalog({each.name: each for each in tables})

        assert {"a_id": "as"} == referred(catalog)["b"]

    def test_only_whole_numbers_are_ids(self):
        """A text called user_id refers to nothing."""
        odd = Table(
            "odd",
            {
                "id": LiveColumn("id", "bigint"),
                "user_id": LiveColumn("user_id", "text"),
            },
        )
        catalog = Catalog({"odd": odd, "users": CATALOG.table("users")})

        assert {} == referred(catalog)["odd"]


UNREADABLE = [
    *("", ",", "note,", ",note", "note(", "note)", "note()", "note((id))", "note:"),
    *("note:0", "note:101", "note:x", "note:count:3", "note(id):count", "note(id", ":"),
    *(".test_id", "note.", "note(id)x", "note:-1", "note:1.5", "(id)", "note:٣"),
    "note(test_id(note(id)))",
    "note,note",
    "note:count,note:count",
    "created_by_id:3",
    "created_by_id:count",
    "note.title",
    *[",".join(f"note.test_id(id):{n}" for n in range(1, 13))],
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_not_in_the_grammar_is_refused(text):
    """400, with words; nothing is guessed."""
    assert "relation.unreadable" == refused(text).code


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("notes", "note"),
        ("title", ""),
        ("password_id", ""),
        ("created_by", "created_by_id"),
        ("users", ""),
    ],
)
def test_unknown_relations_are_told_with_the_nearest_word(text, hint):
    """What there is, this caller reaches."""
    told = refused(text)

    assert "sql.unknown_relation" == told.code
    assert hint in told.hint


@pytest.mark.parametrize(
    "text", ["note(titel)", "note(password)", "created_by_id(password)"]
)
def test_unknown_columns_of_a_relation_are_told(text):
    """Secret ones are unknown as well."""
    told = refused(text)

    assert "sql.unknown_column" == told.code
    assert "password" not in told.hint


def test_personal_columns_are_nobodys_but_an_admins():
    """Of users that are referred to."""
    for tier in ("my", "public"):
        assert "sql.unknown_column" == refused("created_by_id(email)", tier).code
        text = made("created_by_id(*)", tier).statement.text
        assert '."username"' in text
        assert not [n for n in ("email", "api_access", "mobile") if f'"{n}"' in text]
    assert '."email"' in made("created_by_id(email)", "admin").statement.text


def test_public_relations_stay_in_listed_tables():
    """A table that is not listed is no relation, and no hint."""
    told = refused("note", "public")

    assert "sql.unknown_relation" == told.code
    assert "note" not in told.hint
    assert made("parent_id(title)", "public")


def test_a_table_without_owner_is_no_relation_of_mine():
    """Its rows are nobody's; an admin reaches them."""
    assert "sql.unknown_relation" == refused("lookup").code
    assert made("lookup", "admin")


def test_rows_asked_for_are_bounded_as_a_whole():
    """limit × children × their children."""
    assert made("note:100", limit=1000)
    two = "note:100,note.test_id:1"
    assert "100000 rows" in refused(two, limit=1000).message
    assert "100000 rows" in refused("test(test:100):100", limit=11).message


def test_a_relation_goes_with_a_cursor_but_no_group():
    """Groups have no rows for anything to hang on."""
    assert made("note:count", cursor="")
    assert "relation" in refused("note", group_by="title").message


def test_texts_are_few():
    """Odd numbers are parameters, and one text serves them all."""
    texts = {made(f"note:{n}").statement.text for n in (7, 8, 9, 11)}

    assert 1 == len(texts)
    assert (7, 8) == made("note:8").statement.bound({"me": 7}.get)


WORDS = st.sampled_from(
    [
        *("note", "message", "test", "users", "lookup", "created_by_id", "parent_id"),
        *("id", "title", "description", "user_id", "test_id", "*", "nope", "password"),
    ]
)
AMOUNTS = st.sampled_from(["", "", ":3", ":7", ":count"])
ITEMS = st.recursive(
    st.builds("{}{}".format, WORDS, AMOUNTS),
    lambda inside: st.builds(
        "{}({}){}".format,
        WORDS,
        st.lists(inside, min_size=1, max_size=3).map(",".join),
        AMOUNTS,
    ),
    max_leaves=6,
)
RELATIONS = st.lists(ITEMS, min_size=1, max_size=3).map(",".join)
NAMES = st.sampled_from(["test", "message", "note", "users"])


@given(RELATIONS, NAMES, st.sampled_from(sorted(REACHES)), st.booleans())
def test_every_side_is_kept_to_its_own_rows(text, name, tier, keyed):
    """One select; on /my each table is mine, open to all, or users."""
    try:
        read = made(text, tier, name, **({"cursor": ""} if keyed else {}))
    except ApiError as error:
        assert error.status in {400, 403}
        return
    statement = read.statement
    (tree,) = sqlglot.parse(statement.text, read="postgres")
    assert isinstance(tree, exp.Select)
    named = [each for each in tree.find_all(exp.Table) if each.db]
    assert {each.name for each in named} == read.tables
    # Whole words: `password_id` is a column that may be asked for.
    words = {each.this for each in tree.find_all(exp.Identifier, exp.Literal)}
    assert "password" not in words
    for each in named:
        owned = f'{each.alias}."created_by_id" = $1::bigint' in statement.text
        if tier == "my" and each.name not in {"users", "test"}:
            assert owned, each
        if tier == "public":
            assert each.name in {"test", "users"}
    values = statement.bound({"me": 7}.get)
    used = {int(word) for word in re.findall(r"\$(\d+)", statement.text)}
    assert set(range(1, len(values) + 1)) == used


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    """Nothing a caller writes is a fault of ours."""
    try:
        found = relation.parse(text)
    except ApiError as error:
        assert 400 == error.status
        return
    assert found
