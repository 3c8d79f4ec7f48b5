"""`config_table`: what each tier reaches, in every way a row can be reached."""

import itertools
import json
import secrets
import subprocess
import sys
import time

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import serving
from tests.served import environment

CONFIG = """
config_postgres_schema = {"table": {
    "clinic": ["created_by_id-bigint-0-0", "name-text-1-0"],
    "staff": ["user_id-bigint-1-btree", "clinic_id-bigint-1-btree", "role-text-1-0"],
    "patient": ["user_id-bigint-1-btree", "name-text-1-0"],
    "doctor": ["clinic_id-bigint-0-btree", "name-text-1-0", "city-text-0-0",
               "salary-integer-0-0"],
    "booking": ["created_by_id-bigint-0-btree", "clinic_id-bigint-1-btree",
                "patient_id-bigint-1-btree", "state-text-0-0", "note-text-0-0",
                {"name": "code", "datatype": "text", "unique": 1}],
    "paper": ["created_by_id-bigint-0-0", "is_deleted-smallint-0-0",
              "is_protected-smallint-0-0", "title-text-0-0"],
    "memo": ["created_by_id-bigint-0-0", "is_deleted-smallint-0-0", "title-text-0-0"],
    "locker": ["name-text-0-0"],
    "flag": ["created_by_id-bigint-0-0", "title-text-0-0"],
    "seat": ["clinic_id-bigint-1-btree", "note-text-0-0", "room_id-bigint-0-0",
             {"name": "code", "datatype": "text", "unique": 1},
             {"name": "label", "datatype": "text", "unique": 1}],
    "sealed": ["created_by_id-bigint-0-0", "title-text-0-0"],
    "room": ["clinic_id-bigint-1-btree", "name-text-0-0"],
}, "query": {"lockers":
    "create function lockers_of(who bigint) returns setof bigint language plpgsql"
    " stable as 'begin return query select id from locker where name = who::text; end'",
}}
config_scope = {
    "my_locker": "select lockers_of(:me)",
    "my_clinic": "select clinic_id from Staff where user_id = :me",
    "my_desk": "select clinic_id from staff where user_id = :me and role = 'reception'",
    "my_patient": "select id from patient where user_id = :me",
}
config_role = {
    "reception": "select 1 from staff where user_id = :me and role = 'reception'",
}
config_table = {
    "clinic": {"public": {"read": 1}},
    "doctor": {"public": {"read": {"column": ["id", "name", "city"]}}},
    "patient": {"my": {"read": "user_id = :me"}},
    "booking": {"my": {
        "read": "patient_id in my_patient or clinic_id in my_clinic",
        "create": {"check": "patient_id in my_patient", "preset": {"state": "'open'"},
                   "most": 3},
        "update": {"where": "clinic_id in my_desk", "column": ["state", "clinic_id"]},
        "delete": {"where": "clinic_id in my_desk", "role": ["reception"]}}},
    "paper": {"my": "owner", "soft_delete": "is_deleted"},
    "memo": {"soft_delete": "is_deleted", "my": {
        "read": "owner", "create": "owner",
        "update": {"where": "owner", "column": ["title", "is_deleted"]}}},
    "room": {"my": 1},
    "locker": {"my": {"read": "id in my_locker"}},
    "flag": {"my": {"read": "owner", "create": "owner", "delete": 1,
                    "update": {"role": ["reception"]}},
             "public": {"create": {"column": ["title"]}}},
    "seat": {"my": {"create": "clinic_id in my_desk", "update": "clinic_id in my_desk",
                    "read": 1}},
}
config_tenant = {"column": "clinic_id", "of": "my_clinic",
                 "exempt": ["clinic", "staff", "doctor", "booking", "seat"]}
config_api = {"/my/object-read": {"cache_sec": ["inmemory", 60]}}
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """A clinic with three users: a patient, a stranger, the reception of clinic 1."""
    with serving(tmp_path_factory.mktemp("rules"), config_clinic=CONFIG) as running:
        running.patient, running.other = running.person(), running.person()
        running.desk = running.person()
        running.admin = running.person(api_access="1,2,3,4,5,6")
        for text in (
            "insert into clinic (name) values ('north'), ('south')",
            f"insert into patient (user_id, name) values ({running.patient.id}, 'p'),"
            f" ({running.other.id}, 'o')",
            "insert into staff (user_id, clinic_id, role) values"
            f" ({running.desk.id}, 1, 'reception')",
            "insert into doctor (clinic_id, name, city, salary)"
            " values (1, 'dee', 'york', 100)",
        ):
            running.sql(text)
        yield running


def made(api, **columns):
    """Add a booking of the patient in clinic 1, by the table's own rule."""
    body = {"clinic_id": 1, "patient_id": 1, **columns}
    return api.message(
        "POST", "/my/object-create?table=booking", api.patient, json=body
    )


def ids(api, who, query=""):
    """Return the ids of the bookings that a user reads."""
    rows = api.message("GET", f"/my/object-read?table=booking{query}", who)
    return {row["id"] for row in rows}


def status(api, method, path, who, **options):
    """Return the status and the code of an answer."""
    answer = api.call(method, path, who, **options)
    return answer.status_code, answer.json().get("code")


CLOSED = (403, "row.table_not_allowed")
REFUSED = (403, "row.rule_refused")
MISSING = (404, "row.missing")


def test_what_no_entry_opens_is_closed(api):
    """On every way of /my and /public; admins reach it."""
    one = {"json": {"title": "x"}}
    for method, path, options in (
        ("GET", "/my/object-read?table=sealed", {}),
        ("POST", "/my/object-create?table=sealed", one),
        ("POST", "/my/object-create?table=sealed&queue=batch", one),
        ("PUT", "/my/object-update?table=sealed", {"json": {"id": 1, "title": "x"}}),
        ("DELETE", "/my/object-delete-any?table=sealed&id==,1", {}),
        ("DELETE", "/my/ids-delete", {"json": {"table": "sealed", "ids": "1"}}),
        ("GET", "/my/rows/sealed", {}),
        ("GET", "/my/rows/sealed/1", {}),
        ("GET", "/public/object-read?table=sealed", {}),
        ("POST", "/my/object-create?table=doctor", {"json": {"name": "x"}}),
        ("GET", "/my/object-read?table=doctor", {}),
    ):
        assert status(api, method, path, api.patient, **options) == CLOSED, path
    path = "/admin/object-read?table=sealed"
    assert [] == api.message("GET", path, api.admin)


def test_a_condition_decides_what_is_read(api):
    """The patient and the staff of the clinic see it, a stranger does not."""
    booking = made(api)

    assert booking in ids(api, api.patient)
    assert booking in ids(api, api.desk)
    assert booking not in ids(api, api.other)
    assert 0 == len(ids(api, api.other, f"&id==,{booking}"))
    asked = f"/my/rows/booking/{booking}"
    assert MISSING == status(api, "GET", asked, api.other)
    counted = api.call("GET", "/my/object-read?table=booking&is_count=1", api.other)
    assert 0 == counted.json()["count"]


def test_a_row_is_checked_as_it_becomes(api):
    """Nobody books for another; a list is all or none, and its row is named."""
    body = {"clinic_id": 1, "patient_id": 2}
    path = "/my/object-create?table=booking"
    before = api.sql("select count(*) from booking")
    assert REFUSED == status(api, "POST", path, api.patient, json=body)
    assert REFUSED == status(api, "POST", path + "&queue=batch", api.patient, json=body)
    good = {"clinic_id": 1, "patient_id": 1}
    answer = api.call("POST", path, api.patient, json=[good, body])
    assert (403, True) == (answer.status_code, "Row 1" in answer.json()["message"])
    entries = [{"table": "booking", "object": each} for each in (good, body)]
    answer = api.call("POST", "/my/object-create-many", api.patient, json=entries)
    assert 403 == answer.status_code
    assert before == api.sql("select count(*) from booking")


def test_a_preset_is_set_and_cannot_be_sent(api):
    """By one row, a list, a batch and many tables."""
    path = "/my/object-create?table=booking"
    good = {"clinic_id": 1, "patient_id": 1}
    sent = {**good, "state": "paid"}
    assert 400 == api.call("POST", path, api.patient, json=sent).status_code
    for options in (
        {"path": path, "json": good},
        {"path": path, "json": [good, good]},
        {"path": path + "&queue=batch", "json": good},
        {
            "path": "/my/object-create-many",
            "json": [{"table": "booking", "object": good}],
        },
    ):
        path_of = options.pop("path")
        found = api.message("POST", path_of, api.patient, **options)
        for booking in found if isinstance(found, list) else [found]:
            query = f"&id==,{booking}"
            rows = api.message(
                "GET", f"/my/object-read?table=booking{query}", api.patient
            )
            assert ["open"] == [row["state"] for row in rows]


def test_most_bounds_one_write(api):
    """Three bookings at once, not four."""
    path = "/my/object-create?table=booking"
    good = {"clinic_id": 1, "patient_id": 1}
    answer = status(api, "POST", path, api.patient, json=[good] * 4)
    assert (400, "row.too_many") == answer


def test_update_reaches_its_own_rows_and_columns(api):
    """The desk changes the state of its clinic's bookings; it does not move them."""
    booking, path = made(api), "/my/object-update?table=booking"
    change = {"id": booking, "state": "seen"}
    assert MISSING == status(api, "PUT", path, api.patient, json=change)
    assert booking == api.message("PUT", path, api.desk, json=change)
    assert (
        400
        == api.call(
            "PUT", path, api.desk, json={"id": booking, "note": "x"}
        ).status_code
    )
    moved = {"id": booking, "clinic_id": 2}
    assert REFUSED == status(api, "PUT", path, api.desk, json=moved)
    assert REFUSED == status(api, "PUT", path, api.desk, json=[change, moved][1:])
    many = {"table": "booking", "ids": [booking], "column": "clinic_id", "value": 2}
    assert REFUSED == status(api, "PUT", "/my/ids-update", api.desk, json=many)
    (row,) = api.message(
        "GET", f"/my/object-read?table=booking&id==,{booking}", api.desk
    )
    assert ("seen", 1) == (row["state"], row["clinic_id"])


def test_upsert_is_held_on_both_sides(api):
    """Adding by the rule of create, changing by that of update."""
    path = "/my/object-create?table=booking&on_conflict=code&mode="
    good = {"clinic_id": 1, "patient_id": 1, "code": "u1"}
    first = api.message("POST", path + "ignore", api.patient, json=good)
    assert first == api.message("POST", path + "ignore", api.patient, json=good)
    theirs = {"clinic_id": 1, "patient_id": 2, "code": "u1"}
    assert api.message("POST", path + "ignore", api.other, json=theirs) is None
    strange = {**good, "code": "u2"}
    assert REFUSED == status(api, "POST", path + "ignore", api.other, json=strange)
    # patient_id is in the body and no column of update
    assert 400 == api.call("POST", path + "merge", api.desk, json=good).status_code


def test_a_merge_is_checked_as_an_insert_and_as_an_update(api):
    """What it adds, reaches and leaves behind; a list is all or none."""
    path = "/my/object-create?table=seat&on_conflict=code&mode=merge"
    api.sql("insert into seat (clinic_id, code) values (1, 'here'), (2, 'there')")

    def merged(**seat):
        return status(api, "POST", path, api.desk, json=seat)

    assert REFUSED == merged(clinic_id=2, code="new")
    assert (200, None) == merged(clinic_id=1, code="here", note="a")
    assert REFUSED == merged(clinic_id=2, code="here")
    assert (409, "row.exists") == merged(clinic_id=1, code="there", note="a")
    seats = [{"clinic_id": 1, "code": "one"}, {"clinic_id": 2, "code": "here"}]
    assert REFUSED == status(api, "POST", path, api.desk, json=seats)
    found = api.sql("select clinic_id, code, note from seat order by code")
    assert [(1, "here", "a"), (2, "there", None)] == [(*r.values(),) for r in found]


def test_a_filter_finds_only_what_may_be_read(api):
    """Whoever may delete any row still asks no questions about those of others."""
    body = {"json": {"title": "mine"}}
    flag = api.message("POST", "/my/object-create?table=flag", api.other, **body)
    path = "/my/object-delete-any?table=flag&title==,mine"
    assert 0 == api.message("DELETE", path, api.patient)
    assert 1 == api.message("DELETE", path, api.other)
    flag = api.message("POST", "/my/object-create?table=flag", api.other, **body)
    one = {"json": {"table": "flag", "ids": [flag]}}
    assert 1 == api.message("DELETE", "/my/ids-delete", api.patient, **one)


def test_delete_needs_role_and_rows(api):
    """By ids, by filter, by one key: nothing of what is not reached."""
    booking = made(api)
    one = {"json": {"table": "booking", "ids": [booking]}}
    assert 0 == api.message("DELETE", "/my/ids-delete", api.patient, **one)
    path = f"/my/object-delete-any?table=booking&id==,{booking}"
    assert 0 == api.message("DELETE", path, api.patient)
    assert MISSING == status(api, "DELETE", f"/my/rows/booking/{booking}", api.other)
    assert 1 == api.message("DELETE", path, api.desk)


def test_columns_that_are_not_listed_do_not_exist(api):
    """Neither shown, nor filtered, nor ordered, nor in a relation."""
    (row,) = api.message("GET", "/public/object-read?table=doctor")
    assert {"id", "name", "city"} == set(row)
    for query in ("salary=>,1", "order=salary", "column=salary", "group_by=salary"):
        answer = status(api, "GET", f"/public/object-read?table=doctor&{query}", None)
        assert (400, "sql.unknown_column") == answer, query
    answer = api.call("GET", "/public/object-read?table=clinic&relation=doctor")
    assert "sql.unknown_relation" == answer.json()["code"]
    assert "are not shown" in answer.json()["hint"]


def test_anyone_is_told_only_what_is_public(api):
    """/public/info lists columns that are shown or sent there, and no other table."""
    told = api.message("GET", "/public/info")["postgres_schema"]
    assert {"id", "name", "city"} == told["doctor"].keys()
    assert {"title"} == told["flag"].keys()
    assert not {"booking", "paper", "users", "staff"} & told.keys()


def test_relations_are_under_the_rule_of_their_table(api):
    """Counts too; what is public is shown to users as well."""
    made(api)
    rows = api.message(
        "GET", "/my/object-read?table=booking&relation=patient_id(name)", api.desk
    )
    assert {None} == {row["patient"] for row in rows}  # not the desk's own patient
    rows = api.message(
        "GET",
        "/my/object-read?table=booking&relation=patient_id(name),clinic_id(name)",
        api.patient,
    )
    assert {"p"} == {row["patient"]["name"] for row in rows}
    assert {"north"} == {row["clinic"]["name"] for row in rows}
    rows = api.message(
        "GET", "/my/object-read?table=patient&relation=booking:count", api.patient
    )
    assert rows[0]["booking_count"] == len(ids(api, api.patient, "&limit=1000"))


def test_a_change_of_membership_drops_what_it_opened(api):
    """A cached answer ends when the table of a scope is written."""
    made(api)
    late = api.person()
    assert set() == ids(api, late)
    body = {"user_id": late.id, "clinic_id": 1, "role": "nurse"}
    api.message("POST", "/admin/object-create?table=staff", api.admin, json=body)
    assert ids(api, late)


def test_tenants_are_kept_apart(api):
    """The column is stamped; another's cannot be named; admins are held, too."""
    path = "/my/object-create?table=room"
    room = api.message("POST", path, api.desk, json={"name": "a"})
    (row,) = api.message("GET", "/my/object-read?table=room", api.desk)
    assert (room, 1) == (row["id"], row["clinic_id"])
    assert [] == api.message("GET", "/my/object-read?table=room", api.patient)
    other = {"name": "b", "clinic_id": 2}
    assert REFUSED == status(api, "POST", path, api.desk, json=other)
    assert 400 <= api.call("POST", path, api.patient, json={"name": "c"}).status_code


def test_what_is_deleted_softly_is_gone_for_all_routes(api):
    """It is marked, left out of reads and counts, and not changed any more."""
    path = "/my/object-create?table=paper"
    paper = api.message("POST", path, api.patient, json={"title": "x"})
    one = {"json": {"table": "paper", "ids": [paper]}}
    assert 1 == api.message("DELETE", "/my/ids-delete", api.patient, **one)
    (row,) = api.sql(f"select is_deleted from paper where id = {paper}")
    assert 1 == row["is_deleted"]
    for who, tier in ((api.patient, "my"), (api.admin, "admin")):
        asked = f"/{tier}/object-read?table=paper&id==,{paper}"
        assert [] == api.message("GET", asked, who)
    asked = f"/admin/object-read?table=paper&id==,{paper}&deleted=1"
    assert [paper] == [row["id"] for row in api.message("GET", asked, api.admin)]
    asked = f"/admin/rows/paper?id==,{paper}&deleted=1"
    assert [paper] == [row["id"] for row in api.message("GET", asked, api.admin)]
    asked = f"/admin/rows/paper/{paper}"
    assert MISSING == status(api, "GET", asked, api.admin)
    assert paper == api.message("GET", f"{asked}?deleted=1", api.admin)["id"]
    document = api.call("GET", "/openapi.json").json()["paths"]
    for tier in ("admin", "my"):
        read = document[f"/{tier}/rows/paper/{{id}}"]["get"]
        assert (tier == "admin") is ("deleted" in json.dumps(read["parameters"]))
    asked = f"/my/rows/paper/{paper}?deleted=1"
    assert 400 == api.call("GET", asked, api.patient).status_code
    asked = f"/my/object-read?table=paper&id==,{paper}&deleted=1"
    assert 400 == api.call("GET", asked, api.patient).status_code
    change = {"id": paper, "title": "y"}
    path = "/my/object-update?table=paper"
    assert MISSING == status(api, "PUT", path, api.patient, json=change)
    assert 0 == api.message("DELETE", "/my/ids-delete", api.patient, **one)


def test_users_are_an_allow_list(api):
    """One's own row is read; others show three columns."""
    (me,) = api.message("GET", "/my/object-read?table=users", api.patient)
    assert me["id"] == api.patient.id
    assert "password" not in me
    mine = api.message(
        "POST", "/my/object-create?table=test", api.patient, json={"title": "x"}
    )
    for tier, who in (("public", None), ("my", api.patient)):
        path = f"/{tier}/object-read?table=test&id==,{mine}&relation=created_by_id(*)"
        (row,) = api.message("GET", path, who)
        assert {"id", "username", "name"} == row["created_by"].keys()
        path = f"/{tier}/object-read?table=test&id==,{mine}&creator_key=email"
        assert 400 == api.call("GET", path, who).status_code


def test_a_role_narrows_who_writes(api):
    """Any row of a table, but for the reception alone."""
    flag = api.message(
        "POST", "/my/object-create?table=flag", api.other, json={"title": "x"}
    )
    change = {"json": {"id": flag, "title": "y"}}
    path = "/my/object-update?table=flag"
    assert MISSING == status(api, "PUT", path, api.other, **change)
    assert flag == api.message("PUT", path, api.desk, **change)


def test_a_refused_change_does_not_say_which_rows_are_there(api):
    """A code that is taken in another clinic, and one that is free: the same words."""
    taken, own = f"taken {secrets.token_hex(4)}", f"own {secrets.token_hex(4)}"
    free = f"free {secrets.token_hex(4)}"
    api.sql("insert into seat (clinic_id, code, label) values (2, $1, $1)", taken)
    path = "/my/object-create?table=seat"
    seat = api.message("POST", path, api.desk, json={"clinic_id": 1, "code": own})
    over = "/my/object-create?table=seat&on_conflict=code&mode=merge"

    def answers(code):
        away, same = {"clinic_id": 2, "label": code}, {"clinic_id": 2, "code": own}
        entries = [
            {"table": "room", "object": {"name": "r", "clinic_id": 1}, "as": "room"},
            {"table": "seat", "object": {**away, "room_id": "$room.id"}},
        ]
        for method, path, body in (
            ("PUT", "/my/object-update?table=seat", {"id": seat, **away}),
            ("PUT", "/my/object-update?table=seat", [{"id": seat, **away}]),
            ("PATCH", f"/my/rows/seat/{seat}", away),
            ("POST", over, {**same, "label": code}),
            ("POST", over, [{**same, "label": code}]),
            ("POST", "/my/object-create-many", entries),
            ("POST", "/my/object-create?table=seat", away),
            ("POST", "/my/object-create?table=seat", [away]),
        ):
            answer = api.call(method, path, api.desk, json=body)
            kept = {k: v for k, v in answer.json().items() if k != "request_id"}
            yield method, path, answer.status_code, kept

    assert list(answers(free)) == (refused := list(answers(taken)))
    assert {403} == {status for _, _, status, _ in refused}, refused


def test_a_rule_that_breaks_closes_its_table(api):
    """A column renamed by hand: 503 by name, and open again when it is back."""
    made(api)
    api.sql("alter table staff rename column role to job")
    api.message("GET", "/root/reset-global", "root")
    try:
        change = {"json": {"id": 1, "state": "x"}}
        answer = status(
            api, "PUT", "/my/object-update?table=booking", api.desk, **change
        )
        assert (503, "row.rule_broken") == answer
        health = api.call("GET", "/health").text
        assert "booking" in health
        assert api.message("GET", "/my/object-read?table=booking", api.patient)
    finally:
        api.sql("alter table staff rename column job to role")
        api.message("GET", "/root/reset-global", "root")
    assert MISSING == status(
        api,
        "PUT",
        "/my/object-update?table=booking",
        api.desk,
        json={"id": 10**9, "state": "x"},
    )


def test_a_rule_opens_again_by_itself(api):
    """What a scope calls is gone and back: the request that meets it heals."""
    path, limits = "/my/object-read?table=locker", itertools.count(1)

    def asked():
        return f"{path}&limit={next(limits)}"  # another each time: none is cached

    api.sql(f"insert into locker (name) values ('{api.patient.id}')")
    assert 1 == len(api.message("GET", asked(), api.patient))
    broken = (503, "row.rule_broken")
    for away, back in (
        (
            "alter function lockers_of(bigint) rename to gone_of",
            "alter function gone_of(bigint) rename to lockers_of",
        ),
        (
            "alter table locker rename column id to number",
            "alter table locker rename column number to id",
        ),
    ):
        api.sql(away)
        try:
            for _ in range(2):
                assert broken == status(api, "GET", asked(), api.patient)
            assert "locker" in api.call("GET", "/health").json()["message"]["closed"]
        finally:
            api.sql(back)
        time.sleep(0.3)  # not more often than five times a second
        assert 1 == len(api.message("GET", asked(), api.patient))
        assert "closed" not in api.call("GET", "/health").json()["message"]


def test_a_protected_row_is_not_marked_as_deleted(api):
    """By ids, by a list, by filter and by its key: as the delete it stands for."""
    paper = api.message(
        "POST", "/my/object-create?table=paper", api.patient, json={"title": "kept"}
    )
    api.sql(f"update paper set is_protected = 1 where id = {paper}")
    for method, path, options in (
        ("DELETE", "/my/ids-delete", {"json": {"table": "paper", "ids": [paper]}}),
        ("DELETE", "/my/ids-delete", {"json": {"table": "paper", "ids": [0, paper]}}),
        ("DELETE", f"/my/object-delete-any?table=paper&id==,{paper}", {}),
        ("DELETE", f"/my/rows/paper/{paper}", {}),
    ):
        answer = api.call(method, path, api.patient, **options)
        assert (409, "row.refused") == (answer.status_code, answer.json()["code"])
        words = f'Row {paper} of "paper" is protected and cannot be deleted.'
        assert words == answer.json()["message"]
    (row,) = api.sql(f"select is_deleted from paper where id = {paper}")
    assert row["is_deleted"] is None


def test_a_mark_of_deleted_rows_is_not_sent(api):
    """Who may not delete a row does not mark it; where the mark is listed, they do."""
    path = "/my/object-create?table={}"
    paper = api.message("POST", path.format("paper"), api.patient, json={"title": "x"})
    mark = {"is_deleted": 1}
    entries = [{"table": "paper", "object": mark}]
    ids = {"table": "paper", "ids": [paper], "column": "is_deleted", "value": 1}
    for method, path_of, body in (
        ("PUT", "/my/object-update?table=paper", {"id": paper, **mark}),
        ("PUT", "/my/object-update?table=paper", [{"id": paper, **mark}]),
        ("PATCH", f"/my/rows/paper/{paper}", mark),
        ("PUT", "/my/ids-update", ids),
        ("POST", "/my/object-create?table=paper", mark),
        ("POST", "/my/object-create?table=paper&queue=batch", mark),
        ("POST", "/my/object-create-many", entries),
    ):
        answer = status(api, method, path_of, api.patient, json=body)
        assert (400, "row.managed_column") == answer, path_of
    memo = api.message("POST", path.format("memo"), api.patient, json={"title": "x"})
    change = {"id": memo, **mark}
    assert memo == api.message(
        "PUT", "/my/object-update?table=memo", api.patient, json=change
    )
    assert [] == api.message("GET", "/my/object-read?table=memo", api.patient)
    schemas = api.call("GET", "/openapi.json").json()["components"]["schemas"]
    assert "is_deleted" not in schemas["paper_create"]["properties"]
    assert "is_deleted" in schemas["memo_update"]["properties"]


def test_schema_plan_names_columns_of_rules_without_an_index(api, tmp_path):
    """Not those that have one, or get one by this plan."""
    code = copied(tmp_path, config_clinic=CONFIG)
    done = subprocess.run(
        [sys.executable, "main.py", "schema", "plan"],
        cwd=code,
        env=environment({**api.config, "config_postgres_url": api.database}),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert 0 == done.returncode, done.stderr
    noted = "Note: config_table asks each row for {}, which has no index."
    for column in ("paper.created_by_id", "patient.user_id"):
        is_noted = noted.format(column) in done.stdout
        assert is_noted is (column == "paper.created_by_id"), done.stdout
