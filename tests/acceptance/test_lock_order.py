"""Two lists of the same rows in opposite order wait for one another in turn."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.operations import connected
from tests.acceptance.people import newcomer
from tests.served import serve

CONFIG = """
config_postgres_schema = {"table": {"counted": [
    "created_by_id-bigint-0-btree", "updated_at-timestamptz-0-0", "n-integer-0-0",
    {"name": "word", "datatype": "text", "unique": 1},
]}}
config_table = {"counted": {"my": "owner"}}
"""
FREE = "select id from counted where id = any($1) order by id for update skip locked"
ROWS = 40
ROUNDS = 125  # of four callers: 500 lists a way


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """Serve a table of forty rows."""
    code = copied(tmp_path_factory.mktemp("counted"), config_counted=CONFIG)
    with serve(code=code) as served:
        api = opened(served)
        api.ada = newcomer(api)
        rows = [{"word": f"w{n}", "n": 0} for n in range(ROWS)]
        path = "/my/object-create?table=counted"
        api.ids = api.message("POST", path, api.ada, json=rows)
        yield api
        api.http.close()


def many(api, places, n):
    body = [{"id": api.ids[place], "n": n} for place in places]
    return "PUT", "/my/object-update?table=counted", body


def by_ids(api, places, n):
    ids = ",".join(str(api.ids[place]) for place in places)
    body = {"table": "counted", "ids": ids, "column": "n", "value": n}
    return "PUT", "/my/ids-update", body


def merged(api, places, n):
    body = [{"word": f"w{place}", "n": n} for place in places]
    path = "/my/object-create?table=counted&on_conflict=word&mode=merge"
    return "POST", path, body


def ignored(api, places, n):
    body = [{"word": f"new {n} {place}", "n": n} for place in places]
    path = "/my/object-create?table=counted&on_conflict=word&mode=ignore"
    return "POST", path, body


def mixed(api, places, n):
    way = random.choice([many, by_ids, merged])
    return way(api, places, n)


@pytest.mark.parametrize("way", [many, by_ids, merged, ignored, mixed])
def test_opposite_orders_never_deadlock(counted, way):
    """Each answers 200, and every row has the value of one of them."""
    clients = [connected(counted.url) for _ in range(4)]

    def ask(number, n):
        places = list(range(ROWS))
        if number % 2:
            places.reverse()
        if number > 1:
            random.Random(n).shuffle(places)
        method, path, body = way(counted, places, n)
        headers = counted.ada.headers
        return clients[number].request(method, path, headers=headers, json=body)

    with ThreadPoolExecutor(4) as pool:
        for n in range(1, ROUNDS + 1):
            answers = list(pool.map(ask, range(4), [n] * 4))
            assert [200] * 4 == [each.status_code for each in answers], [
                each.text for each in answers
            ]
    for client in clients:
        client.close()
    assert "deadlock detected" not in counted.log.read_text()


def test_ids_are_answered_in_the_order_of_the_list(counted):
    """However the rows were locked."""
    places = list(range(ROWS))
    random.Random(7).shuffle(places)
    for way in (many, merged):
        method, path, body = way(counted, places, 7)
        found = counted.message(method, path, counted.ada, json=body)
        assert [counted.ids[place] for place in places] == found


def deleted(api, places, n):
    ids = ",".join(str(api.ids[place]) for place in places)
    return "DELETE", "/my/ids-delete", {"table": "counted", "ids": ids}


async def meanwhile(api, way, held, places):
    """Hold a row while rows are written. Return the answer, and what was free then."""
    holder = await asyncpg.connect(api.database)
    other = await asyncpg.connect(api.database)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("update counted set n = -1 where id = $1", api.ids[held])
    method, path, body = way(api, places, 9)
    asking = asyncio.create_task(
        asyncio.to_thread(api.call, method, path, api.ada, json=body)
    )
    waiting = "select count(*) from pg_locks where not granted"
    while not await other.fetchval(waiting):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # a wait of ten milliseconds is over
    assert await other.fetchval(waiting)
    free = await other.fetch(FREE, api.ids)
    await transaction.rollback()
    answer = await asking
    await holder.close()
    await other.close()
    return answer, [api.ids.index(row["id"]) for row in free]


@pytest.mark.parametrize("way", [many, by_ids, deleted])
def test_who_waits_holds_the_rows_with_smaller_keys_alone(counted, way):
    """So nobody who holds a greater one can wait for it: that is no deadlock."""
    rows = [{"word": f"{way.__name__} {n}", "n": 0} for n in range(10)]
    path = "/my/object-create?table=counted"
    ids = counted.message("POST", path, counted.ada, json=rows)
    before, counted.ids = counted.ids, ids
    try:
        writing = meanwhile(counted, way, 5, [9, 2, 7, 5, 0, 3])
        answer, free = asyncio.run(writing)
    finally:
        counted.ids = before

    assert 200 == answer.status_code, answer.text
    assert [1, 4, 6, 7, 8, 9] == free
