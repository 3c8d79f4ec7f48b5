"""An answer has a largest size, and what is beyond it costs no memory."""

import pytest

from tests import machine
from tests.acceptance.conftest import opened
from tests.acceptance.people import newcomer
from tests.account_setup import execute
from tests.served import serve

MILLION = 1_000_000
MIB = 2**20
FILL = """
insert into test (title, description, created_by_id)
select 't', repeat('x', 1000000), {owner} from generate_series(1, 200);
insert into test (title, description, created_by_id)
select 'wide', repeat('y', 100000), {owner} from generate_series(1, 100);
insert into test (title, metadata, created_by_id)
select 'packed', jsonb_build_object('a', repeat('z', 1000000)), {owner}
from generate_series(1, 200);
insert into test (title, created_by_id) select 'small', {owner}
from generate_series(1, 1000);
"""


@pytest.fixture(scope="module")
def large():
    """Serve rows of a million letters."""
    with serve({"config_limit_read_max": "2000"}) as served:
        api = opened(served)
        api.ada = newcomer(api, api_access="1,2,3,4,5,6")
        execute(api.database, FILL.format(owner=api.ada.id))
        yield api
        api.http.close()


def highest(pid):
    """Return the most memory a process has ever had, in MiB."""
    status = machine.proc(f"{pid}/status").read_text()
    (line,) = [each for each in status.splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def backends(api):
    """Return the processes of the database that serve it."""
    text = "select pid from pg_stat_activity where application_name = 'atom'"
    return [row["pid"] for row in api.sql(text)]


@pytest.mark.parametrize(
    "query",
    [
        "title==,t&limit=200",
        "title==,t&limit=200&cursor=",
        "title==,t&limit=200&is_count=1",
        "title==,packed&limit=200",
        "title==,packed&limit=1000&column=metadata",
        "title==,t&limit=200&order=description",
        "group_by=description,id&title==,t&aggregate=count&limit=200",
        "limit=2000",
    ],
)
@pytest.mark.parametrize("path", ["/public/object-read", "/my/rows/test"])
def test_too_large_is_refused_and_costs_no_memory(large, path, query):
    """The server never sees the rows, and the database never has them all at once."""
    pids, before = backends(large), highest(large.process.pid)

    table = "" if "rows" in path else "table=test&"
    answer = large.call("GET", f"{path}?{table}{query}", large.ada)

    assert (422, "answer.too_large") == (answer.status_code, answer.json()["code"])
    assert "limit=" in answer.json()["hint"]
    assert highest(large.process.pid) - before < 20
    for pid in {*pids, *backends(large)}:
        assert highest(pid) < 300


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("title==,t&limit=20", 20),
        ("title==,wide&limit=1000", 100),  # each row has more than its share
        ("title==,wide&limit=1000&cursor=", 100),
        ("title==,t&limit=200&column=id", 200),
        ("title==,small&limit=1000", 1000),
    ],
)
def test_what_fits_is_answered(large, query, rows):
    """Also where a few rows are large, and asked for again."""
    for _ in range(2):
        found = large.message("GET", f"/public/object-read?table=test&{query}")
        assert rows == len(found)


def test_children_of_a_relation_count(large):
    """Each list of children is bounded like the rows themselves."""
    query = f"table=users&id==,{large.ada.id}&relation=test.created_by_id(*):100"
    answer = large.call("GET", f"/admin/object-read?{query}", large.ada)
    assert 200 == answer.status_code, answer.text  # the newest are small

    execute(large.database, "update test set description = repeat('x', 1000000)"
            " where title = 'small'")  # fmt: skip
    answer = large.call("GET", f"/admin/object-read?{query}&limit=2", large.ada)
    assert (422, "answer.too_large") == (answer.status_code, answer.json()["code"])
    for pid in backends(large):
        assert highest(pid) < 300


def test_the_limit_is_a_key_of_config():
    """config_answer_max_mb."""
    with serve({"config_answer_max_mb": "1"}) as served:
        api = opened(served)
        ada = newcomer(api)
        rows = [{"title": "t", "description": "x" * 300_000}] * 3
        for row in rows:
            api.message("POST", "/my/object-create?table=test", ada, json=row)
        assert 3 == len(api.message("GET", "/my/object-read?table=test", ada))
        api.message("POST", "/my/object-create?table=test", ada, json=rows[0])
        answer = api.call("GET", "/my/object-read?table=test", ada)
        assert (422, "answer.too_large") == (answer.status_code, answer.json()["code"])
        api.http.close()
