"""What a rule takes of its caller by `:claim_…` is what the row of users holds now."""

import secrets

import pytest
from websockets.sync.client import connect

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.operations import eventually, hands
from tests.acceptance.people import newcomer
from tests.acceptance.stream_reader import Reader
from tests.served import serve

CONFIG = """
config_token_key_list = ["id", "is_active", "api_access", "level", "place", "staff"]
config_postgres_schema = {"table": {
    "users": ["level-bigint-0-0", "place-jsonb-0-0", "staff-boolean-0-0",
              "points-bigint-0-0"],
    "paper": ["level-bigint-1-0", "place_id-bigint-0-0", "title-text-0-0"],
}}
config_table = {"paper": {"my": {
    "read": "level <= :claim_level::bigint"
            " or place_id in (select x::bigint from"
            " jsonb_array_elements_text(coalesce(:claim_place::jsonb, '[]')) as e(x))",
    "update": {"where": ":claim_staff = 'true'", "column": ["title"]},
}}}
config_stream_table_list = ["paper"]
config_api = {"/my/object-read": {"cache_sec": ["inmemory", 600]}}
config_rpc = {"GET /my/claim": {"sql": "select :claim_level::bigint as level"}}
"""
DROP_IN = """
import os

from extend import *

router = APIRouter()


@router.get("/ops/pid")
async def pid():
    return os.getpid()


@router.get("/my/level")
async def level(request: Request):
    return {"level": request.state.user["level"]}


@router.websocket("/private/level")
async def told(socket: WebSocket):
    await socket.accept()
    while True:
        await socket.receive_text()
        await socket.send_json(socket.state.user["level"])
"""
WORKERS = 2
LIST = "/my/rows/paper?column=id&order=id"
CACHED = "/my/object-read?table=paper&column=id&order=id"


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """Papers of three levels, served by two workers."""
    code = copied(
        tmp_path_factory.mktemp("office"), router_office=DROP_IN, config_office=CONFIG
    )
    with serve({"config_workers": str(WORKERS)}, code=code) as served:
        api = opened(served)
        api.sql(
            "insert into paper (level, place_id, title)"
            " select x, x * 10, 'paper ' || x from generate_series(1, 3) x"
        )
        yield api
        api.http.close()


@pytest.fixture(scope="module")
def workers(office):
    """A connection to each worker."""
    with hands(office.url, WORKERS) as found:
        yield found


def seen(workers, who, path=LIST):
    """Return the ids of papers that a person reads at each worker."""
    found = []
    for hand in workers:
        answer = hand.ask(path, who)
        assert 200 == answer.status_code, answer.text
        found.append([row["id"] for row in answer.json()["message"]])
    return found


def test_a_rule_follows_the_row_on_every_worker(office, workers):
    """After plain SQL, an admin's update, and a trigger of one's own; cached or not."""
    person, admin = (
        newcomer(office, level=1),
        newcomer(office, api_access="1,2,3,4,5,6"),
    )
    for path in (LIST, CACHED):
        assert [[1]] * WORKERS == seen(workers, person, path)
    office.sql("update users set level = 3 where id = $1", person.id)
    eventually(lambda: [[1, 2, 3]] * WORKERS == seen(workers, person), 5)
    assert [[1, 2, 3]] * WORKERS == seen(workers, person, CACHED)
    body = {"id": person.id, "level": 2}
    office.message("PUT", "/admin/object-update?table=users", admin, json=body)
    eventually(lambda: [[1, 2]] * WORKERS == seen(workers, person), 5)
    for hand in workers:
        assert 2 == hand.ask("/my/level", person).json()["level"]
        rows = hand.ask("/my/claim", person).json()["message"]
        assert [{"level": 2}] == rows
    office.sql(
        "create function demote() returns trigger language plpgsql as"
        " 'begin new.level := 0; return new; end'"
    )
    office.sql(
        "create trigger demote before update of points on users for each row"
        " execute function demote()"
    )
    office.sql("update users set points = 1 where id = $1", person.id)
    eventually(lambda: [[]] * WORKERS == seen(workers, person), 5)


def test_a_claim_that_is_a_list_or_a_boolean_is_read_as_json(office, workers):
    person = newcomer(office, level=0)
    office.sql(
        "update users set place = '[20, 30]', staff = true where id = $1", person.id
    )
    eventually(lambda: [[2, 3]] * WORKERS == seen(workers, person), 5)
    answer = office.call(
        *("PATCH", "/my/rows/paper/2", person), json={"title": secrets.token_hex(4)}
    )
    assert 200 == answer.status_code, answer.text
    office.sql("update users set staff = false where id = $1", person.id)

    def refused():
        body = {"title": secrets.token_hex(4)}
        answer = office.call("PATCH", "/my/rows/paper/2", person, json=body)
        return 404 == answer.status_code

    eventually(refused, 5)


def test_what_is_open_follows_it_too(office, workers):
    """A stream is asked to read again, and sends what the row lets it now."""
    person = newcomer(office, level=1)
    url = office.url.replace("http", "ws") + "/private/level"
    socket = connect(url, additional_headers=person.headers)
    stream = Reader(office.url, "/my/rows/paper/stream?column=id,title", person.headers)
    with stream, socket:
        socket.send("")
        assert "1" == socket.recv(5)
        office.sql("update users set level = 3 where id = $1", person.id)
        eventually(lambda: [1, 3] == followed(office, stream))
        assert "reset" in stream.names
        eventually(lambda: "3" == level(socket))
        office.sql("update users set level = 1 where id = $1", person.id)
        eventually(lambda: [1] == followed(office, stream))
        eventually(lambda: "1" == level(socket))


def followed(office, stream):
    """Return which papers a stream shows of those that change now, 1 as the last."""
    word, resets = secrets.token_hex(4), stream.names.count("reset")
    for number in (3, 1):
        office.sql("update paper set title = $1 where id = $2", word, number)
    stream.until(
        lambda: (
            {"id": 1, "title": word} in stream.data()
            or resets < stream.names.count("reset")
        )  # and what changed before is not sent
    )
    return sorted(row["id"] for row in stream.data() if row["title"] == word)


def level(socket):
    """Return the claim as a socket's route sees it now."""
    socket.send("")
    return socket.recv(5)


def test_an_admin_writes_no_claim_of_their_own(office):
    """By no way of the row routes; another column, and those of others, they do."""
    admin = newcomer(office, api_access="1,2,3,4,5,6", level=1)
    other = newcomer(office, level=1)
    merge = "/admin/object-create?table=users&on_conflict=type,username&mode=merge"
    ids = {"table": "users", "column": "level"}
    for who, level in ((admin, 1), (other, 3)):
        for at, (method, path, body) in enumerate(
            (
                ("PUT", "/admin/object-update?table=users", {"id": who.id}),
                ("PUT", "/admin/object-update?table=users", [{"id": who.id}]),
                ("PATCH", f"/admin/rows/users/{who.id}", {}),
                ("POST", merge, {"type": 1, "username": who.username}),
            )
        ):
            rows = body if isinstance(body, list) else [body]
            for row in rows:
                row["level"] = 3
            answer = office.call(method, path, admin, json=body)
            expected = 200 if who is other else 409 if method == "POST" else 404
            assert expected == answer.status_code, (at, answer.text)
        body = {**ids, "ids": str(who.id), "value": 3}
        count = office.message("PUT", "/admin/ids-update", admin, json=body)
        assert (who is other) == bool(count)
        (found,) = office.sql("select level from users where id = $1", who.id)
        assert level == found["level"]
    body = {"id": admin.id, "points": 4}
    office.message("PUT", "/admin/object-update?table=users", admin, json=body)
