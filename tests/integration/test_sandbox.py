"""The logins that run callers' SQL, on a PostgreSQL that asks for passwords."""

import json

import asyncpg
import pytest

from atom.errors import ApiError
from atom.postgres.database import Database
from atom.postgres.lease import reset
from atom.sandbox import runner
from atom.sandbox.session import Sandbox
from atom.schema.apply import LOCK
from embedded import postgres

SECRET = frozenset({"otp"})


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """The address of a private PostgreSQL, as its superuser."""
    folder = tmp_path_factory.mktemp("private")
    folder.chmod(0o755)
    with postgres.served(folder) as url:
        kept = json.loads((folder / "postgres.json").read_text())
        yield url.replace(
            f"atom:{kept['application']}@/atom", f"postgres:{kept['superuser']}@/{{}}"
        )


@pytest.fixture
async def shop(owner):
    """An address of a database where the application's role may make roles."""
    superuser = await asyncpg.connect(owner.format("postgres"))
    await superuser.execute("create role shop login createrole password 'one'")
    await superuser.execute("create database shop owner shop")
    yield (
        superuser,
        owner.format("shop").replace(
            owner.partition("//")[2].partition("@")[0], "shop:{}"
        ),
    )
    await superuser.execute("drop database shop with (force)")
    for role in ("shop", *(f"atom_{w}_shop" for w in ("reader", "writer", "exporter"))):
        await superuser.execute(f"drop role if exists {role}")
    await superuser.close()


async def asked(url, query):
    """Return the rows of a query, asked by a process that has just started."""
    pool = await asyncpg.create_pool(url, min_size=1, max_size=2, reset=reset)
    database = Database(pool)
    sandbox = Sandbox(database, url, SECRET)
    try:
        return json.loads((await runner.run_statement(sandbox, query)).rows)
    finally:
        await sandbox.close()
        await pool.close()


async def test_a_new_password_of_the_database_is_followed(shop):
    """Another process finds the login's old password, and sets the new one."""
    superuser, url = shop
    assert [{"a": 1}] == await asked(url.format("one"), "select 1 as a")
    await superuser.execute("alter role shop password 'two'")

    assert [{"a": 2}] == await asked(url.format("two"), "select 2 as a")


async def test_a_login_is_closed_to_who_does_not_know_its_password(shop):
    """Neither without one nor with that of the application."""
    _, url = shop
    await asked(url.format("one"), "select 1 as a")
    for word in ("", "one", "atom_reader_shop"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                url.format("one"), user="atom_reader_shop", password=word
            )


async def test_rights_wait_for_a_change_of_the_tables(shop):
    """A call in between is a 503, and both go on afterwards."""
    _, url = shop
    own = await asyncpg.connect(url.format("one"))
    await own.execute("create table test (id int); insert into test values (1)")
    await own.fetchval("select pg_advisory_lock($1)", LOCK)
    with pytest.raises(ApiError) as caught:
        await asked(url.format("one"), "select id from test")
    await own.fetchval("select pg_advisory_unlock($1)", LOCK)

    assert (503, "schema.busy") == (caught.value.status, caught.value.code)
    assert [{"id": 1}] == await asked(url.format("one"), "select id from test")
    await own.close()
