"""Atom's own tables are numbered files: one more is one more file."""

import asyncio
import subprocess
import sys

from tests.acceptance.checkout import copied
from tests.integration.near import connected
from tests.integration.near import database_url as database_url
from tests.served import environment

LEDGER = """
from atom.own.part import Function, Trigger

TABLES = {"ledger": {"id": "bigint primary key", "note": "text"%s}}
INDEXES = {"ledger_note": "ledger (note)"}
FUNCTIONS = (Function("keep_ledger", "begin\\n  return new;\\nend"),)


def triggers(tables):
    rule = "before update on {table} for each row execute function atom.keep_ledger()"
    yield Trigger("atom", "ledger", "atom_keep_ledger", rule)
"""
FOUND = """
select (select count(*) from information_schema.columns
        where table_schema = 'atom' and table_name = 'ledger') as columns,
       (select count(*) from pg_indexes where indexname = 'ledger_note') as indexes,
       (select count(*) from pg_trigger where tgname = 'atom_keep_ledger') as triggers
"""


def schema(code, url, *words):
    """Run `python main.py schema …`; return what it printed."""
    done = subprocess.run(
        [sys.executable, "main.py", "schema", *words],
        cwd=code,
        env=environment({"config_postgres_url": url}),
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


async def made(url):
    """Return how many columns, indexes and triggers of the file there are."""
    connection = await connected(url)
    try:
        return tuple(await connection.fetchrow(FOUND))
    finally:
        await connection.close()


def test_a_numbered_file_is_all_that_an_own_table_takes(tmp_path, database_url):
    """Its table, index, function and trigger are made; a second plan is empty; a column
    added to the file later is added to the table."""
    code = copied(tmp_path)
    file = code / "atom" / "own" / "099_ledger.py"

    file.write_text(LEDGER % "")
    schema(code, database_url, "apply")
    assert (2, 1, 1) == asyncio.run(made(database_url))
    assert "Nothing to do." in schema(code, database_url, "plan")

    file.write_text(LEDGER % ', "at": "timestamptz not null default now()"')
    assert "add column at" in schema(code, database_url, "plan")
    schema(code, database_url, "apply")
    assert "Nothing to do." in schema(code, database_url, "plan")


def test_two_files_with_one_table_stop_the_start(tmp_path, database_url):
    """And the message names it."""
    code = copied(tmp_path)
    (code / "atom" / "own" / "099_marker.py").write_text(
        'TABLES = {"marker": {"name": "text"}}\n'
    )
    done = subprocess.run(
        [sys.executable, "main.py", "schema", "plan"],
        cwd=code,
        env=environment({"config_postgres_url": database_url}),
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert 0 != done.returncode
    assert "atom/own has two of marker" in done.stdout + done.stderr
