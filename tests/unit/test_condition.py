"""Conditions of an operator: columns qualified, sets of the caller, values bound."""

import pytest

from atom.postgres.condition import (
    Reader,
    UnreadableCondition,
    both,
    numbered,
    queries,
)

COLUMNS = ("id", "patient_id", "clinic_id", "state", "text", "user")
CLINIC = "select clinic_id from staff where user_id = :me"
READER = Reader(
    {"my_clinic": CLINIC, "my_desk": f"{CLINIC} and clinic_id in my_clinic"},
    {"reception": "select 1 from staff where user_id = :me"},
)


def written(text, table="booking"):
    """Read a condition and write it for a table called t."""
    found = READER.read(text, table, COLUMNS)
    return found.render("t", numbered(found.binds))


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("state = 'open'", """(t."state" = 'open')"""),
        ("STATE = 'state'", """(t."state" = 'state')"""),
        ("booking.state = $$state$$", """(t."state" = $$state$$)"""),
        ("state::text = E'a\\'state'", """(t."state"::text = E'a\\'state')"""),
        ("cast(id as text) = ''", """(cast(t."id" as text) = '')"""),
        ('"user" = user', '(t."user" = user)'),
        ("lower(state) = 'x' -- state", """(lower(t."state") = 'x')"""),
        ("patient_id = :me", '(t."patient_id" = $1::bigint)'),
        ("clinic_id = :claim_at::bigint", '(t."clinic_id" = $1::text::bigint)'),
        (
            "clinic_id in my_clinic",
            '(t."clinic_id" = any (array(select clinic_id from staff where user_id ='
            " $1::bigint)))",
        ),
        (
            "clinic_id not in my_clinic",
            '(t."clinic_id" <> all (array(select clinic_id from staff where user_id ='
            " $1::bigint)))",
        ),
        (
            "exists (select 1 from share s where s.id = booking.id and state = 'x')",
            """(exists (select 1 from share s where s.id = t."id" and state = 'x'))""",
        ),
        (
            "exists (select 1 from booking where booking.id = 1)",
            "(exists (select 1 from booking where booking.id = 1))",
        ),
    ],
)
def test_a_condition_is_written_for_an_alias(text, sql):
    """Columns alone are qualified: no text, type, function, or name of a query."""
    assert sql == written(text)


def test_a_set_may_name_another():
    """And the caller's id is one parameter, however often it occurs."""
    sql = written("clinic_id in my_desk and patient_id = :me")

    assert 3 == sql.count("$1::bigint")
    assert 2 == sql.count("= any (array(select")


def test_roles_are_an_array_of_names():
    """`:role` holds those that the caller has."""
    sql = written("'reception' = any(:role)")

    assert "then 'reception' end" in sql
    assert "$1::bigint" in sql


def test_conditions_are_joined_in_parentheses():
    """An `or` inside one reaches no further."""
    parts = [
        READER.read(text, "booking", COLUMNS) for text in ("id = 1 or id = 2",) * 2
    ]

    assert '((t."id" = 1 or t."id" = 2) and (t."id" = 1 or t."id" = 2))' == (
        both([parts[0], None, parts[1]]).render("t", {})
    )
    assert both([None, None]) is None


@pytest.mark.parametrize(
    "text",
    ["", "state = 'x", "a;b", "(a", "a)", "a /* b", "id = $1", "id = :you", '"a'],
)
def test_what_cannot_be_read_is_refused(text):
    """Half a text, a second statement, a parameter that would be ours."""
    with pytest.raises(UnreadableCondition):
        READER.read(text, "booking", COLUMNS)


def test_a_set_that_names_itself_is_refused():
    """However far around."""
    reader = Reader({"a": "select 1 where 1 in b", "b": "select 1 where 1 in a"}, {})
    with pytest.raises(UnreadableCondition, match="names itself"):
        reader.read("id in a", "booking", COLUMNS)


def test_queries_are_selects_with_a_name():
    """Every fault is noted, and the good ones are kept."""
    problems = []
    given = {"good": "select 1", "no": "delete from users", "a b": "select 1", "n": 1}

    assert {"good": "select 1"} == queries("config_role", given, problems)
    assert 3 == len(problems)
    assert problems[0].startswith("config_role['no']: ")


def test_names_are_those_that_postgresql_reads():
    """Tables in scopes and roles too, however they are written; claims are of users."""
    reader = Reader(
        {"mine": 'select id from Staff, "Odd Table"'}, {"boss": "table head"}
    )
    condition = reader.read("a in mine and 'boss' = any(:role)", "t", ("a",))

    assert {"staff", "Odd Table", "head"} <= condition.names
    assert not {"a", "Staff", "users"} & condition.names
    assert "users" in reader.read("a = :claim_level", "t", ("a",)).names
