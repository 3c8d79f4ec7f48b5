"""Hooks: functions of a project around the writes of a table, in one transaction."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.test_drop_in import started
from tests.served import environment, serve

CONFIG = """
config_postgres_schema = {"table": {
    "slot": ["doctor-text-1-0", "free-integer-1-0"],
    "booking": [
        "created_by_id-bigint-0-btree", "updated_by_id-bigint-0-0",
        "code-text-0-0", "slot_id-bigint-0-btree", "starts_at-timestamptz-0-0",
        "price-numeric(10,2)-0-0", "detail-jsonb-0-0", "tag-text[]-0-0",
        "state-text-0-0", "is_verified-smallint-0-0", "password-text-0-0",
        "place-geography(point)-0-0", "day-date-0-0", "token-uuid-0-0",
    ],
    "trace": ["what-text-1-0", "row_id-bigint-0-0", "text-text-0-0"],
    "plain": ["created_by_id-bigint-0-btree", "code-text-0-0"],
    "task": ["created_by_id-bigint-0-btree", "state-text-0-0", "kind-text-0-0",
             "is_deleted-smallint-0-0"],
}, "query": {
    "booking_code": "alter table booking add constraint unique_booking_code"
                    " unique (code)",
}}
config_table = {
    "slot": {"my": 0}, "trace": {"my": 0},
    "booking": {"my": "owner"}, "plain": {"my": "owner"},
    "task": {"soft_delete": "is_deleted", "my": {
        "read": "owner", "delete": "owner",
        "create": {"check": "state <> 'bad'", "preset": {"kind": "'by rule'"}},
        "update": {"where": "created_by_id = :me and state <> 'done'",
                   "check": "state <> 'bad'"},
    }},
}
config_api = {"/my/object-create": {"timeout_sec": 2}}
"""
HOOKS = """
import asyncio
from datetime import datetime
from decimal import Decimal

from fastapi import HTTPException

from atom.errors import ApiError, Conflict
from function import function_object_create_postgres

TAKEN = Conflict("The slot is taken.", code="row.refused")


async def note(hook, what, row_id, text=""):
    await hook.connection.execute(
        "insert into trace (what, row_id, text) values (:what, :row_id, :text)",
        {"what": what, "row_id": row_id, "text": str(text)},
    )


async def before_create_booking(row, hook):
    code = row.get("code") or ""
    if code == "taken":
        raise TAKEN
    if code == "boom":
        raise RuntimeError("a fault of the hook")
    if code == "wrong":
        row["price"] = "much"
    if code == "unknown":
        row["colour"] = "red"
    if code == "teapot":
        raise HTTPException(418, "short and stout")
    if code.startswith("nested"):
        plain = {"code": "by the hook"}
        await function_object_create_postgres(hook.app, "plain", plain, 5)
    if code == "slow":
        await asyncio.sleep(30)
    if code == "types":
        assert isinstance(row["starts_at"], datetime), row
        assert isinstance(row["price"], Decimal), row
        assert row["detail"] == {"a": [1]}, row
        row["starts_at"] = row["starts_at"].replace(year=2027)
        row["detail"]["a"].append(2)
        row["tag"] = ("x", "y") if row.get("tag") is None else row["tag"]
        row["tag"].append(7) if row["tag"] == ["n"] else None
    if code == "place":
        east, north = row["place"]["coordinates"]
        row["place"] = {"type": "Point", "coordinates": [east + 1, north]}
    if code == "secret":
        row["password"] = "open sesame"
    row["is_verified"] = 1
    if row.get("slot_id"):
        sql = "update slot set free = free - 1 where id = :id and free > 0 returning id"
        if await hook.connection.fetch_val(sql, {"id": row["slot_id"]}) is None:
            raise Conflict("The slot is full.", code="row.refused")
    by = f"{hook.user.get('id')}"
    if code == "claims":
        by = sorted(hook.user)
    await note(hook, "before_create", None, f"{code} by {by}")


async def rows_create_booking(rows, hook):
    codes = ",".join(row.get("code") or "" for row in rows)
    await note(hook, "rows_create", None, codes)
    if any(row.get("code") == "late" for row in rows):
        return [{**row, "state": "from rows"} for row in rows]


async def after_create_booking(row, hook):
    await note(hook, "after_create", row["id"], row["state"])
    if row["code"] in ("after", "nested after"):
        raise ApiError("Not after all.", code="row.refused")


async def committed_create_booking(row, hook):
    await note(hook, "committed_create", row["id"], row["code"])
    if row["code"] == "farewell":
        await asyncio.sleep(1)
        print("the farewell is sent", flush=True)
    if row["code"] == "fails":
        raise RuntimeError("the mail server is away")


async def before_update_booking(row, hook):
    if row.get("state") == "closed" and hook.old["state"] == "closed":
        raise ApiError("It is closed already.", code="row.refused")
    if "code" in row and row["code"] == "moved":
        row["id"] = 12345
    if "code" in row and row["code"] == "dear":
        row["price"] = hook.old["price"] * 2
    await note(hook, "before_update", hook.old["id"], sorted(row))


async def after_update_booking(row, hook):
    await note(hook, "after_update", row["id"], f"{hook.old['code']}->{row['code']}")


async def committed_update_booking(row, hook):
    await note(hook, "committed_update", row["id"], hook.old["code"])


async def before_delete_booking(row, hook):
    assert row == hook.old
    if row["state"] == "kept":
        raise Conflict("It is kept.", code="row.refused")
    await note(hook, "before_delete", row["id"], row["code"])


async def rows_delete_booking(rows, hook):
    await note(hook, "rows_delete", None, len(rows))


async def after_delete_booking(row, hook):
    left = await hook.connection.fetch_val(
        "select count(*) from booking where id = :id", {"id": row["id"]}
    )
    await note(hook, "after_delete", row["id"], f"{row['code']} left {left}")


async def committed_delete_booking(row, hook):
    await note(hook, "committed_delete", row["id"], row["code"])
"""
PEOPLE = """
from atom.errors import ApiError


async def before_create_users(row, hook):
    if (row.get("username") or "").startswith("bad"):
        raise ApiError("Choose another name.", code="row.refused")
    row["name"] = f"new {row.get('username') or row.get('username_bigint')}"


async def before_update_users(row, hook):
    if row.get("name") == "rude":
        raise ApiError("Choose another name.", code="row.refused")
    if "country" in row:
        row["name"] = f"{hook.old['name']} of {row['country']}"


async def committed_create_users(row, hook):
    await hook.connection.execute(
        "insert into trace (what, row_id, text) values ('welcome', :id, :name)",
        {"id": row["id"], "name": row["name"]},
    )
"""
TASKS = """
async def before_create_task(row, hook):
    row["kind"] = "by the hook"
    if row["state"] == "becomes bad":
        row["state"] = "bad"


async def before_update_task(row, hook):
    assert hook.old["state"] != "done"
    if row["state"] == "becomes bad":
        row["state"] = "bad"


async def after_delete_task(row, hook):
    left = await hook.connection.fetch_val(
        "select is_deleted from task where id = :id", {"id": row["id"]}
    )
    await hook.connection.execute(
        "insert into trace (what, row_id, text) values ('deleted', :id, :text)",
        {"id": row["id"], "text": f"{row['is_deleted']} to {left}"},
    )
"""
SECOND = """
async def before_create_booking(row, hook):
    row["state"] = (row.get("state") or "") + "+second"
"""
ROUTER = """
from extend import *

router = APIRouter()


@router.post("/own")
async def own(request: Request):
    ports = request.app.state.ports
    return await function_object_create_postgres(ports, "booking", {"code": "own"})


@router.post("/own-undone")
async def own_undone(request: Request):
    try:
        async with function_transaction(request.app):
            await function_object_create_postgres(
                request.app, "booking", {"code": "undone"}
            )
            raise ValueError
    except ValueError:
        return "undone"
"""
ENDS = """
from atom.errors import ApiError


async def before_delete_users(row, hook):
    if hook.old["name"] == "held":
        raise ApiError("There is an open invoice.", code="invoice.open", status=409)


async def after_delete_users(row, hook):
    await hook.connection.execute(
        "insert into trace (what, row_id, text) values ('left', :id, :name)",
        {"id": row["id"], "name": hook.old["name"]},
    )


async def after_delete_message(row, hook):
    await hook.connection.execute(
        "insert into trace (what, row_id, text) values ('gone', :id, :by)",
        {"id": row["id"], "by": str(hook.user["id"])},
    )
"""
FILES = {
    "hook_ends": ENDS,
    "config_clinic": CONFIG,
    "hook_booking": HOOKS,
    "hook__second": SECOND,
    "hook_people": PEOPLE,
    "hook_task": TASKS,
    "router_own": ROUTER,
}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """A server with hooks on one table."""
    code = copied(tmp_path_factory.mktemp("clinic"), **FILES)
    with serve(code=code) as served:
        running = opened(served)
        running.code = code
        yield running
        running.http.close()


@pytest.fixture(scope="module")
def eve(clinic):
    return clinic.person()


@pytest.fixture(autouse=True)
def empty(clinic):
    """Begin every test without rows."""
    clinic.sql("truncate booking, trace, slot, plain restart identity")


def create(clinic, who, body, query=""):
    path = f"/my/object-create?table=booking{query}"
    return clinic.call("POST", path, who, json=body)


def made(clinic, who, body, query=""):
    answer = create(clinic, who, body, query)
    assert 200 == answer.status_code, answer.text
    return answer.json()["message"]


def traces(clinic, *whats):
    """Return what the hooks noted, as `what: text`, in order."""
    rows = clinic.sql("select what, text from trace order by id")
    found = [f"{row['what']}: {row['text']}" for row in rows]
    return [each for each in found if not whats or each.partition(":")[0] in whats]


def until(clinic, expected, *whats):
    """Wait for what follows the commit."""
    deadline = time.monotonic() + 30
    while traces(clinic, *whats) != expected:
        assert time.monotonic() < deadline, traces(clinic, *whats)
        time.sleep(0.05)


def bookings(clinic):
    return clinic.sql("select * from booking order by id")


class TestCreate:
    def test_every_time_runs_in_order(self, clinic, eve):
        """Both files before, then the list, the row as stored, and the commit."""
        made(clinic, eve, {"code": "a"})

        (row,) = bookings(clinic)
        assert ("+second", 1, eve.id) == (
            row["state"],
            row["is_verified"],
            row["created_by_id"],
        )
        until(
            clinic,
            [
                f"before_create: a by {eve.id}",
                "rows_create: a",
                "after_create: +second",
                "committed_create: a",
            ],
        )

    def test_list_gets_its_list_once(self, clinic, eve):
        """And each row its own call."""
        ids = made(clinic, eve, [{"code": "a"}, {"code": "late"}])

        assert ids == [row["id"] for row in bookings(clinic)]
        assert ["from rows"] * 2 == [row["state"] for row in bookings(clinic)]
        assert ["rows_create: a,late"] == traces(clinic, "rows_create")
        assert 2 == len(traces(clinic, "before_create"))
        until(
            clinic,
            ["committed_create: a", "committed_create: late"],
            "committed_create",
        )

    def test_refusal_of_a_hook_names_the_row_and_leaves_nothing(self, clinic, eve):
        """Neither rows nor what other hooks wrote; twice, with one error object."""
        for _ in range(2):
            answer = create(clinic, eve, [{"code": "a"}, {"code": "taken"}])
            assert (409, "row.refused", "Row 1: The slot is taken.") == (
                answer.status_code,
                answer.json()["code"],
                answer.json()["message"],
            )
        answer = create(clinic, eve, {"code": "taken"})
        assert "The slot is taken." == answer.json()["message"]
        assert ([], []) == (bookings(clinic), traces(clinic))

    def test_refusal_after_the_write_undoes_it(self, clinic, eve):
        """The row is gone, and nothing follows a commit."""
        assert 400 == create(clinic, eve, {"code": "after"}).status_code
        time.sleep(0.3)
        assert ([], []) == (bookings(clinic), traces(clinic))

    def test_fault_of_a_hook_is_a_500_and_undoes_everything(self, clinic, eve):
        """Its trace is in the log."""
        assert 500 == create(clinic, eve, {"code": "boom"}).status_code
        assert [] == traces(clinic)
        assert "a fault of the hook" in clinic.log.read_text()

    def test_http_exception_of_a_hook_is_its_answer(self, clinic, eve):
        """As in a route."""
        answer = create(clinic, eve, [{"code": "a"}, {"code": "teapot"}])
        assert (418, "short and stout") == (
            answer.status_code,
            answer.json()["detail"],
        )
        assert [] == bookings(clinic)

    def test_what_a_hook_writes_by_function_is_part_of_it(self, clinic, eve):
        """A row of another table, and its rollback."""
        made(clinic, eve, {"code": "nested"})
        assert [{"created_by_id": 5}] == clinic.sql("select created_by_id from plain")
        assert 400 == create(clinic, eve, {"code": "nested after"}).status_code
        assert 1 == clinic.sql("select count(*) as n from plain")[0]["n"]

    def test_what_a_hook_sets_is_checked(self, clinic, eve):
        """By the datatype of its column; a column must be there."""
        answer = create(clinic, eve, [{"code": "a"}, {"code": "wrong"}])
        assert (400, "value.unreadable") == (
            answer.status_code,
            answer.json()["code"],
        )
        assert answer.json()["message"].startswith("Row 1: Column 'price' takes")
        answer = create(clinic, eve, {"code": "unknown"})
        assert (400, "sql.unknown_column") == (
            answer.status_code,
            answer.json()["code"],
        )

    def test_values_are_those_of_python(self, clinic, eve):
        """A time is a datetime, jsonb an object, and what is set comes back."""
        body = {
            "code": "types",
            "starts_at": "2026-01-31T12:00:00+02:00",
            "price": 12.5,
            "detail": {"a": [1]},
            "day": "2026-01-31",
        }
        made(clinic, eve, body)

        (row,) = clinic.message("GET", "/my/object-read?table=booking", eve)
        assert "2027-01-31T10:00:00" == row["starts_at"][:19]
        assert ({"a": [1, 2]}, ["x", "y"], 12.5, "2026-01-31") == (
            row["detail"],
            row["tag"],
            row["price"],
            row["day"],
        )

    def test_list_that_is_changed_in_place_is_checked(self, clinic, eve):
        """As if it had been set."""
        body = {"code": "types", "tag": ["n"], "starts_at": "2026-01-31T12:00:00Z"}
        answer = create(clinic, eve, {**body, "price": 1.5, "detail": {"a": [1]}})
        assert (
            "Column 'tag' takes a list, each item text." == (answer.json()["message"])
        )

    def test_place_is_geojson(self, clinic, eve):
        """Read and set as the routes have it."""
        made(clinic, eve, {"code": "place", "place": "POINT(77.2 28.6)"})

        (row,) = clinic.message("GET", "/my/object-read?table=booking", eve)
        assert [78.2, 28.6] == row["place"]["coordinates"]

    def test_password_that_a_hook_sets_is_hashed(self, clinic, eve):
        """It never reaches the table as it was written."""
        made(clinic, eve, {"code": "secret"})

        assert bookings(clinic)[0]["password"].startswith("$argon2id$")

    def test_user_has_the_claims_of_the_token(self, clinic, eve):
        """As on request.state.user, in the background too."""
        expected = ["before_create: claims by ['api_access', 'id', 'is_active']"]
        made(clinic, eve, {"code": "claims"})
        assert expected == traces(clinic, "before_create")
        clinic.sql("truncate trace, booking")
        made(clinic, eve, {"code": "claims"}, "&is_background=1")
        until(clinic, expected, "before_create")

    def test_users_in_the_background_are_not_confused(self, clinic, eve):
        """Each hook has its own caller."""
        people = [eve, *(clinic.person() for _ in range(3))]
        for number in range(20):
            who = people[number % 4]
            made(clinic, who, {"code": f"n{number}"}, "&is_background=1")
        expected = sorted(
            f"before_create: n{n} by {people[n % 4].id}" for n in range(20)
        )
        deadline = time.monotonic() + 30
        while sorted(traces(clinic, "before_create")) != expected:
            assert time.monotonic() < deadline, traces(clinic, "before_create")
            time.sleep(0.05)

    def test_counted_place_is_given_out_once(self, clinic, eve):
        """A statement of the hook and the row are one."""
        clinic.sql("insert into slot (doctor, free) values ('x', 1)")
        made(clinic, eve, {"code": "a", "slot_id": 1})
        answer = create(clinic, eve, {"code": "b", "slot_id": 1})
        assert "The slot is full." == answer.json()["message"]
        made(clinic, eve, {"code": "c"})
        clinic.sql("update slot set free = 1")
        answer = create(clinic, eve, {"code": "a", "slot_id": 1})  # not unique
        assert "row.exists" == answer.json()["code"]
        assert [{"free": 1}] == clinic.sql("select free from slot")

    def test_refused_by_postgresql_names_its_row(self, clinic, eve):
        """As without hooks."""
        answer = create(clinic, eve, [{"code": "x"}, {"code": "y"}, {"code": "x"}])

        assert 409 == answer.status_code
        assert answer.json()["message"].startswith("Row 2: ")
        assert [] == traces(clinic)

    def test_timeout_rolls_back(self, clinic, eve):
        """A hook that takes too long leaves nothing, and no lock."""
        assert 504 == create(clinic, eve, {"code": "slow"}).status_code
        assert ([], []) == (bookings(clinic), traces(clinic))
        made(clinic, eve, {"code": "a"})

    def test_failing_committed_hook_is_logged_by_name(self, clinic, eve):
        """And neither undoes the row nor stops the next."""
        ids = made(clinic, eve, [{"code": "fails"}, {"code": "b"}])

        until(
            clinic,
            ["committed_create: fails", "committed_create: b"],
            "committed_create",
        )
        assert 2 == len(bookings(clinic))
        log = clinic.log.read_text()
        assert (
            f"committed_create_booking of hook_booking.py failed for row {ids[0]}"
            in log
        )


class TestEveryWay:
    """Whatever the way a row is created, its hooks run."""

    def check(self, clinic, code):
        until(clinic, [f"committed_create: {code}"], "committed_create")
        assert traces(clinic, "before_create")[0].startswith(f"before_create: {code} ")
        assert [f"rows_create: {code}"] == traces(clinic, "rows_create")
        assert 1 == len(traces(clinic, "after_create"))

    def test_typed_route(self, clinic, eve):
        clinic.message("POST", "/my/rows/booking", eve, json={"code": "a"})
        self.check(clinic, "a")

    def test_queue_batch(self, clinic, eve):
        """Refused and accepted rows are each their own."""
        assert 409 == create(clinic, eve, {"code": "taken"}, "&queue=batch").status_code
        made(clinic, eve, {"code": "a"}, "&queue=batch")
        self.check(clinic, "a")

    def test_background(self, clinic, eve):
        made(clinic, eve, {"code": "a"}, "&is_background=1")
        self.check(clinic, "a")

    def test_create_many(self, clinic, eve):
        """Of several tables; a refusal names the entry and undoes all."""
        path = "/my/object-create-many"
        body = [
            {"table": "plain", "object": {"code": "p"}, "as": "p"},
            {"table": "booking", "object": {"code": "$$p.id"}},
        ]
        clinic.message("POST", path, eve, json=body)
        self.check(clinic, "$p.id")
        body[1]["object"]["code"] = "taken"
        answer = clinic.call("POST", path, eve, json=body)
        assert "Entry 1: The slot is taken." == answer.json()["message"]
        assert 1 == clinic.sql("select count(*) as n from plain")[0]["n"]

    def test_own_code_and_its_rollback(self, clinic):
        """function_object_create_postgres, and nothing after a rollback."""
        assert "undone" == clinic.call("POST", "/own-undone").json()
        assert [] == traces(clinic)
        assert 200 == clinic.call("POST", "/own").status_code
        self.check(clinic, "own")

    def test_admin(self, clinic, eve):
        admin = clinic.person(api_access="1,2,3,4")
        path, deadline = "/admin/object-create?table=booking", time.monotonic() + 30
        while clinic.call("POST", path, admin, json={"code": "a"}).status_code == 403:
            assert time.monotonic() < deadline  # the rights are being published
        self.check(clinic, "a")

    def test_table_without_hooks_is_left_alone(self, clinic, eve):
        clinic.message("POST", "/my/object-create?table=plain", eve, json={"code": "a"})
        assert [] == traces(clinic)


class TestUpsert:
    QUERY = "&on_conflict=code&mode="

    def test_merge_runs_the_hooks_of_what_happens(self, clinic, eve):
        """Create for the new row, update for the one that is there."""
        first = made(clinic, eve, {"code": "a", "price": 1})
        until(clinic, ["committed_create: a"], "committed_create")
        clinic.sql("truncate trace")
        rows = [{"code": "b", "price": 2}, {"code": "a", "price": 3}]
        ids = made(clinic, eve, rows, self.QUERY + "merge")

        assert first == ids[1]
        found = {row["code"]: float(row["price"]) for row in bookings(clinic)}
        assert {"a": 3, "b": 2} == found
        assert ["before_update: ['price']"] == traces(clinic, "before_update")
        assert [f"before_create: b by {eve.id}"] == traces(clinic, "before_create")
        until(clinic, ["committed_update: a"], "committed_update")
        until(clinic, ["committed_create: b"], "committed_create")

    def test_ignore_changes_nothing(self, clinic, eve):
        """No hook of an update, also for the same row twice."""
        first = made(clinic, eve, {"code": "a"})
        rows = [{"code": "b"}, {"code": "a"}, {"code": "b"}]
        ids = made(clinic, eve, rows, self.QUERY + "ignore")

        assert first == ids[1] and ids[0] == ids[2]
        assert [] == traces(clinic, "before_update")
        assert ["a", "b"] == [row["code"] for row in bookings(clinic)]

    def test_row_of_another_is_not_reached(self, clinic, eve):
        """As without hooks: 409, and null."""
        mallory = clinic.person()
        made(clinic, mallory, {"code": "a"})
        clinic.sql("truncate trace")
        answer = create(
            clinic, eve, [{"code": "b"}, {"code": "a"}], self.QUERY + "merge"
        )
        assert (409, "Row 1: A row with the same code exists and is not yours.") == (
            answer.status_code,
            answer.json()["message"],
        )
        ids = made(clinic, eve, [{"code": "b"}, {"code": "a"}], self.QUERY + "ignore")
        assert ids[0] is not None and ids[1] is None

    def test_refusal_names_the_row_of_the_list(self, clinic, eve):
        """Whichever side it is on."""
        made(clinic, eve, {"code": "a"})
        rows = [{"code": "a"}, {"code": "b"}, {"code": "taken"}]
        answer = create(clinic, eve, rows, self.QUERY + "merge")

        assert "Row 2: The slot is taken." == answer.json()["message"]

    def test_same_new_row_at_once_is_created_once(self, clinic, eve):
        """The others change it, with the hooks of an update."""
        with ThreadPoolExecutor(8) as pool:
            body = {"code": "race", "price": 1}
            jobs = [
                pool.submit(create, clinic, eve, body, self.QUERY + "merge")
                for _ in range(8)
            ]
            answers = [job.result() for job in jobs]

        assert [200] * 8 == [each.status_code for each in answers]
        assert 1 == len({each.json()["message"] for each in answers})
        assert 1 == len(traces(clinic, "before_create"))
        assert 7 == len(traces(clinic, "before_update"))


class TestUpdate:
    def test_single_with_the_row_as_it_was(self, clinic, eve):
        """A hook computes with what was there."""
        row_id = made(clinic, eve, {"code": "a", "price": 4})
        clinic.sql("truncate trace")
        body = {"id": row_id, "code": "dear"}
        clinic.message("PUT", "/my/object-update?table=booking", eve, json=body)

        (row,) = bookings(clinic)
        assert ("dear", 8, eve.id) == (row["code"], row["price"], row["updated_by_id"])
        until(
            clinic,
            [
                "before_update: ['code', 'price']",
                "after_update: a->dear",
                "committed_update: a",
            ],
            *("before_update", "after_update", "committed_update"),
        )

    def test_key_of_a_row_stays(self, clinic, eve):
        """A hook of an update cannot change it."""
        body = {"id": made(clinic, eve, {"code": "a"}), "code": "moved"}
        answer = clinic.call("PUT", "/my/object-update?table=booking", eve, json=body)
        assert (400, "row.managed_column") == (
            answer.status_code,
            answer.json()["code"],
        )

    def test_many_name_the_row_that_is_refused(self, clinic, eve):
        """And none is changed."""
        ids = made(clinic, eve, [{"code": "a"}, {"code": "b", "state": "closed"}])
        clinic.sql("update booking set state = 'closed' where code = 'b'")
        body = [{"id": each, "state": "closed"} for each in ids]
        answer = clinic.call("PUT", "/my/object-update?table=booking", eve, json=body)

        assert "Row 1: It is closed already." == answer.json()["message"]
        assert "closed" != bookings(clinic)[0]["state"]
        assert [] == traces(clinic, "before_update")

    def test_row_of_another_runs_no_hook(self, clinic, eve):
        """404, as without hooks."""
        mallory = clinic.person()
        row_id = made(clinic, mallory, {"code": "a"})
        body = {"id": row_id, "code": "b"}
        answer = clinic.call("PUT", "/my/object-update?table=booking", eve, json=body)

        assert (404, "row.missing") == (answer.status_code, answer.json()["code"])
        assert [] == traces(clinic, "before_update")

    def test_ids_update(self, clinic, eve):
        """Each row its own hook; ids that are not there are not counted."""
        ids = made(clinic, eve, [{"code": "a"}, {"code": "b"}])
        body = {
            "table": "booking",
            "ids": [*ids, 999],
            "column": "state",
            "value": "closed",
        }
        assert 2 == clinic.message("PUT", "/my/ids-update", eve, json=body)
        assert 2 == len(traces(clinic, "after_update"))
        answer = clinic.call("PUT", "/my/ids-update", eve, json=body)
        assert f"Id {ids[0]}: It is closed already." == answer.json()["message"]


class TestDelete:
    def test_ids_delete(self, clinic, eve):
        """With the row in hand, before and after it is gone."""
        ids = made(clinic, eve, [{"code": "a"}, {"code": "b"}])
        clinic.sql("truncate trace")
        body = {"table": "booking", "ids": ids}
        assert 2 == clinic.message("DELETE", "/my/ids-delete", eve, json=body)

        assert [] == bookings(clinic)
        assert ["after_delete: a left 0", "after_delete: b left 0"] == traces(
            clinic, "after_delete"
        )
        assert ["rows_delete: 2"] == traces(clinic, "rows_delete")
        until(
            clinic,
            ["committed_delete: a", "committed_delete: b"],
            "committed_delete",
        )

    def test_delete_any(self, clinic, eve):
        """The rows that meet the filters, and a refusal keeps all."""
        ids = made(clinic, eve, [{"code": "a"}, {"code": "b"}, {"code": "c"}])
        clinic.sql("update booking set state = 'kept' where code = 'b'")
        path = "/my/object-delete-any?table=booking&code="
        answer = clinic.call("DELETE", path + "in,a|b", eve)
        assert f"Id {ids[1]}: It is kept." == answer.json()["message"]
        assert 3 == len(bookings(clinic))
        assert 2 == clinic.message("DELETE", path + "in,a|c", eve)
        assert ["b"] == [row["code"] for row in bookings(clinic)]
        assert 0 == clinic.message("DELETE", path + "=,zzz", eve)

    def test_rows_of_another_run_no_hook(self, clinic, eve):
        mallory = clinic.person()
        row_id = made(clinic, mallory, {"code": "a"})
        clinic.sql("truncate trace")
        body = {"table": "booking", "ids": [row_id]}
        assert 0 == clinic.message("DELETE", "/my/ids-delete", eve, json=body)
        assert 0 == clinic.message(
            "DELETE", "/my/object-delete-any?table=booking&code==,a", eve
        )
        assert [] == traces(clinic, "before_delete")


class TestOneRow:
    """/my/rows/booking/{id}: the hooks of one row, whose message has no number."""

    def test_patch(self, clinic, eve):
        row_id = made(clinic, eve, {"code": "a", "price": 4})
        path = f"/my/rows/booking/{row_id}"
        clinic.message("PATCH", path, eve, json={"code": "dear"})
        assert [8] == [row["price"] for row in bookings(clinic)]
        assert ["after_update: a->dear"] == traces(clinic, "after_update")
        clinic.message("PATCH", path, eve, json={"state": "closed"})
        answer = clinic.call("PATCH", path, eve, json={"state": "closed"})
        assert "It is closed already." == answer.json()["message"]

    def test_row_that_is_answered_is_the_one_that_hooks_left(self, clinic, eve):
        """By return=row, created and changed."""
        path = "/my/object-create?table=booking&return=row"
        row = clinic.message("POST", path, eve, json={"code": "a", "price": 4})
        assert ("+second", 1) == (row["state"], row["is_verified"])
        path = f"/my/rows/booking/{row['id']}?return=row"
        row = clinic.message("PATCH", path, eve, json={"code": "dear"})
        assert ("dear", 8) == (row["code"], row["price"])

    def test_delete(self, clinic, eve):
        row_id = made(clinic, eve, {"code": "a", "state": None})
        path = f"/my/rows/booking/{row_id}"
        clinic.sql("update booking set state = 'kept'")
        answer = clinic.call("DELETE", path, eve)
        assert "It is kept." == answer.json()["message"]
        clinic.sql("update booking set state = 'gone'")
        assert 200 == clinic.call("DELETE", path, eve).status_code
        assert ([], ["after_delete: a left 0"]) == (
            bookings(clinic),
            traces(clinic, "after_delete"),
        )
        assert 404 == clinic.call("DELETE", path, eve).status_code


class TestRules:
    """A rule of config_table holds for the row that a hook left."""

    PATH = "/my/object-create?table=task"

    def test_check_and_preset(self, clinic, eve):
        """What a rule sets wins; what it forbids is refused, and nothing is written."""
        clinic.sql("truncate task restart identity")
        answer = clinic.call("POST", self.PATH, eve, json={"state": "becomes bad"})
        assert (403, "row.rule_refused") == (
            answer.status_code,
            answer.json()["code"],
        )
        rows = [{"state": "a"}, {"state": "becomes bad"}]
        answer = clinic.call("POST", self.PATH, eve, json=rows)
        assert answer.json()["message"].startswith("Row 1: ")
        task = clinic.message("POST", self.PATH, eve, json={"state": "a"})
        path = "/my/object-update?table=task"
        body = {"id": task, "state": "becomes bad"}
        assert 403 == clinic.call("PUT", path, eve, json=body).status_code
        found = clinic.sql("select state, kind from task")
        assert [{"state": "a", "kind": "by rule"}] == found

    def test_row_that_is_not_reached_runs_no_hook(self, clinic, eve):
        """Though it is the caller's own."""
        task = clinic.message("POST", self.PATH, eve, json={"state": "done"})
        path, body = "/my/object-update?table=task", {"id": task, "state": "a"}
        assert 404 == clinic.call("PUT", path, eve, json=body).status_code

    def test_row_that_is_marked_as_deleted_calls_the_hooks_of_a_delete(
        self, clinic, eve
    ):
        """Once: it is gone for its caller."""
        task = clinic.message("POST", self.PATH, eve, json={"state": "a"})
        body = {"table": "task", "ids": [task]}
        assert 1 == clinic.message("DELETE", "/my/ids-delete", eve, json=body)
        assert 0 == clinic.message("DELETE", "/my/ids-delete", eve, json=body)
        assert ["deleted: None to 1"] == traces(clinic, "deleted")


class TestImport:
    """By hooks=1 the hooks run; without it an import is as fast as it was."""

    def send(self, clinic, mode, text, name="x.csv", **form):
        data = {"mode": mode, "table": "booking", **form}
        return clinic.call(
            "POST",
            "/root/postgres-import",
            "root",
            data=data,
            files={"file": (name, text.encode())},
        )

    def test_without_hooks_none_runs(self, clinic):
        assert 200 == self.send(clinic, "create", "code\na\n").status_code
        assert [] == traces(clinic)

    def test_create_runs_them_for_each_row_and_keeps_every_value(self, clinic):
        """Also those Python does not have: infinity, a year of five digits."""
        text = (
            "id,code,starts_at,price,detail,tag,day\n"
            '70,a,infinity,NaN,"{""a"": 1.50}","{x,""y,z""}",12026-01-31\n'
            "71,b,2026-01-31T12:00:00+02:00,1.50,,,2026-01-31\n"
        )
        answer = self.send(clinic, "create", text, hooks=1)
        assert (200, 2) == (answer.status_code, answer.json().get("message")), (
            answer.text
        )
        found = clinic.sql(
            "select id, code, starts_at::text, price::text, detail::text, tag,"
            " day::text, state, is_verified from booking order by id"
        )
        assert [
            (70, "a", "infinity", "NaN", '{"a": 1.50}', ["x", "y,z"], "12026-01-31"),
            (71, "b", found[1]["starts_at"], "1.50", None, None, "2026-01-31"),
        ] == [tuple(row.values())[:7] for row in found]
        assert [("+second", 1)] * 2 == [
            (row["state"], row["is_verified"]) for row in found
        ]
        assert ["rows_create: a,b"] == traces(clinic, "rows_create")
        until(
            clinic,
            ["committed_create: a", "committed_create: b"],
            "committed_create",
        )

    def test_refusal_names_the_line_and_undoes_all(self, clinic):
        rows = "".join(f"r{n}\n" for n in range(1500))
        answer = self.send(clinic, "create", f"code\n{rows}taken\n", hooks=1)
        assert 409 == answer.status_code
        assert "line 1502: The slot is taken." == answer.json()["message"]
        assert ([], []) == (bookings(clinic), traces(clinic))

    def test_update_upsert_and_delete(self, clinic, eve):
        """Each with its own hooks; JSON lines of different columns too."""
        ids = made(clinic, eve, [{"code": "a", "price": 1}, {"code": "b"}])
        clinic.sql("truncate trace")
        text = f'{{"id": {ids[0]}, "code": "dear"}}\n{{"id": {ids[1]}, "price": 2}}\n'
        assert 200 == self.send(clinic, "update", text, "x.jsonl", hooks=1).status_code
        assert ["a->dear", "b->b"] == [
            each.partition(": ")[2] for each in traces(clinic, "after_update")
        ]
        text = "code,price\nb,3\nc,4\n"
        answer = self.send(clinic, "upsert", text, on_conflict="code", hooks=1)
        assert 2 == answer.json()["message"]
        assert {"dear": 2, "b": 3, "c": 4} == {
            row["code"]: int(row["price"]) for row in bookings(clinic)
        }
        assert 3 == len(traces(clinic, "after_update"))
        clinic.sql("update booking set state = 'kept' where code = 'b'")
        text = f"id\n{ids[1]}\n{ids[0]}\n"
        answer = self.send(clinic, "delete", text, hooks=1)
        assert "line 2: It is kept." == answer.json()["message"]
        clinic.sql("update booking set state = null")
        assert 2 == self.send(clinic, "delete", text, hooks=1).json()["message"]
        assert ["c"] == [row["code"] for row in bookings(clinic)]
        assert [f"rows_delete: {n}" for n in (2,)] == traces(clinic, "rows_delete")

    def test_command(self, clinic, tmp_path):
        """`data import --hooks`, with what follows the commit."""
        file = tmp_path / "x.csv"
        file.write_text("code\nby command\n")
        words = ("data", "import", str(file), "--table", "booking", "--hooks")
        done = subprocess.run(
            [sys.executable, "main.py", *words],
            cwd=clinic.code,
            env=environment({**clinic.config, "config_postgres_url": clinic.database}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        assert ["committed_create: by command"] == traces(clinic, "committed_create")


def test_signing_up_calls_the_hooks_of_users(clinic):
    """They may set a column, refuse, and follow the commit; a taken name is a 409."""
    body = {"type": 1, "username": "nora", "password": "long enough"}
    assert 200 == clinic.call("POST", "/auth/signup", json=body).status_code
    until(clinic, ["welcome: new nora"], "welcome")
    again = clinic.call("POST", "/auth/signup", json=body)
    assert (409, "account.exists") == (again.status_code, again.json()["code"])
    bad = clinic.call("POST", "/auth/signup", json={**body, "username": "bad-name"})
    assert "Choose another name." == bad.json()["message"]
    count = "select count(*) as n from users where username = 'bad-name'"
    assert [{"n": 0}] == clinic.sql(count)
    body = {"type": 1, "username_bigint": 77, "password_bigint": 12345678}
    assert 200 == clinic.call("POST", "/auth/signup-bigint", json=body).status_code
    until(clinic, ["welcome: new nora", "welcome: new 77"], "welcome")


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_the_end_of_an_account_calls_the_hooks_of_users(clinic, mode):
    """In one transaction with it; a hook may refuse it."""
    eve = clinic.person(name="held")
    path = f"/my/account-delete?mode={mode}"
    refused = clinic.call("DELETE", path, eve)
    assert (409, "invoice.open") == (refused.status_code, refused.json()["code"])
    assert [] == traces(clinic, "left")
    assert eve.id == clinic.message("GET", "/my/profile", eve)["id"]
    clinic.sql("update users set name = 'free' where id = $1", eve.id)
    assert "done" == clinic.message("DELETE", path, eve)
    assert ["left: free"] == traces(clinic, "left")
    assert 401 == clinic.call("GET", "/my/profile", eve).status_code
    found = clinic.sql("select is_deleted from users where id = $1", eve.id)
    assert found == ([{"is_deleted": 1}] if mode == "soft" else [])


def test_deleted_messages_call_their_hooks(clinic, eve):
    """One, or all of them."""
    other = clinic.person()
    body = [{"user_id": eve.id, "description": str(n)} for n in range(3)]
    path = "/my/object-create?table=message"
    first, *_ = clinic.message("POST", path, other, json=body)
    single = f"/my/message-delete-single?id={first}"
    assert 0 == clinic.message("DELETE", single, clinic.person())
    assert 1 == clinic.message("DELETE", single, eve)
    assert 2 == clinic.message("DELETE", "/my/message-delete-bulk?mode=all", eve)
    assert [f"gone: {eve.id}"] * 3 == traces(clinic, "gone")


def test_change_of_ones_account_calls_the_hooks_of_users(clinic):
    """With the row as it was."""
    body = {"type": 1, "username": "olga", "password": "long enough"}
    token = clinic.call("POST", "/auth/signup", json=body).json()["message"]
    headers = {"Authorization": f"Bearer {token}"}
    me = clinic.message("GET", "/my/profile", headers=headers)["id"]

    def change(**columns):
        path, body = "/my/object-update?table=users", {"id": me, **columns}
        return clinic.call("PUT", path, headers=headers, json=body)

    assert "Choose another name." == change(name="rude").json()["message"]
    assert me == change(country="IN").json()["message"]
    (row,) = clinic.sql(
        "select name, country, updated_by_id from users where id=$1", me
    )
    assert {"name": "new olga of IN", "country": "IN", "updated_by_id": me} == row


def test_cached_answers_are_dropped(tmp_path):
    """By a write of a table with hooks, as by any; what follows a commit is done before
    the server ends."""
    config = CONFIG + (
        'config_api["/my/object-read"] = {"cache_sec": ["inmemory", 60]}\n'
    )
    code = copied(tmp_path, **{**FILES, "config_clinic": config})
    with serve(code=code) as served:
        clinic = opened(served)
        eve = clinic.person()
        read = "/my/object-read?table=booking&column=id"
        assert [] == clinic.message("GET", read, eve)
        row_id = made(clinic, eve, {"code": "a"})
        assert [{"id": row_id}] == clinic.message("GET", read, eve)
        body = {"table": "booking", "ids": [row_id]}
        clinic.message("DELETE", "/my/ids-delete", eve, json=body)
        assert [] == clinic.message("GET", read, eve)
        made(clinic, eve, {"code": "farewell"})
        clinic.http.close()
        served.process.terminate()
        served.process.wait(30)
        assert "the farewell is sent" in served.log.read_text()


def test_misnamed_hooks_stop_the_start(tmp_path):
    """All at once, each with the nearest right word."""
    text = """
async def before_create_bookin(row, hook): ...
async def before_craete_booking(row, hook): ...
async def befor_create_booking(row, hook): ...
def after_create_booking(row, hook): ...
async def after_update_booking(row): ...
"""
    code, shown = started(copied(tmp_path, config_clinic=CONFIG, hook_a=text))

    assert 0 != code
    for words in (
        "before_create_bookin: no table 'bookin'. Did you mean 'booking'?",
        "before_craete_booking: 'craete' is not a verb. Did you mean 'create'?",
        "befor_create_booking: 'befor' is not a time of a hook. Did you mean 'before'?",
        "after_create_booking: it must be async def",
        "after_update_booking: it must take (row, hook)",
    ):
        assert f"hook_a.py: {words}" in shown, shown
