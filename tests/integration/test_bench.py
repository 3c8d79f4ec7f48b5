"""The bench's two sides on one small database: they answer alike, and write alike.

What wrk would press again and again is asked once here, so that it need not be there.
"""

import asyncio

import pytest

from bench import bulk, event, growth, row, table, transfer
from bench.load import Request
from bench.scene import ask, database, own_cores, staged
from tests import machine

ROWS = 2000


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Atom and the app by hand, the tables filled."""
    folder = tmp_path_factory.mktemp("bench")
    with database(folder / "database") as url:
        with staged(folder, url, own_cores()) as scene:
            asyncio.run(table.fill(url, ROWS))
            asyncio.run(table.written(url, folder / "rows.csv"))
            yield scene


def test_both_sides_answer_alike(scene):
    """Every row that wrk measures; the far page by cursor is found on the way."""
    rows = [*row.everyday(scene), *row.deep(scene, ROWS), *event.rows(scene)]

    for each in rows:
        each.check()

    there = 15 if scene.fastify is None else 16  # Node, or a registry, may be absent
    assert there == len({each.name for each in rows})


@machine.with_proc()
@pytest.mark.parametrize("program", ["psql", "asyncpg"])
def test_both_sides_write_and_export_alike(scene, monkeypatch, program):
    """Lists, import and export; with and without a psql on the machine."""
    if program == "asyncpg":
        monkeypatch.setattr(transfer, "psql", lambda: None)
    rows = list(bulk.rows(scene, ROWS, scene.folder / "rows.csv"))

    for each in rows:
        each.check()
    counts = [side(1) for each in rows[1:] for side in (each.atom, each.other)]

    assert [1, 1, 1, 1] == [count.requests for count in counts]
    assert rows[0].other(1).requests > 0
    assert ("psql" in rows[1].against) is (program == "psql")


def test_a_larger_server_answers_what_a_smaller_one_does(tmp_path):
    """More tables and more routes, half of them templates, hide none of Atom's own."""
    with growth.served(tmp_path / "large", own_cores(), 12, 50) as server:
        answers = [ask(server.url, Request(path)) for _, path in growth.READS]
        routes = growth.routes(server)

    assert answers[0] == answers[1]
    assert 10 == len(answers[0]["message"])
    assert routes >= 100
