"""Who reaches which tables and columns."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.config import keys
from atom.config import resolve as settings
from atom.errors import ApiError, Forbidden, NotFound, Unavailable
from atom.own import declaration
from atom.postgres.catalog import Catalog, LiveColumn, Table
from atom.row.managed import MANAGED
from atom.row.scope import RowConfig, RowScope

ROOT = Path(__file__).parents[2]


def table(name, *columns):
    return Table(name, {c: LiveColumn(c, "bigint") for c in ("id", *columns)})


CATALOG = Catalog(
    {
        t.name: t
        for t in [
            table("test", "created_by_id", "title", "Password"),
            table("users", "created_by_id", "username", "password", "api_access"),
            table("note", "created_by_id", "test_id", "parent_id", "note_id"),
            table("log_api", "created_by_id"),
            table("draft", "created_by_id", "title", "state"),
            table("ownerless"),
        ]
    }
)


TABLES = {
    "config_table": {
        **declaration.TABLE,
        "note": {"my": "owner"},
        "ownerless": {"my": {"read": "owner"}},
        "draft": {
            "my": {
                "read": {"where": "owner", "column": ["id", "title"]},
                "update": {"column": ["title"], "preset": {"state": "'new'"}},
            }
        },
    }
}


@pytest.fixture
def rules():
    return RowConfig(settings.resolve(keys.KEYS, []).replace(TABLES))


def test_secret_columns_do_not_exist_outside(rules):
    """For nobody, in no table, in no case."""
    for reach in (rules.my(1), rules.public(), rules.admin(1)):
        assert "password" not in reach.visible_columns(CATALOG, "users").columns
        assert "Password" not in reach.visible_columns(CATALOG, "test").columns
        assert "username" in reach.visible_columns(CATALOG, "users").columns


def test_rows_are_reached_by_the_rule_of_their_tier(rules):
    """/my of test is bound to its caller, /admin and /public are not."""
    assert ("me",) == rules.my(7).readable(CATALOG, "test").rule.takes
    assert 7 == rules.my(7).value("me")
    assert () == rules.admin(7).readable(CATALOG, "test").rule.takes
    assert () == rules.public().readable(CATALOG, "test").rule.takes


def test_what_no_entry_opens_is_closed(rules):
    """A verb that is not declared, a tier that is not, a table that is not."""
    my = rules.my(7)
    for verb, name in (("create", "draft"), ("delete", "draft"), ("read", "log_api")):
        with pytest.raises(Forbidden):
            my.rows(CATALOG, name, verb)
    assert rules.admin(7).rows(CATALOG, "log_api", "read")


def test_columns_of_a_rule_are_an_allow_list(rules):
    """Shown and filtered: those of read. Sent: those of update, no preset."""
    my = rules.my(7)

    assert ["id", "title"] == list(my.visible_columns(CATALOG, "draft").columns)
    my.require_writable("draft", "title", create=False)
    for name in ("state", "created_by_id"):
        with pytest.raises(ApiError):
            my.require_writable("draft", name, create=False)


def test_a_rule_that_does_not_fit_closes_its_table(rules):
    """`owner` where there is no owner: 503, for this verb alone."""
    with pytest.raises(Unavailable) as caught:
        rules.my(7).readable(CATALOG, "ownerless")
    assert "row.rule_broken" == caught.value.code
    assert rules.admin(7).readable(CATALOG, "ownerless")


def test_a_claim_is_bound_as_text(rules):
    """Null when the token has none."""
    scope = rules.my({"id": 7, "level": 3})

    assert ("3", None) == (scope.value("claim_level"), scope.value("claim_other"))


@pytest.mark.parametrize(
    ("tier", "user_id"), [("my", None), ("admin", None), ("public", 1), ("root", 1)]
)
def test_a_reach_without_its_caller_cannot_be_made(rules, tier, user_id):
    """/my without a user would be everybody's rows."""
    with pytest.raises(ValueError):
        RowScope(rules, tier, user_id)


def test_public_reaches_listed_tables(rules):
    """Any other is refused in the same words, whether it exists or not."""
    public = rules.public()
    assert "test" == public.readable(CATALOG, "test").table.name
    said = set()
    for name in ("users", "nope", "Test", "test "):
        for verb in (public.readable, public.creatable):
            with pytest.raises(Forbidden) as caught:
                verb(CATALOG, name)
            said.add((caught.value.message, caught.value.hint))
    assert 1 == len(said)


def test_tables_with_their_own_routes_are_closed_to_users(rules):
    """Admins write users here; the log not even they."""
    for name in ("users", "log_api"):
        with pytest.raises(Forbidden):
            rules.my(1).changeable(CATALOG, name)
        assert rules.trusted(1).changeable(CATALOG, name)
    assert rules.admin(1).changeable(CATALOG, "users")
    with pytest.raises(Forbidden):
        rules.admin(1).changeable(CATALOG, "log_api")
    with pytest.raises(NotFound):
        rules.my(1).changeable(CATALOG, "Users")


@given(
    st.sampled_from(sorted(MANAGED | {"is_active", "is_verified", "google_x"})),
    st.lists(st.booleans(), min_size=20, max_size=20),
    st.sampled_from(["", " ", "\t"]),
)
def test_managed_columns_are_managed_in_any_spelling(name, upper, blank):
    """Case and blanks do not slip past."""
    rules = RowConfig(settings.resolve(keys.KEYS, []))
    spelt = (
        "".join(c.upper() if up else c for c, up in zip(name, upper, strict=False))
        + name[len(upper) :]
    )

    for create in (True, False):
        for reach in (rules.my(1), rules.public()):
            with pytest.raises(ApiError):
                reach.require_writable("test", blank + spelt + blank, create=create)


def test_admins_do_not_rewrite_history(rules):
    """Who made a row and when stays true; the rest an admin may write."""
    admin = rules.admin(1)
    for column in ("created_at", "updated_at", "updated_by_id", "id"):
        with pytest.raises(ApiError):
            admin.require_writable("test", column, create=False)
    for column in ("type", "is_active", "api_access", "is_protected", "password"):
        for create in (True, False):
            admin.require_writable("test", column, create=create)
            rules.trusted(1).require_writable("users", column, create=create)
    for column in ("type", "password"):
        admin.require_writable("users", column, create=True)
    for column, create in (
        ("type", False),
        ("password", False),
        ("google_id", False),
        ("is_active", True),
        ("api_access", True),
    ):
        with pytest.raises(ApiError):
            admin.require_writable("users", column, create=create)


def test_stamps_say_who(rules):
    """Only columns the table has, and only callers who are known."""
    test = CATALOG.table("test")

    assert {"created_by_id": 7} == rules.my(7).stamps(test, create=True)
    assert {} == rules.my(7).stamps(test, create=False)
    assert {} == rules.public().stamps(test, create=True)
    assert {} == rules.admin(7).stamps(CATALOG.table("ownerless"), create=True)


def test_parents_are_reached_by_their_own_rule(rules):
    """What is public is open to users as well, whole; users show three columns."""
    me = rules.my(7)
    rows, view = me.parent(CATALOG, "test")
    assert () == rows.rule.takes
    assert "title" in view.columns
    assert ("me",) == me.parent(CATALOG, "note")[0].rule.takes
    assert {"id", "username"} == set(me.parent(CATALOG, "users")[1].columns)
    assert me.parent(CATALOG, "log_api") is None


def test_creators_show_what_is_listed(rules):
    """`creator_key` knows neither hashes nor api_access, nor a column added later."""
    shown = rules.public().creators(CATALOG).table

    assert {"id", "username"} == set(shown.columns)
    assert rules.public().creators(Catalog({})) is None


def test_users_are_hidden_by_an_entry_that_closes_them():
    """From all rows that refer to them, but for admins."""
    users = {"my": {"read": "id = :me"}, "public": 0}
    config = {"config_table": {**TABLES["config_table"], "users": users}}
    rules = RowConfig(settings.resolve(keys.KEYS, []).replace(config))

    assert rules.my(7).parent(CATALOG, "users") is None
    assert rules.public().creators(CATALOG) is None
    assert rules.admin(7).parent(CATALOG, "users")


def test_an_answer_under_a_claim_depends_on_users():
    """A cached one is dropped when a claim may have changed."""
    entry = {"my": {"read": "title = :claim_level::bigint"}}
    config = {
        "config_table": {"draft": entry},
        "config_token_key_list": ("id", "level"),
    }
    rules = RowConfig(settings.resolve(keys.KEYS, []).replace(config))

    assert "users" in rules.my(7).readable(CATALOG, "draft").rule.names


def test_a_scope_alone_makes_row_sets():
    """One place decides which rows are reached; an account is changed by its id."""
    made = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "atom").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RowSet"
    ]

    assert {
        "atom/account/deletion.py": 1,  # one's own row, by its id
        "atom/row/batch.py": 1,  # of a rule that says nothing
        "atom/row/hooked_upsert.py": 1,  # whether a row is there, whoever reaches it
        "atom/row/rule.py": 1,  # fewer of a row set, by the columns that are written
        "atom/row/scope.py": 5,
        "atom/row/upsert.py": 1,  # no row at all
    } == Counter(made)
