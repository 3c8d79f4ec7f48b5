"""A column of datatype file in a declaration: made, renamed, and no other for it."""

from dataclasses import replace

import pytest

from atom.config.keys import KEYS
from atom.errors import ConfigError
from atom.file import triggers
from atom.schema import apply as schema
from atom.schema.declaration import Declaration
from tests.integration.near import connected, database_url, fresh_database

__all__ = ["database_url"]

FILE = (
    "insert into atom.file (user_id, store, bucket, key, name, media_type, size,"
    " stored_at) values (7, 'local', 'local', $1, 'a.png', 'image/png', 9, now())"
    " returning id"
)


def declared(*lines):
    """Return a declaration with the triggers of its files."""
    config = {key.name: key.default for key in KEYS}
    config |= {"config_postgres_schema": {"table": {"paper": list(lines)}}}
    found = Declaration.parse(config["config_postgres_schema"])
    return replace(found, row_triggers=triggers(config))


@pytest.fixture
async def url(database_url):
    """The address of an empty database."""
    async with fresh_database(database_url) as fresh:
        yield fresh


async def settled(url, wanted):
    """Apply, and see that nothing is left to do and nothing differs."""
    await schema.apply(url, wanted)
    left = await schema.plan(url, wanted)
    assert ((), (), ()) == (left.steps, left.drift, left.refusals)


async def test_renamed_column_keeps_its_files(url):
    """The record of a file follows; the column goes on to let files go."""
    long = "s" * 60
    await settled(url, declared("scan-file-0-btree", f"{long}-file-0-0"))
    raw = await connected(url)
    try:
        file_id, other = await raw.fetchval(FILE, "a"), await raw.fetchval(FILE, "b")
        insert = f"insert into paper (scan, {long}) values ($1, $2)"
        await raw.execute(insert, file_id, other)
        renamed = {"name": "picture", "datatype": "file", "old": "scan"}
        await settled(url, declared({**renamed, "index": "btree"}, f"{long}-file-0-0"))
        names = "select column_name, orphaned_at from atom.file where id = $1"
        assert ("picture", None) == tuple(await raw.fetchrow(names, file_id))
        assert (long, None) == tuple(await raw.fetchrow(names, other))
        await raw.execute("delete from paper")
        left = "select count(*) from atom.file where orphaned_at is null"
        assert 0 == await raw.fetchval(left)
    finally:
        await raw.close()


async def test_column_that_was_a_uuid_becomes_one_of_files(url):
    """And back: the triggers go, nothing else."""
    await settled(url, declared("scan-uuid-0-0"))
    await settled(url, declared("scan-file-0-0"))
    await settled(url, declared("scan-uuid-0-0"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"max_kb": "many"}, "'max_kb' is a whole number"),
        ({"max_kb": -1}, "'max_kb' is a whole number"),
        ({"max_kb": True}, "'max_kb' is a whole number"),
        ({"media": "image/*"}, "'media' is a list"),
        ({"media": ["image"]}, "'image' is not such as image/*"),
        ({"media": ["image/%"]}, "'image/%' is not such as image/*"),
        ({"media": ["x/y'; drop"]}, "is not such as image/*"),
        ({"default": "x"}, "unknown key 'default'"),
        ({"unique": 1}, "unknown key 'unique'"),
        ({"meda": ["image/*"]}, "'media'"),
        ({"index": "gin"}, "gin"),
        ({"datatype": "uuid", "media": ["image/*"]}, "unknown key 'media'"),
    ],
)
def test_bad_entry_is_named_at_start(more, words):
    """What cannot be meant."""
    with pytest.raises(ConfigError) as caught:
        declared({"name": "scan", "datatype": "file", **more})

    assert words in caught.value.problems[0]
