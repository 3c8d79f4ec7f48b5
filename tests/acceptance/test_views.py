"""Views and generated columns over HTTP: read like tables and columns, not written.

A view is read under its own entry in `config_table`.
"""

import json
import subprocess
import sys

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import serving
from tests.served import environment

CONFIG = """
config_postgres_schema = {
    "table": {
        "booking": [
            "created_by_id-bigint-1-btree", "clinic_id-bigint-1-btree",
            "state-text-0-0", "price-numeric-1-0", "qty-integer-1-0",
            {"name": "total", "datatype": "numeric", "is_mandatory": 1,
             "index": "btree", "generated": "price * qty"},
            {"index": ["clinic_id"], "where": "state = 'open'", "unique": 1},
        ],
    },
    "view": {
        "clinic_load": {
            "sql": "select clinic_id, count(*) as bookings, sum(total) as worth,"
                   " max(state) as state from booking group by 1",
            "key": "clinic_id",
        },
        "my_load": {
            "sql": "select min(id) as id, created_by_id, count(*) as n from booking"
                   " group by created_by_id",
        },
        "kept_load": {"sql": "select * from clinic_load", "key": "clinic_id",
                      "materialized": 1},
    },
}
config_table = {
    "booking": {"my": "owner"},
    "clinic_load": {"public": {"read": 1}, "my": {"read": 1}},
    "kept_load": {"public": {"read": 1}},
    "my_load": {"my": "owner"},
}
config_api = {
    "/public/object-read": {"cache_sec": ["inmemory", 60, "shared"]},
    "/my/object-read": {"cache_sec": ["inmemory", 60]},
}
"""


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """A server with views over bookings."""
    with serving(tmp_path_factory.mktemp("views"), config_views=CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def eve(clinic):
    """A user."""
    return clinic.person()


@pytest.fixture(scope="module")
def admin(clinic):
    """A user with every api id."""
    return clinic.person(api_access="1,2,3,4,5,6")


def book(clinic, who, **values):
    """Make a booking by its route."""
    row = {"clinic_id": 1, "price": 2, "qty": 3, **values}
    return clinic.message("POST", "/my/object-create?table=booking", who, json=row)


@pytest.fixture(autouse=True)
def bookings(clinic, eve, admin):
    """Begin each test with three bookings, in two clinics, of two users."""
    clinic.sql("delete from booking")
    for who, number in ((eve, 1), (eve, 2), (admin, 2)):
        book(clinic, who, clinic_id=number)


LOAD = "/public/object-read?table=clinic_load"
MINE = "/my/object-read?table=my_load"


class TestView:
    """What is declared as a view."""

    def test_is_read_filtered_sorted_and_counted(self, clinic, eve, admin):
        """On every tier, by every way to read."""
        whole = {"clinic_id": 1, "bookings": 1, "worth": 6, "state": None}
        for path in (
            f"{LOAD}&order=clinic_id&limit=1",
            f"{LOAD}&bookings=<,2",
            f"{LOAD}&clinic_id==,1",
        ):
            assert [whole] == clinic.message("GET", path, eve), path
        path = "/admin/object-read?table=clinic_load&order=clinic_id"
        assert [1, 2] == [r["clinic_id"] for r in clinic.message("GET", path, admin)]

    def test_pages_go_by_its_key(self, clinic):
        """The cursor is the key of the last row."""
        first = clinic.call("GET", f"{LOAD}&limit=1&cursor=").json()
        again = clinic.call(
            "GET", f"{LOAD}&limit=1&cursor={first['next_cursor']}"
        ).json()

        ids = [row["clinic_id"] for each in (first, again) for row in each["message"]]
        assert [2, 1] == ids

    def test_one_row_is_found_by_its_key(self, clinic):
        """As a row of a table is."""
        row = clinic.message("GET", "/public/rows/clinic_load/2")

        assert (2, 2) == (row["clinic_id"], row["bookings"])

    def test_typed_route_is_in_openapi_without_writes(self, clinic):
        """A client is generated from it."""
        paths = clinic.call("GET", "/openapi.json", "root").json()["paths"]
        place = paths["/public/rows/clinic_load"]

        assert {"get"} == set(place)
        assert "clinic_load" in json.dumps(place)

    def test_view_with_owner_shows_ones_own(self, clinic, eve):
        """The condition of its entry goes over the view as over a table."""
        (row,) = clinic.message("GET", MINE, eve)

        assert (eve.id, 2) == (row["created_by_id"], row["n"])

    WRITES = (
        ("POST", "object-create?table={}", {"state": "x"}),
        ("POST", "object-create?table={}", [{"state": "x"}]),
        ("POST", "object-create?table={}&on_conflict=id&mode=merge", {"id": 1}),
        ("PUT", "object-update?table={}", {"id": 1, "state": "x"}),
        ("PUT", "object-update?table={}", [{"id": 1, "state": "x"}]),
        ("PUT", "ids-update", {"ids": [1], "column": "state", "value": "x"}),
        ("DELETE", "ids-delete", {"ids": [1]}),
        ("PATCH", "rows/{}/1", {"state": "x"}),
        ("DELETE", "rows/{}/1", None),
    )

    @pytest.mark.parametrize(("method", "path", "body"), WRITES)
    @pytest.mark.parametrize("place", ["my/my_load", "admin/clinic_load"])
    def test_no_route_writes_it(self, clinic, admin, place, method, path, body):
        """Each answers 403 in the one shape, and nothing changes."""
        before = clinic.sql("select count(*), max(state) from booking")
        tier, view = place.split("/")
        if isinstance(body, dict) and "ids" in body:
            body = {**body, "table": view}

        path = f"/{tier}/{path.format(view)}"
        answer = clinic.call(method, path, admin, json=body)

        assert 403 == answer.status_code, answer.text
        wanted = f"'{view}' is a view: its rows are read, never written."
        assert wanted == answer.json()["message"]
        assert before == clinic.sql("select count(*), max(state) from booking")

    def test_no_queue_writes_it(self, clinic, eve):
        """It is refused before it is put there."""
        path = "/my/object-create?table=my_load&queue=batch"

        answer = clinic.call("POST", path, eve, json={"state": "x"})

        assert 403 == answer.status_code, answer.text

    def test_no_import_writes_it(self, clinic):
        """An export reads it."""
        answer = clinic.call(
            "POST",
            "/root/postgres-import",
            "root",
            data={"mode": "create", "table": "clinic_load"},
            files={"file": ("a.csv", "clinic_id\n9\n", "text/csv")},
        )

        assert 403 == answer.status_code, answer.text
        assert "is a view" in answer.json()["message"]

    def test_cached_answer_is_dropped_when_a_table_under_it_is_written(
        self, clinic, eve
    ):
        """For all its readers at once."""
        for path, count in ((LOAD, "bookings"), (MINE, "n")):
            before = clinic.message("GET", path, eve)
            assert before == clinic.message("GET", path, eve)
            book(clinic, eve, clinic_id=2)

            after = clinic.message("GET", path, eve)
            assert before[0][count] + 1 == after[0][count]

    def test_materialized_one_shows_the_last_refresh(self, clinic):
        """Concurrently, for it has the unique index of its key."""
        kept = "/public/object-read?table=kept_load&limit=5&order=clinic_id"
        clinic.sql("refresh materialized view concurrently kept_load")

        assert [1, 2] == [r["clinic_id"] for r in clinic.message("GET", kept)]

    def test_undeclared_view_is_not_a_table(self, clinic, admin):
        """Only what is declared is offered."""
        clinic.sql("create or replace view by_hand as select id from users")

        answer = clinic.call("GET", "/admin/object-read?table=by_hand", admin)

        assert 404 == answer.status_code


class TestGeneratedColumn:
    """`"generated"`."""

    def test_is_shown_filtered_and_sorted(self, clinic, eve):
        """As any column."""
        book(clinic, eve, qty=5)
        path = "/my/object-read?table=booking&total=>,6&order=total desc"

        assert [10] == [row["total"] for row in clinic.message("GET", path, eve)]

    def test_is_never_written(self, clinic, eve):
        """By any way, with one message."""
        made = book(clinic, eve)
        row = {"clinic_id": 1, "price": 2, "qty": 3, "total": 7}
        for method, path, body in (
            ("POST", "/my/object-create?table=booking", row),
            ("POST", "/my/object-create?table=booking", [row]),
            ("PUT", "/my/object-update?table=booking", {"id": made, "total": 7}),
            ("PATCH", f"/my/rows/booking/{made}", {"total": 7}),
        ):
            answer = clinic.call(method, path, eve, json=body)
            assert 400 == answer.status_code, answer.text
            assert "column 'total' is computed" in answer.json()["message"].lower()

    def test_unique_among_some_rows(self, clinic, eve):
        """A second open booking is refused, a closed one is not."""
        book(clinic, eve, clinic_id=3, state="open")
        book(clinic, eve, clinic_id=3, state="done")
        row = {"clinic_id": 3, "price": 2, "qty": 3, "state": "open"}

        answer = clinic.call("POST", "/my/object-create?table=booking", eve, json=row)

        assert 409 == answer.status_code, answer.text

    def test_plan_of_the_server_is_empty(self, clinic):
        """`mode=plan`, after what another tool made."""
        planned = clinic.call("GET", "/root/postgres-init?mode=plan", "root").json()

        assert [] == planned["message"], planned


MORE = """
config_postgres_schema = {
    "table": {"booking": [{"name": "note", "datatype": "text",
                           "generated": "upper(state)"}]},
    "view": {"third_load": {"sql": "select id from booking"}},
    "function": {"one": {"sql": "select 1", "returns": "integer"}},
    "trigger": {"once": {"table": "booking", "on": "after delete", "each": "statement",
                         "function": "suppress_redundant_updates_trigger"}},
    "migration": {"m_1": {"when": "booking.note missing", "sql": "select 1"}},
    "drop": ["by_hand_too"],
}
"""


def test_command_shows_every_form(clinic, tmp_path):
    """Of several config files, each of which adds to it."""
    clinic.sql("create table by_hand_too ()")
    drop = 'config_postgres_schema = {"drop": ["by_hand_three"]}'
    code = copied(tmp_path, config_views=CONFIG, config_more=MORE, config_last=drop)
    values = {**clinic.config, "config_postgres_url": clinic.database}

    done = subprocess.run(
        [sys.executable, "main.py", "schema", "plan", "--sql"],
        cwd=code,
        env=environment(values),
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert 0 == done.returncode, done.stderr
    for words in (
        'add column "note" text generated always as (upper(state)) stored',
        'create view "public"."third_load" as select id from booking',
        'create or replace function public."one"() returns integer',
        'create trigger "once" after delete on "public"."booking"',
        "insert into atom.applied_migration",
        'drop table "public"."by_hand_too"',
    ):
        assert words in done.stdout, done.stdout
    clinic.sql("drop table by_hand_too")
