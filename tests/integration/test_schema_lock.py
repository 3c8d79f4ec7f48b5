"""What a plan says of each step is what PostgreSQL does: lock, rewrite, scan."""

import asyncio
import re

import pytest

from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from tests.integration.near import connected, database_url, fresh_database
from tests.integration.test_schema import columns

__all__ = ["database_url"]

BEFORE = {
    "users": ["name-text-0-0"],
    "test": [
        "old-text-0-btree",
        "title-text-0-btree",
        "plain-text-0-0",
        "gone-text-0-0",
        "age-int-0-btree",
        "boss_id-bigint-0-0",
        "was-text-1-0",
        {"name": "code", "datatype": "text", "regex": "^a", "unique": 1},
        {"name": "rank", "datatype": "int", "check": "rank > 0", "default": 5},
    ],
}
AFTER = {
    "users": ["name-text-0-0", "is_active-smallint-0-0"],
    "test": [
        "created_at-timestamptz-1-0",
        "updated_at-timestamptz-0-0",
        {"name": "fresh", "datatype": "text", "old": "old", "index": "btree"},
        "title-text-1-hash",
        "plain-text-0-0",
        "age-bigint-0-btree",
        {"name": "boss_id", "datatype": "bigint", "references": "users"},
        "was-text-0-0",
        {"name": "code", "datatype": "text", "regex": "^[ab]", "unique": 1},
        {"name": "rank", "datatype": "int", "default": 6},
        {"name": "key", "datatype": "uuid", "default": "gen_random_uuid()"},
        {"name": "kind", "datatype": "text", "default": "a", "in": ["a", "b"]},
        "is_protected-smallint-0-0",
        {"index": "code,kind", "unique": 1},
    ],
    "extra": ["a-int-0-btree"],
}
ROWS = """
insert into users (name) values ('a');
insert into test (title, plain, age, boss_id, was, code)
select 't', 'p', i, 1, 'w', 'a' || i from generate_series(1, {count}) i; analyze;
"""
STRENGTH = (
    *("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE"),
    *("SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"),
)
HELD = """
select coalesce(array_agg(distinct mode), '{}') from pg_locks
where pid = $1 and granted and locktype = 'relation'
  and relation = any ($2::oid[])
"""
FILES = "select relfilenode from pg_class where oid = $1::regclass"
SCANS = "select pg_stat_get_xact_numscans($1::regclass)"


def words(mode):
    """Say a mode of pg_locks as the manual does."""
    plain = mode.removesuffix("Lock")
    spaced = "".join(f" {letter}" if letter.isupper() else letter for letter in plain)
    return spaced.strip().upper()


def strongest(modes):
    """Return the strongest of some modes, "" for none that keeps anybody out."""
    found = max((STRENGTH.index(words(mode)) for mode in modes), default=0)
    return STRENGTH[found] if found > STRENGTH.index("ROW EXCLUSIVE") else ""


async def taken(url, raw, other, step):
    """Run a step. Return its lock, whether it rewrites and whether it scans."""
    pid, table = raw.get_server_pid(), step.table
    index = re.match('alter index "public"."(.*?)"', step.sql)
    locked = index[1] if index else table
    relations = [await raw.fetchval("select $1::regclass::oid", locked)]
    if "concurrently" not in step.sql:
        file = await raw.fetchval(FILES, table)
        async with raw.transaction():
            before = await raw.fetchval(SCANS, table)
            await raw.execute(step.sql)
            scans = await raw.fetchval(SCANS, table) > before
            held = await raw.fetchval(HELD, pid, relations)
            rewritten = file != await raw.fetchval(FILES, table)
        return strongest(held), rewritten, scans
    # What runs in no transaction is held up by a reader, and looked at meanwhile.
    reader = await connected(url)
    await reader.execute(f"begin; lock {table} in row exclusive mode")
    work = asyncio.create_task(raw.execute(step.sql))
    held = []
    async with asyncio.timeout(20):
        while not strongest(held):
            held = await other.fetchval(HELD, pid, relations)
            assert not work.done()
    await reader.execute("commit")
    await reader.close()
    await work
    return strongest(held), False, "create" in step.sql


@pytest.mark.parametrize("count", [20, 20_000])
async def test_every_step_does_what_the_plan_says(database_url, count):
    """Of every kind of step, on a small and on a large table."""
    declared = Declaration.parse({"table": AFTER, "query": {"q": "select 1"}})
    kinds = set()
    wrong = []
    async with fresh_database(database_url) as url:
        await schema.apply(url, Declaration.parse({"table": BEFORE}))
        raw, other = await connected(url), await connected(url)
        await raw.execute(ROWS.format(count=count))
        planned = await schema.plan(url, declared, destructive=True)
        for step in planned.steps:
            kinds.add(step.kind)
            is_there = step.table and await raw.fetchval(
                "select to_regclass('public.' || $1) is not null", step.table
            )
            if not is_there or step.kind == "query":
                await raw.execute(step.sql)
                continue
            told = (step.lock, step.rewrite, step.scan)
            found = await taken(url, raw, other, step)
            if told != found:
                wrong.append((step.sql, told, found))
        await raw.close()
        await other.close()
        left = await schema.plan(url, declared, destructive=True)

    assert [] == wrong
    assert {"table", "column", "null", "index", "default", "trigger"} <= kinds
    assert {"constraint", "query"} <= kinds
    assert {"query"} == {step.kind for step in left.steps}


async def test_a_long_reader_holds_nobody_else_up(database_url):
    """While a change waits for one, others read; and it is made once that one ends."""
    async with fresh_database(database_url) as url:
        await schema.apply(url, Declaration.parse({"table": {"test": []}}))
        reader, other = await connected(url), await connected(url)
        await reader.execute("begin; select count(*) from test")
        wanted = Declaration.parse({"table": {"test": ["title-text-0-0"]}})
        change = asyncio.create_task(schema.apply(url, wanted))
        waits = "select count(*) from pg_locks where not granted"
        async with asyncio.timeout(20):
            while not await other.fetchval(waits):
                await asyncio.sleep(0.01)
        # Queued behind the change now; answered when it gives way for a while.
        await asyncio.wait_for(other.fetchval("select count(*) from test"), 20)
        waited = not change.done()
        await reader.execute("commit")
        await asyncio.wait_for(change, 60)
        made = await columns(other, "test")
        await reader.close()
        await other.close()

    assert waited
    assert {"id", "title"} == made


RULED = {"datatype": "bigint", "in": [1, 2], "references": "test", "unique": 1}


async def test_two_declarations_at_once_are_both_made(database_url):
    """One after the other; neither undoes what the other has declared."""
    async with fresh_database(database_url) as url:
        each = [
            {
                "test": ["a-int-0-btree", {"name": "e", **RULED}],
                "one": ["x-int-0-btree"],
            },
            {
                "test": ["b-int-0-btree", {"name": "f", **RULED}],
                "two": ["x-int-0-btree"],
            },
        ]
        declared = [Declaration.parse({"table": tables}) for tables in each]
        async with asyncio.timeout(60):
            await asyncio.gather(*(schema.apply(url, one) for one in declared))
        left = [(await schema.plan(url, one)).steps for one in declared]
        raw = await connected(url)
        made = await columns(raw, "test")
        await raw.close()

    assert [(), ()] == left
    assert {"id", "a", "b", "e", "f"} == made
