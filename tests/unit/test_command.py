"""What may follow `python main.py`, and a plan as text."""

import pytest

from atom import VERSION
from atom.command.program import program
from atom.command.project import Project
from atom.command.schema import differs
from atom.schema.plan import Plan, Step, script, shown

STEP = Step(
    'alter table "public"."test"\n  drop column "a"',
    "column",
    "test",
    lock="ACCESS EXCLUSIVE",
    rewrite=True,
    scan=True,
    rows=1200,
    destructive=True,
    reversible=False,
)
INDEX = Step("create index a", "index", lock="SHARE UPDATE EXCLUSIVE", scan=True)


@pytest.fixture
def call():
    """The program, of a project without a database."""
    return program(None, Project(None, []), {"report": lambda: None})


@pytest.mark.parametrize(
    "words",
    [
        ["serv"],
        ["schema"],
        ["schema", "plann"],
        ["schema", "plan", "--chek"],
        ["schema", "plan", "--dest"],
        ["schema", "apply", "--check"],
        ["schema", "plan", "users"],
        ["data", "import"],
        ["data", "import", "x", "--table", "test", "--mode", "creat"],
        ["data", "export"],
        ["data", "export", "--table", "test", "--query", "select 1"],
    ],
)
def test_what_is_not_known_is_answered_with_the_usage(call, words, capsys):
    """Exit code 2, as of any command; half a word is not a word."""
    with pytest.raises(SystemExit) as caught:
        call(words)

    assert 2 == caught.value.code
    assert capsys.readouterr().err.startswith("Usage: python main.py")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--help"], "report"),
        (["-h"], "schema"),
        (["--version"], f"atom {VERSION}"),
        (["schema", "plan", "--help"], "--destructive"),
        (["data", "import", "--help"], "  create   add rows; id may be given"),
    ],
)
def test_help_and_version_answer(call, words, text, capsys):
    """They need no database."""
    with pytest.raises(SystemExit) as caught:
        call(words)

    assert 0 == caught.value.code
    assert text in capsys.readouterr().out


def test_plan_is_a_table_with_one_line_a_step():
    """Everything somebody has to know before it runs, the SQL last."""
    assert (
        "   lock                    reads     rows  loses  undo  SQL\n"
        "1  ACCESS EXCLUSIVE        rewrites  1200  yes    no    "
        'alter table "public"."test" drop column "a"\n'
        "2  SHARE UPDATE EXCLUSIVE  scans     0     -      yes   create index a\n"
        "Differs, and stays: Table a is not declared.\n"
        "Note: No PostGIS.\n"
        "Refused: test.a holds null.\n"
    ) == shown(
        Plan(
            (STEP, INDEX),
            ("Table a is not declared.",),
            ("No PostGIS.",),
            ("test.a holds null.",),
        )
    )


def test_script_is_the_whole_sql():
    """As it will run, in its order."""
    assert f"{STEP.sql};\n{INDEX.sql};\n" == script(Plan((STEP, INDEX)))


def test_nothing_to_do_is_said():
    """An empty plan is not an empty answer."""
    assert "Nothing to do.\n" == shown(Plan())


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (Plan(), False),
        (Plan(notes=("a",)), False),
        (Plan((INDEX,)), True),
        (Plan(drift=("a",)), True),
        (Plan(refusals=("a",)), True),
    ],
)
def test_note_is_no_difference(plan, expected):
    """What this server cannot do is no reason for CI to fail."""
    assert expected is differs(plan)
