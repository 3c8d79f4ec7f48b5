"""A change of the schema that is cut off anywhere: the next apply completes it.

PostgreSQL itself cuts it off, by an event trigger that counts commands: at the n-th it
refuses, or ends the session, as the kill of a worker or of the server would.
"""

import logging
import secrets

import pytest

from atom.errors import ApiError
from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from tests.integration.near import connected, database_url
from tests.integration.test_schema import dumped
from tests.soak import size

__all__ = ["database_url"]

BEFORE = {
    "test": [
        "title-text-0-btree,gin",
        "old-text-0-btree",
        "rating-int-0-btree",
        "boss_id-bigint-0-0",
        "is_new-smallint-0-0",
        {"name": "code", "datatype": "text", "unique": 1, "regex": "^a"},
    ],
    "users": ["name-text-0-0"],
}
AFTER = {
    "test": [
        "created_at-timestamptz-1-brin",
        "updated_at-timestamptz-0-0",
        {"name": "fresh", "datatype": "text", "old": "old", "index": "btree,hash"},
        {"name": "title", "datatype": "text", "is_mandatory": 1, "default": "none"},
        "rating-bigint-0-btree",
        {"name": "boss_id", "datatype": "bigint", "references": "users"},
        "is_new-smallint-0-0",
        "is_protected-smallint-0-0",
        {"name": "code", "datatype": "text", "unique": 1, "regex": "^[ab]"},
        {"name": "kind", "datatype": "text", "in": ["a", "b"], "index": "hash"},
        {"index": "code,kind"},
    ],
    "users": ["name-text-0-gin", "is_deleted-smallint-0-0"],
    "extra": ["a-int-0-btree"],
}
QUERIES = {"q": "alter table extra add constraint one unique (a)"}
ROWS = """
insert into users (name) select 'n' || i from generate_series(1, 20) i;
insert into test (title, old, rating, boss_id, code)
select 't', 'o' || i, i, 1, 'a' || i from generate_series(1, 20000) i;
analyze test;
"""
FUSE = """
create schema fuse; create sequence fuse.burnt;
create function fuse.burn() returns event_trigger language plpgsql as $$
begin
  if nextval('fuse.burnt') = current_setting('fuse.at')::int then
    if current_setting('fuse.way') = 'dies' then
      perform pg_terminate_backend(pg_backend_pid());
    else
      raise exception 'burnt' using errcode = '58030';
    end if;
  end if;
end $$;
create event trigger fuse on ddl_command_start execute function fuse.burn();
"""
AWAY = "drop event trigger fuse; drop schema fuse cascade;"
# Every command takes a minute; as a rule every so many will do.
STRIDE = size(13, 1)
WANTED = Declaration.parse({"table": AFTER, "query": QUERIES})


async def made(admin, database_url, template=""):
    """Make a database, of a template or empty; return its address."""
    name = f"fuse_{secrets.token_hex(6)}"
    await admin.execute(
        f"create database {name}" + (f" template {template}" if template else "")
    )
    return database_url.rpartition("/")[0] + "/" + name


async def blows(raw, url, at, way):
    """Have commands of new sessions fail at the one of this number, 0 for none."""
    name = url.rpartition("/")[2]
    await raw.execute(f"alter database {name} set fuse.at = '{at}'")
    await raw.execute(f"alter database {name} set fuse.way = '{way}'")


async def rows(raw):
    """Return what the rows hold, under the names they have in the end."""
    return await raw.fetchrow(
        "select count(*), sum(rating), min(fresh), max(fresh), min(code), sum(boss_id)"
        " from test"
    )


@pytest.mark.soak
@pytest.mark.parametrize(("way", "first"), [("refuses", 2), ("dies", 5)])
async def test_whatever_fails_the_next_apply_completes_it(
    database_url, caplog, way, first
):
    """No row is lost, and the end is the same to the letter."""
    caplog.set_level(logging.CRITICAL)
    admin = await connected(database_url)
    before = await made(admin, database_url)
    await schema.apply(before, Declaration.parse({"table": BEFORE}))
    raw = await connected(before)
    await raw.execute(ROWS)
    await raw.close()
    template = before.rpartition("/")[2]

    straight = await made(admin, database_url, template)
    raw = await connected(straight)
    await raw.execute(FUSE)
    await blows(raw, straight, 0, way)
    await schema.apply(straight, WANTED, destructive=True)
    commands = await raw.fetchval("select last_value from fuse.burnt")
    await raw.execute(AWAY)
    goal = dumped(straight)
    kept = await rows(raw)
    await raw.close()

    for at in range(min(first, STRIDE), commands + 1, STRIDE):
        url = await made(admin, database_url, template)
        name = url.rpartition("/")[2]
        raw = await connected(url)
        await raw.execute(FUSE)
        await blows(raw, url, at, way)
        with pytest.raises(ApiError) as cut:
            await schema.apply(url, WANTED, destructive=True)
        await raw.execute(AWAY)
        await schema.apply(url, WANTED, destructive=True)
        left = await schema.plan(url, WANTED, destructive=True)
        same = dumped(url) == goal
        stored = await rows(raw)
        await raw.close()
        await admin.execute(f"drop database {name} with (force)")
        where = f"cut off at command {at} of {commands}: {cut.value}"
        assert ((), ()) == (left.steps, left.drift), where
        assert kept == stored, where
        assert same, where
    for url in (before, straight):
        name = url.rpartition("/")[2]
        await admin.execute(f"drop database {name} with (force)")
    await admin.close()

    assert commands > 30
