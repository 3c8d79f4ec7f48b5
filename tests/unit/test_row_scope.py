"""Who reaches which tables and columns."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.config import keys
from atom.config import resolve as settings
from atom.errors import ApiError, Forbidden, NotFound
from atom.postgres.catalog import Catalog, LiveColumn, Table
from atom.row.scope import MANAGED, RowConfig, RowScope

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
            table("ownerless"),
        ]
    }
)


@pytest.fixture
def rules():
    return RowConfig(settings.resolve(keys.KEYS, []))


def test_secret_columns_do_not_exist_outside(rules):
    """For nobody, in no table, in no case."""
    for reach in (rules.my(1), rules.public(), rules.admin(1)):
        assert "password" not in reach.visible_columns(CATALOG, "users").columns
        assert "Password" not in reach.visible_columns(CATALOG, "test").columns
        assert "username" in reach.visible_columns(CATALOG, "users").columns


def test_only_my_rows_are_owned(rules):
    """/my is bound to its caller, /admin and /public are not."""
    assert rules.my(7).row_set(CATALOG, "test").owned
    assert 7 == rules.my(7).owner
    assert not rules.admin(7).row_set(CATALOG, "test").owned
    assert rules.admin(7).owner is None
    assert rules.public().owner is None


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


def test_parents_are_open_tables_or_named_ones(rules):
    """A column that is not called after a table does not open it."""
    me = rules.my(7)
    note = me.row_set(CATALOG, "note")

    assert "title" in me.parents(CATALOG, note, "test", "test_id").table.columns
    assert me.parents(CATALOG, note, "note", "parent_id")
    assert (
        "api_access" not in me.parents(CATALOG, note, "users", "test_id").table.columns
    )
    for name, column in [("log_api", "log_api_id"), ("ownerless", "test_id")]:
        with pytest.raises(Forbidden):
            me.parents(CATALOG, note, name, column)


def test_creators_show_no_rights(rules):
    """`creator_key` knows neither hashes nor api_access."""
    shown = rules.public().creators(CATALOG).table

    assert {"id", "created_by_id", "username"} == set(shown.columns)
    assert rules.public().creators(Catalog({})) is None


def test_a_scope_alone_makes_row_sets():
    """One place decides which rows are reached; an account is changed by its id."""
    made = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "atom").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "RowSet"
    ]

    assert ["atom/account/update.py", "atom/row/scope.py"] == made
