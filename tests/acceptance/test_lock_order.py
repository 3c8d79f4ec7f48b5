"""Two lists of the same rows in opposite order wait for one another in turn."""

import random
from concurrent.futures import ThreadPoolExecutor

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
