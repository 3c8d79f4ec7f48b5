"""`config_table` parsed: every fault with its place, nothing open by accident."""

import pytest

from atom.config import keys, table
from atom.config import resolve as settings
from atom.own import declaration


def parsed(entries, **more):
    """Return the rules and the problems of config_table."""
    given = {"config_table": {**declaration.TABLE, **entries}, **more}
    problems = []
    return table.parse(
        settings.resolve(keys.KEYS, []).replace(given), problems
    ), problems


def test_a_tier_is_a_word_or_a_dict_of_verbs():
    """What is not there is closed."""
    rules, problems = parsed(
        {
            "a": {"my": "owner", "public": 0, "admin": 1},
            "b": {"my": {"read": 1, "create": "x = 1", "update": 0}},
        }
    )

    assert [] == problems
    assert {"my", "public", "admin"} == set(rules.tables["a"])
    assert {} == rules.tables["a"]["public"]
    assert set(table.VERBS) == set(rules.tables["a"]["admin"])
    assert {"read", "create"} == set(rules.tables["b"]["my"])
    assert "x = 1" == rules.tables["b"]["my"]["create"].check
    assert rules.tables["a"]["my"]["read"].where == table.OWNED


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"mine": 1}, "unknown 'mine'"),
        ({"my": 2}, "expected 0, 1, 'owner' or a dict of verbs"),
        ({"my": {"raed": 1}}, "read"),
        ({"my": {"read": {}}}, "an empty dict opens nothing"),
        ({"my": {"read": {"check": "1"}}}, "unknown 'check'"),
        ({"my": {"read": {"role": ["boss"]}}}, "unknown role 'boss'"),
        ({"my": {"create": {"preset": {"a": 1}}}}, "expected SQL"),
        ({"my": {"create": {"most": 0}}}, "whole number above 0"),
        ({"my": {"read": "a = 'x"}}, "is not expected"),
        ({"my": {"read": "a = 1; drop table b"}}, "is not expected"),
        ({"my": {"read": "a = :claim_level"}}, "config_token_key_list"),
        ({"soft_delete": 1}, "not a column"),
        ({"public": {"create": "owner"}}, "'owner' is for callers who are known"),
    ],
)
def test_a_fault_is_named_with_its_place(entry, words):
    """And opens nothing."""
    rules, problems = parsed({"t": entry})

    assert len(problems) == 1, problems
    assert problems[0].startswith("config_table")
    assert words in problems[0]
    for verbs in rules.tables["t"].values():
        for rule in verbs.values():
            assert rule.where is not None or rule.check is not None or rule.most == 1


def test_the_short_keys_open_what_no_entry_names():
    """An entry with `public` is the whole of it."""
    short = {"config_table_allowed_public_read_list": ("test", "a")}
    rules, problems = parsed({"a": {"public": {"create": 1}}}, **short)

    assert [] == problems
    assert {"create"} == set(rules.tables["a"]["public"])
    assert {"create", "read"} == set(rules.tables["test"]["public"])


def test_others_see_listed_columns_of_users_alone():
    """However an entry opens the rows; one's own row is whole."""
    rules, _ = parsed({"users": {"public": {"read": 1}, "my": {"read": 1}}})
    for tier in ("public", "my"):
        assert ("id", "username", "name") == rules.tables["users"][tier]["read"].columns
    rules, _ = parsed({})
    assert rules.tables["users"]["my"]["read"].columns is None


def test_a_check_of_1_is_any_row():
    """And not the condition of `where`, which is the default."""
    rules, problems = parsed({"a": {"my": {"update": {"where": "x = 1", "check": 1}}}})

    assert [] == problems
    assert "true" == rules.tables["a"]["my"]["update"].check
