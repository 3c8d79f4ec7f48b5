"""Row events, as triggers write them: by any statement of any role."""

import json
from dataclasses import replace

import pytest

from atom.config.keys import KEYS
from atom.event.declaration import declared
from atom.event.row_event import triggers
from atom.schema import apply as schema
from atom.schema.apply import Declaration
from tests.integration.near import connected, database_url, fresh_database

__all__ = ["database_url"]

TABLES = {
    "room": ["code-text-0-0", "password_hint-text-0-0", "otp-text-0-0"],
    "guest": ["name-text-0-0", "gone-boolean-0-0", "made-text-0-0"],
    "stay": ["room_id-bigint-0-0", "left_at-timestamptz-0-0"],
}
EVENTS = {
    "room": ("created", "updated", "deleted"),
    "guest": ("created", "deleted"),
    "stay": ("deleted",),
}
SOFT = {"guest": {"soft_delete": "gone"}, "stay": {"soft_delete": "left_at"}}


def declaration(events=EVENTS, target="handler", tables=TABLES):
    """Return the tables, with the triggers of these events."""
    config = {key.name: key.default for key in KEYS} | {
        "config_event": {
            f"row.{table}.{verb}": {"target": target}
            for table, verbs in events.items()
            for verb in verbs
        },
        "config_postgres_schema": {"table": tables},
        "config_table": SOFT,
    }
    problems = []
    found = declared(config, problems)
    assert [] == problems
    parsed = Declaration.parse({"table": tables})
    return replace(parsed, row_triggers=triggers(found))


@pytest.fixture
async def url(database_url):
    async with fresh_database(database_url) as address:
        await schema.apply(address, declaration())
        yield address


@pytest.fixture
async def raw(url):
    connection = await connected(url)
    yield connection
    await connection.close()


async def written(raw):
    """Take the events out: type, id, payload."""
    rows = await raw.fetch("delete from atom.outbox returning *")
    return [
        (row["event_type"], row["aggregate_id"], json.loads(row["payload"]))
        for row in sorted(rows, key=lambda row: row["id"])
    ]


async def test_a_second_plan_is_empty_and_an_event_taken_out_takes_its_trigger(
    url, raw
):
    """Nothing is made twice; what is no longer declared writes nothing."""
    plan = await schema.plan(url, declaration())
    assert () == plan.steps
    await schema.apply(url, declaration({"room": ("deleted",)}))
    await raw.execute("insert into room (code) values ('a')")
    await raw.execute("insert into guest (name) values ('a')")
    assert [] == await written(raw)
    await raw.execute("delete from room")
    assert ["row.room.deleted"] == [name for name, *_ in await written(raw)]


async def test_other_targets_are_another_trigger(url, raw):
    """Made by the next apply."""
    await schema.apply(url, declaration(target=["handler", "kafka"]))
    await raw.execute("insert into room (code) values ('a')")
    rows = await raw.fetch("select target, event_id from atom.outbox order by target")

    assert ["handler", "kafka"] == [row["target"] for row in rows]
    assert 1 == len({row["event_id"] for row in rows})


async def test_one_statement_over_many_rows_is_an_event_for_each(raw):
    """In the order of the rows; an update that changes nothing is left out."""
    await raw.execute(
        "insert into room (code) select 'c' || n from generate_series(1, 500) n"
    )
    events = await written(raw)
    assert [f"c{n}" for n in range(1, 501)] == [e[2]["row"]["code"] for e in events]
    assert [str(e[2]["row"]["id"]) for e in events] == [e[1] for e in events]
    await raw.execute(
        "update room set code = code || case when id % 2 = 0 then 'x' else '' end"
    )
    events = await written(raw)
    assert 250 == len(events)
    for name, row_id, payload in events:
        assert "row.room.updated" == name
        assert payload["row"]["code"] == payload["old"]["code"] + "x"
        assert row_id == str(payload["row"]["id"])
    await raw.execute("delete from room where id % 100 = 0")
    assert 5 == len(await written(raw))


async def test_secret_columns_are_in_no_payload(raw):
    """Those of config, and any with password in its name; not as old values either."""
    await raw.execute(
        "insert into room (code, otp, password_hint) values ('a','b','c')"
    )
    await raw.execute("update room set otp = 'd', password_hint = 'e'")
    await raw.execute("update room set otp = 'f', code = 'g'")
    await raw.execute("delete from room")
    events = await written(raw)

    names = ["row.room.created", "row.room.updated", "row.room.deleted"]
    assert names == [name for name, *_ in events]
    assert {"code", "id"} == set(events[0][2]["row"])
    assert {"code": "a"} == events[1][2]["old"]


async def test_an_upsert_is_what_it_did(raw):
    """Created where it added a row, updated where it changed one, nothing else."""
    await raw.execute("create unique index on room (code)")
    await raw.execute("insert into room (code) values ('a'), ('b')")
    await written(raw)
    await raw.execute(
        "insert into room (code) values ('a'), ('c') on conflict (code) do nothing"
    )
    assert [("row.room.created", "c")] == [
        (name, payload["row"]["code"]) for name, _, payload in await written(raw)
    ]
    await raw.execute(
        "insert into room (code) values ('b'), ('d')"
        " on conflict (code) do update set code = excluded.code || '!'"
    )
    assert {("row.room.created", "d"), ("row.room.updated", "b!")} == {
        (name, payload["row"]["code"]) for name, _, payload in await written(raw)
    }


@pytest.mark.parametrize(
    ("table", "mark", "unmark"),
    [
        ("guest", "gone = true", "gone = false"),
        ("stay", "left_at = now()", "left_at = null"),
    ],
)
async def test_a_mark_of_deletion_is_a_deletion(raw, table, mark, unmark):
    """Once, also when it is marked again; a mark that is taken off is an update, which
    neither table declares."""
    values = "(name) values ('a')" if table == "guest" else "(room_id) values (1)"
    await raw.execute(f"insert into {table} {values}")
    await written(raw)
    for change in (mark, mark, unmark):
        await raw.execute(f"update {table} set {change}")
    key = await raw.fetchval(f"select id::text from {table}")

    assert [(f"row.{table}.deleted", key)] == [e[:2] for e in await written(raw)]
    await raw.execute(f"update {table} set {mark}")
    await raw.execute(f"delete from {table}")
    assert 2 == len(await written(raw))


async def test_a_role_without_rights_on_the_outbox_writes_events_as_well(url, raw):
    """The trigger has the rights of its owner; the role reads nothing of it."""
    await raw.execute("create role clerk; grant insert on room to clerk")
    await raw.execute("grant usage on all sequences in schema public to clerk")
    try:
        async with raw.transaction():
            await raw.execute("set local role clerk")
            await raw.execute("insert into room (code) values ('a')")
            await raw.execute("reset role")
        assert ["row.room.created"] == [name for name, *_ in await written(raw)]
    finally:
        await raw.execute("drop owned by clerk; drop role clerk")


async def test_a_rollback_leaves_none(raw):
    """The event is part of the statement."""
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute("insert into room (code) values ('a')")
    await transaction.rollback()

    assert [] == await written(raw)
