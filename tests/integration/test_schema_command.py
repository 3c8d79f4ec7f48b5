"""`python main.py schema …` as it is typed, on a database of one's own and without."""

import asyncio
import signal
import subprocess
import sys

import pytest

from atom.schema.apply import LOCK
from atom.schema.plan import HEAD
from tests.integration.near import connected, database_url, fresh_database
from tests.served import ROOT, environment

__all__ = ["database_url"]

WAITING = """
select exists (
  select from pg_stat_activity
  where query like 'select pg_try_advisory_lock%' and pid <> pg_backend_pid()
)
"""
NONE = "postgresql://nobody:secret@127.0.0.1:1/none"


@pytest.fixture
async def url(database_url):
    """The address of an empty database."""
    async with fresh_database(database_url) as fresh:
        yield fresh


@pytest.fixture
def typed(tmp_path):
    """Run main.py with words; return exit code, output and errors."""

    def run(*words, **config):
        keys = {"config_key_root": "r" * 32, "config_key_jwt": "j" * 64}
        keys |= {"config_atom_folder": str(tmp_path / "private")}
        done = subprocess.run(
            [sys.executable, "main.py", *words],
            cwd=ROOT,
            env=environment(keys | config),
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout, done.stderr

    return run


async def test_plan_check_and_apply_on_a_database_of_ones_own(url, typed):
    """CI stops before the apply, passes after it, and stops again at a difference."""
    own = {"config_postgres_url": url}

    planned, said, _ = typed("schema", "plan", **own)
    before, _, _ = typed("schema", "plan", "--check", **own)
    applied, done, _ = typed("schema", "apply", **own)
    after, nothing, _ = typed("schema", "plan", "--check", **own)
    raw = await connected(url)
    await raw.execute("alter table test add column other int")
    drifted, told, _ = typed("schema", "plan", "--check", **own)
    removed, sql, _ = typed("schema", "plan", "--destructive", "--sql", **own)
    roots = await raw.fetchval("select count(*) from users")
    await raw.close()

    assert (0, 1, 0, 0, 1, 0) == (planned, before, applied, after, drifted, removed)
    assert said.split(maxsplit=6)[:6] == [*HEAD[1:]]
    assert 'create table "public"."test"' in said
    assert 'create table "public"."test"' in done
    assert "root user  root  password" in done
    assert 1 == roots
    assert nothing.startswith("Nothing to do.")
    assert "Differs, and stays: test.other is not declared" in told
    assert 'alter table "public"."test" drop column "other";\n' in sql


def test_private_database_is_brought_and_put_away(typed):
    """Without a database configured the same commands work."""
    first = typed("schema", "apply")
    second = typed("schema", "plan", "--check")

    assert (0, 0) == (first[0], second[0]), first[2] + second[2]
    assert second[1].startswith("Nothing to do.")


@pytest.mark.parametrize("act", ["plan", "apply"])
def test_database_that_does_not_answer_is_told(typed, act):
    """Exit code 1, one line, no trace and no password."""
    code, _, said = typed("schema", act, config_postgres_url=NONE)

    assert 1 == code
    assert "database does not answer" in said
    assert "Traceback" not in said
    assert "secret" not in said


async def test_change_that_fails_is_told(url, typed):
    """What cannot be done is named, and the exit code says so."""
    raw = await connected(url)
    await raw.execute("create view test as select 1")
    await raw.close()

    code, _, said = typed("schema", "apply", config_postgres_url=url)

    assert 1 == code
    assert "Table test cannot be made: a view, a sequence," in said


def test_unknown_word_is_answered_with_the_usage(typed):
    """It does not serve by mistake."""
    code, _, said = typed("shcema", "plan")

    assert 2 == code
    assert "Usage: python main.py" in said


@pytest.mark.parametrize("word", ["--help", "-h", "--version"])
def test_help_and_version_answer_whatever_config_is(typed, word):
    """Someone with a broken config needs them most."""
    code, said, _ = typed(
        word, config_port="x", config_env="production", config_key_root="short"
    )

    assert 0 == code
    assert said.startswith(("Usage: python main.py", "atom "))


@pytest.mark.parametrize("words", [("schema", "plan"), ("data", "export", "--table=t")])
def test_faults_of_config_are_all_printed_by_a_command(typed, words):
    """It does nothing then, and exits with 1."""
    code, said, error = typed(*words, config_port="x", config_key_root="short")

    assert (1, "") == (code, said)
    assert "config_port in the environment" in error
    assert "config_key_root: set it to 16 characters" in error
    assert "Traceback" not in error


def test_serve_is_a_word_as_well(typed):
    """It serves as without a word, and is refused in the same way."""
    code, _, error = typed("serve", config_port="x", config_key_root="short")

    assert 1 == code
    assert "config_port in the environment" in error


async def test_command_that_is_interrupted_has_not_succeeded(url):
    """It ends at once, gives its lock back, and no CI takes it for done."""
    raw = await connected(url)
    await raw.fetchval("select pg_advisory_lock($1)", LOCK)
    keys = {"config_key_root": "r" * 32, "config_key_jwt": "j" * 64}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "main.py",
        "schema",
        "apply",
        cwd=ROOT,
        env=environment(keys | {"config_postgres_url": url}),
    )
    try:
        async with asyncio.timeout(60):
            while not await raw.fetchval(WAITING):
                await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    await raw.close()

    assert 128 + signal.SIGTERM == code
