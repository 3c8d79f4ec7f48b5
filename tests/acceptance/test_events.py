"""Events: written with the work they are about, for every way a row is written."""

import json

import pytest

from tests.acceptance.conftest import serving

CONFIG = """
config_postgres_schema = {"table": {
    "booking": [
        "created_by_id-bigint-0-btree", "updated_by_id-bigint-0-0",
        "updated_at-timestamptz-0-0", "code-text-0-0", "price-numeric(10,2)-0-0",
        "detail-jsonb-0-0", "password-text-0-0", "otp-text-0-0",
    ],
    "task": ["created_by_id-bigint-0-btree", "title-text-0-0",
             "is_deleted-smallint-0-0"],
    "plain": ["created_by_id-bigint-0-btree", "code-text-0-0"],
}, "query": {
    "booking_code": "alter table booking add constraint unique_booking_code"
                    " unique (code)",
}}
config_table = {
    "booking": {"my": {"read": "owner", "create": "owner", "update": "owner",
                       "delete": "owner"}},
    "task": {"soft_delete": "is_deleted", "my": "owner"},
    "plain": {"my": "owner"},
}
config_event = {
    "row.booking.created": {"target": "kafka"},
    "row.booking.updated": {"target": ["kafka", "sns"], "topic": "arn"},
    "row.booking.deleted": {"target": ["kafka"]},
    "row.task.deleted": {"target": ["kafka"]},
    "user.created": {"target": ["kafka", "redis"], "retry": [1]},
}
config_is_outbox = 0
"""
ROUTER = """
from fastapi import APIRouter, Request
from function import function_event, function_transaction

router = APIRouter()


@router.post("/publish")
async def publish(request: Request):
    body = await request.json()
    name = body.pop("name")
    how, ends = body.pop("how", "app"), body.pop("ends", "commit")
    state = request.app.state
    if how == "pool":
        async with state.client_postgres_asyncpg_pool.acquire() as raw:
            async with raw.transaction():
                return {"status": 1, "message": await function_event(raw, name, **body)}
    source = {"app": request.app, "request": request,
              "client": state.client_postgres,
              "asyncpg": state.client_postgres_asyncpg}[how]
    try:
        async with function_transaction(request.app):
            made = await function_event(source, name, **body)
            sql = "select count(*) from atom.outbox where event_id = :id ::uuid"
            seen = await state.client_postgres.fetch_val(sql, {"id": made})
            if ends == "rollback":
                raise RuntimeError("undone")
    except RuntimeError:
        return {"status": 1, "message": made}
    return {"status": 1, "message": made, "seen": seen}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A server with events that nothing delivers."""
    folder = tmp_path_factory.mktemp("events")
    files = {"config_events": CONFIG, "router_events": ROUTER}
    with serving(folder, **files) as running:
        yield running


@pytest.fixture(scope="module")
def eve(shop):
    return shop.person()


@pytest.fixture
def written(shop):
    """Return the events that were written since the last call, in order."""
    last = shop.sql("select coalesce(max(id), 0) as id from atom.outbox")[0]["id"]

    def read(target="kafka"):
        nonlocal last
        text = "select * from atom.outbox where id > $1 and target = $2 order by id"
        found = shop.sql(text, last, target)
        last = shop.sql("select coalesce(max(id), 0) as id from atom.outbox")[0]["id"]
        for each in found:
            each["payload"] = json.loads(each["payload"])
            each["metadata"] = json.loads(each["metadata"])
        return found

    return read


def brief(events):
    """What is looked at first: the type, the row it is about, and who wrote it."""
    return [
        (each["event_type"], each["aggregate_id"], each["metadata"].get("user_id"))
        for each in events
    ]


def create(shop, who, table="booking", query="", **row):
    path = f"/my/object-create?table={table}{query}"
    return shop.message("POST", path, who, json=row)


class TestRowEvents:
    """Row routes write them without code, in the transaction of the write."""

    def test_a_create_is_an_event_with_the_row_as_stored(self, shop, eve, written):
        """Its id, who asked, which request; no secret column."""
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        answer = shop.call(
            "POST",
            "/my/object-create?table=booking",
            eve,
            json={"code": "a1", "price": "3.50", "detail": {"a": [1]}, "otp": "7"},
            headers={"x-request-id": "r-1", "traceparent": trace},
        )
        assert 200 == answer.status_code, answer.text
        made = answer.json()["message"]
        (event,) = written()

        assert "row.booking.created" == event["event_type"]
        assert ("booking", str(made)) == (
            event["aggregate_type"],
            event["aggregate_id"],
        )
        assert {"request_id": "r-1", "user_id": eve.id, "traceparent": trace} == (
            event["metadata"]
        )
        row = event["payload"]["row"]
        assert ("a1", 3.5, {"a": [1]}) == (row["code"], row["price"], row["detail"])
        assert (made, eve.id) == (row["id"], row["created_by_id"])
        assert not {"otp", "password"} & row.keys()
        assert 7 == event["event_id"].version
        assert "pending" == event["state"]

    def test_every_way_to_create(self, shop, eve, written):
        """One, a list, batch, many, and an upsert of each kind."""
        one = create(shop, eve, code="w1")
        path = "/my/object-create?table=booking"
        two = shop.message("POST", path, eve, json=[{"code": "w2"}, {"code": "w3"}])
        batch = create(shop, eve, query="&queue=batch", code="w4")
        many = [{"table": "booking", "object": {"code": "w5"}}]
        shop.message("POST", "/my/object-create-many", eve, json=many)
        merge = create(shop, eve, query="&on_conflict=code&mode=merge", code="w6")
        ids = [one, *two, batch, merge]
        events = written()

        assert 6 == len(events)
        assert {"row.booking.created"} == {each["event_type"] for each in events}
        assert {eve.id} == {each["metadata"]["user_id"] for each in events}
        assert {str(each) for each in ids} <= {each["aggregate_id"] for each in events}
        assert 6 == len({each["event_id"] for each in events})

    def test_an_update_tells_what_was_there(self, shop, eve, written):
        """The row as it is, and the old values of what changed; nothing for nothing."""
        made = create(shop, eve, code="u1", price=1)
        written()
        path = "/my/object-update?table=booking"
        shop.message("PUT", path, eve, json={"id": made, "price": 2, "otp": "9"})
        (event,) = written()
        assert ("row.booking.updated", str(made), eve.id) == brief([event])[0]
        assert 2 == event["payload"]["row"]["price"]
        old = event["payload"]["old"]
        assert 1 == old["price"]
        assert {"price", "updated_at", "updated_by_id"} >= old.keys()
        merged = create(
            shop, eve, query="&on_conflict=code&mode=merge", code="u1", price=5
        )
        (event,) = written()
        assert (merged, 2) == (made, event["payload"]["old"]["price"])
        body = {"table": "booking", "ids": str(made), "column": "price", "value": 6}
        shop.message("PUT", "/my/ids-update", eve, json=body)
        assert [("row.booking.updated", str(made), eve.id)] == brief(written())

    def test_an_event_for_two_targets_has_one_id(self, shop, eve, written):
        """And a row for each, which are delivered apart."""
        made = create(shop, eve, code="t1")
        written()
        shop.message(
            "PUT",
            "/my/object-update?table=booking",
            eve,
            json={"id": made, "code": "t2"},
        )
        rows = shop.sql(
            "select target, event_id from atom.outbox where event_type = $1"
            " and aggregate_id = $2",
            "row.booking.updated",
            str(made),
        )

        assert {"kafka", "sns"} == {each["target"] for each in rows}
        assert 1 == len({each["event_id"] for each in rows})

    def test_every_way_to_delete(self, shop, eve, written):
        """By id, by ids, by a filter; each event has the row that went."""
        ids = [create(shop, eve, code=f"d{number}") for number in range(4)]
        written()
        shop.message("DELETE", f"/my/rows/booking/{ids[0]}", eve)
        body = {"table": "booking", "ids": f"{ids[1]},{ids[2]}"}
        shop.message("DELETE", "/my/ids-delete", eve, json=body)
        path = "/my/object-delete-any?table=booking&code==,d3"
        shop.message("DELETE", path, eve)
        events = written()

        assert [("row.booking.deleted", str(each), eve.id) for each in ids] == brief(
            events
        )
        assert {f"d{number}" for number in range(4)} == {
            each["payload"]["row"]["code"] for each in events
        }

    def test_a_row_that_is_marked_as_deleted_is_deleted(self, shop, eve, written):
        """Creating and changing it are not declared, and no events."""
        made = create(shop, eve, "task", title="a")
        path = "/my/object-update?table=task"
        shop.message("PUT", path, eve, json={"id": made, "title": "b"})
        assert [] == written()
        shop.message("DELETE", f"/my/rows/task/{made}", eve)

        assert [("row.task.deleted", str(made), eve.id)] == brief(written())

    def test_what_is_refused_leaves_no_event(self, shop, eve, written):
        """A list of which one row breaks a rule; a row of another."""
        made = create(shop, eve, code="x1")
        written()
        body = [{"code": "x2"}, {"code": "x1"}]
        answer = shop.call("POST", "/my/object-create?table=booking", eve, json=body)
        assert 409 == answer.status_code
        other = shop.person()
        assert 404 == shop.call("DELETE", f"/my/rows/booking/{made}", other).status_code

        assert [] == written()

    def test_tables_without_row_events_write_none(self, shop, eve, written):
        """They have no trigger either."""
        create(shop, eve, "plain", code="a")
        found = shop.sql(
            "select tgname from pg_trigger where tgrelid = 'plain'::regclass"
            " and tgname like 'atom_event%'"
        )

        assert ([], []) == (written(), found)

    def test_an_import_writes_them(self, shop, written):
        """Rows of a file are rows as any."""
        answer = shop.call(
            "POST",
            "/root/postgres-import",
            "root",
            data={"mode": "create", "table": "booking"},
            files={"file": ("a.csv", "code,price\ni1,1\ni2,2\n")},
            headers={"x-request-id": "import-1"},
        )
        assert 200 == answer.status_code, answer.text
        events = written()

        assert ["i1", "i2"] == [each["payload"]["row"]["code"] for each in events]
        assert {"import-1"} == {each["metadata"]["request_id"] for each in events}


class TestPublish:
    """function_event writes an event on the caller's transaction."""

    @pytest.mark.parametrize("how", ["app", "request", "client", "asyncpg", "pool"])
    def test_it_is_written_for_each_target(self, shop, eve, written, how):
        """By an app, a request, or any connection."""
        body = {"name": "user.created", "aggregate_id": 7, "payload": {"a": 1}}
        answer = shop.call("POST", "/publish", eve, json={**body, "how": how})
        assert 200 == answer.status_code, answer.text
        (event,) = written()

        assert answer.json()["message"] == str(event["event_id"])
        assert ("user", "7", {"a": 1}) == (
            event["aggregate_type"],
            event["aggregate_id"],
            event["payload"],
        )
        assert eve.id == event["metadata"]["user_id"]
        assert 1 == event["version"]
        if how != "pool":
            assert 2 == answer.json()["seen"]

    def test_after_a_rollback_there_is_none(self, shop, written):
        """It goes with the work it is about."""
        body = {"name": "user.created", "ends": "rollback"}
        shop.message("POST", "/publish", json=body)

        assert [] == written()

    def test_a_type_that_is_not_declared_names_the_nearest(self, shop, written):
        """A typing error is no event."""
        answer = shop.call("POST", "/publish", json={"name": "user.creatd"})

        assert 500 == answer.status_code
        assert "Did you mean 'user.created'?" in answer.json()["message"]
        assert [] == written()
