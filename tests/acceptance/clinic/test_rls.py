"""`schema rls`: the rules as policies of PostgreSQL find the same rows as Atom."""

import subprocess
import sys

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.clinic import ask, config, oracle, world
from tests.served import environment

ROLE = "reporting"


@pytest.fixture(scope="module")
def policies(tmp_path_factory, cluster, built):
    """What the command prints, for a role of its own."""
    assert built
    code = copied(
        tmp_path_factory.mktemp("rls"), config_clinic=config.text(config.declared())
    )
    done = subprocess.run(
        [sys.executable, "main.py", "schema", "rls", "--role", ROLE],
        cwd=code,
        env=environment({"config_postgres_url": cluster}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


async def answer(connection, user, role, query):
    """Return the rows of a query as a role, undone; `refused` when it may not."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        for setting in ("app.user_id", "atom.user_id"):
            await connection.execute(f"set local {setting} = '{user}'")
        await connection.execute(f"set local role {role}")
        return sorted(tuple(row) for row in await connection.fetch(query))
    except oracle.REFUSALS:
        return oracle.REFUSED
    finally:
        await transaction.rollback()


def test_same_rows_by_both_ways(clinic_api, with_clinic, policies):
    """Every user reads, changes and deletes the same rows of every table, by Atom's
    policies and by those written by hand; reads are what Atom answers, too.
    """

    async def compare(clinic):
        connection, seen = clinic.oracle.connection, 0
        await connection.execute(f"create role {ROLE} nologin")
        await connection.execute(policies)
        await connection.execute(policies)  # again: nothing is in its way
        for who, user in clinic.oracle.ids.items():
            for table in world.TABLES:
                drawn = ask.Ask(who, "my", "list", table)
                by_hand = await clinic.oracle.expect(drawn)
                sent = clinic.send(drawn)
                ids = f"select id from public.{table}"
                found = await answer(connection, user, ROLE, ids)
                if sent.status_code != 200:
                    assert oracle.REFUSED == by_hand == found, drawn
                    continue
                rows = sorted(row["id"] for row in sent.json()["message"])
                assert rows == sorted(row["id"] for row in by_hand), drawn
                assert rows == [row[0] for row in found], drawn
                seen += len(rows)
                await writes(connection, user, table)
        return seen

    async def writes(connection, user, table):
        column = {"booking": "reason", "note": "body", "slot": "state"}.get(
            table, "city"
        )
        column = {"patient": "phone", "invoice": "amount"}.get(table, column)
        update = f"update {{}}.{table} set {column} = {column} returning id"
        for verb, query in (
            ("update", update),
            ("delete", "delete from {}.{} returning id"),
        ):
            if verb == "delete" and table == "booking":
                continue  # a mark, which the policies leave to Atom
            hand = await answer(
                connection, user, f"oracle_my_{verb}", query.format("oracle", table)
            )
            ours = await answer(connection, user, ROLE, query.format("public", table))
            assert (hand, user, table, verb) == (ours, user, table, verb)

    assert with_clinic(clinic_api, compare) > 100


def test_a_row_that_a_check_refuses_is_refused(with_clinic, clinic_api, policies):
    """Inserts and updates: another tenant's, and another state than the preset."""
    assert policies

    async def insert(clinic):
        connection, ids = clinic.oracle.connection, clinic.oracle.ids
        into = "insert into public.slot (clinic_id, doctor_id, starts_at, state)"
        user = ids["desk_1"]
        outcomes = []
        for clinic_id, state in ((1, "open"), (2, "open"), (1, "closed")):
            row = f"{into} values ({clinic_id}, 1, '2031-01-01', '{state}') returning 1"
            outcomes.append(await answer(connection, user, ROLE, row))
        return outcomes

    assert [[(1,)], oracle.REFUSED, oracle.REFUSED] == with_clinic(clinic_api, insert)
