"""`POST /root/redis-import`: rows of a file under keys of their own."""

import gzip

import httpx2
import pytest
import redis

from tests.integration.near import free_port, valkey
from tests.served import serve


@pytest.fixture(scope="module")
def store():
    """The Redis of the server."""
    with valkey(free_port()) as url, redis.Redis.from_url(url) as client:
        client.url = url
        yield client


@pytest.fixture(scope="module")
def send(store):
    """Send a file as the operator."""
    with serve({"config_redis_url": store.url}) as served:
        bearer = {"Authorization": f"Bearer {served.config['config_key_root']}"}

        def send(text, name="x.csv", headers=bearer, **form):
            form = {"table": "drink", **form}
            return httpx2.post(
                f"{served.url}/root/redis-import",
                data=form,
                files={"file": (name, text)},
                headers=headers,
                timeout=30,
            )

        yield send


def keys(store, pattern="drink_*"):
    """Return the keys that were set."""
    return sorted(store.scan_iter(pattern))


def test_each_row_is_json_under_table_and_id(send, store):
    """A cell of CSV is text, an empty one null; JSON keeps every digit."""
    answer = send('id,title,note\n1,tea,\n2,"a, b",""\n', expiry_sec=100)

    assert {"status": 1, "message": "done"} == answer.json()
    assert [b"drink_1", b"drink_2"] == keys(store)
    assert b'{"id":"1","title":"tea","note":null}' == store.get("drink_1")
    assert b'{"id":"2","title":"a, b","note":""}' == store.get("drink_2")
    assert 90 < store.ttl("drink_1") <= 100

    line = b'{"id":1,"n":0.10000000000000000001}\n\n{"id":"b","x":{"$set":[1]}}\n'
    assert 200 == send(gzip.compress(line), "x.jsonl.gz").status_code
    assert b'{"id":1,"n":0.10000000000000000001}' == store.get("drink_1")
    assert b'{"id":"b","x":{"$set":[1]}}' == store.get("drink_b")
    assert -1 == store.ttl("drink_1")


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("title\ntea\n", "x.csv", "line 2: The row has no 'id'."),
        ("id,id\n1,1\n", "x.csv", "The header names 'id' twice."),
        ("id,a\n9,1\n,2\n", "x.csv", "line 3: The row has no 'id'."),
        ('{"id":9}\n{"id":9', "x.jsonl", "line 2: is not JSON (character 8)."),
        ('{"id":9}\n[]', "x.jsonl", "line 2: is not a JSON object"),
        ("", "x.csv", "The file is empty."),
        ("id\n9\n", "x.csv.gz", "The file is not a whole gzip file"),
    ],
)
def test_a_fault_stops_it_before_the_first_row(send, store, text, name, message):
    """The line is named."""
    answer = send(text, name)

    assert 400 == answer.status_code
    assert answer.json()["message"].startswith(message)
    assert "transfer.unreadable_file" == answer.json()["code"]
    assert b"drink_9" not in keys(store)


def test_a_large_file_is_set_whole(send, store):
    """In blocks."""
    text = "id,n\n" + "".join(f"{number},{number}\n" for number in range(5_000))

    assert 200 == send(text, table="bulk").status_code
    assert 5_000 == len(keys(store, "bulk_*"))
    assert b'{"id":"4999","n":"4999"}' == store.get("bulk_4999")


def test_what_is_refused(send):
    """Others than the operator, a table that is no name, a time that is none."""
    assert 401 == send("id\n1\n", headers={}).status_code
    assert 400 == send("id\n1\n", table="a:b").status_code
    assert 422 == send("id\n1\n", expiry_sec=0).status_code


def test_without_redis_the_key_is_named():
    """503, with the cure."""
    with serve({"config_redis_url": "redis://127.0.0.1:1/0"}) as served:
        answer = httpx2.post(
            f"{served.url}/root/redis-import",
            data={"table": "a"},
            files={"file": ("x.csv", "id\n1\n")},
            headers={"Authorization": f"Bearer {served.config['config_key_root']}"},
        )

    assert (503, "client.silent") == (answer.status_code, answer.json()["code"])
    assert "config_redis_url" in answer.json()["hint"]
