"""`config_rpc`: routes that run a statement of the operator."""

import time

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import serving
from tests.acceptance.test_drop_in import started

CONFIG = '''
config_postgres_schema = {
    "table": {
        "slot": [
            "doctor_id-bigint-1-btree", "starts_at-timestamptz-1-0",
            "patient_id-bigint-0-0", "note-text-0-0", "price-numeric(10,2)-0-0",
            "place-geography(point)-0-0", "detail-jsonb-0-0",
        ],
        "staff": ["user_id-bigint-1-btree", "role-text-1-0"],
    },
    "query": {
        "mood": "create type mood as enum ('glad', 'sad')",
        "free_slots": """create function free_slots(doctor bigint) returns setof slot
            language sql stable as
            'select * from slot where doctor_id = doctor and patient_id is null
             order by starts_at'""",
        "book": """create function book(which bigint, who bigint) returns setof slot
            language plpgsql as $$
            begin
              return query update slot set patient_id = who
                where id = which and patient_id is null returning *;
              if not found then raise exception 'The slot is taken.'; end if;
            end $$""",
    },
}
config_table = {"slot": {"my": 0}, "staff": {"my": 0}}
config_role = {"desk": "select 1 from staff where user_id = :me and role = 'desk'"}
config_scope = {
    "my_slot": "select id from slot where patient_id = :me",
    "my_role": "select role from staff where user_id = :me",
}
config_token_key_list = "id,is_active,api_access,type"
config_rpc = {
    "GET /public/free-slots": {
        "sql": "select * from free_slots(:doctor)",
        "value": {"doctor": "bigint"},
        "table": ["slot"],
        "cache_sec": ["inmemory", 60, "shared"],
        "help": "The slots of a doctor that are free.",
    },
    "GET /my/is-desk": {
        "sql": "select 'desk' in my_role as is_desk",
        "cache_sec": ["inmemory", 60],
    },
    "POST /my/book": {
        "sql": "select id, starts_at, patient_id from book(:slot, :me)",
        "value": {"slot": "bigint"},
        "table": ["slot"],
    },
    "GET /desk/slots": {
        "sql": "select count(*) as n, :role as role from slot"
               " where starts_at >= :since and note is distinct from :note",
        "value": {
            "since": {"datatype": "timestamptz", "default": "2000-01-01T00:00:00Z"},
            "note": {"datatype": "varchar(5)", "default": None},
        },
        "role": ["desk"],
    },
    "POST /desk/slot": {
        "sql": "insert into slot (doctor_id, starts_at, price, place, detail, note)"
               " values (:doctor, :at, :price, :place, :detail, :note)"
               " returning id, doctor_id, starts_at, price, place, detail",
        "value": {
            "doctor": "bigint", "at": "timestamptz",
            "price": {"datatype": "numeric(10,2)", "default": 10},
            "place": {"datatype": "point", "default": None},
            "detail": {"datatype": "jsonb", "default": None},
            "note": {"datatype": "text", "default": None},
        },
        "role": ["desk"],
    },
    "POST /desk/empty": {"sql": "delete from slot", "role": ["desk"]},
    "GET /public/doctor/{doctor}/slots": {
        "sql": "select id from slot where doctor_id = :doctor order by id",
        "value": {"doctor": "bigint"},
    },
    "GET /my/slots": {
        "sql": "select id from slot where id in my_slot and id > :after",
        "value": {"after": {"datatype": "bigint", "default": 0}},
    },
    "GET /my/name": {
        "sql": "select :me as id, :claim_type as kind, 'it''s :me' as text",
    },
    "GET /public/mood": {
        "sql": "select :mood as mood, :tags as tags",
        "value": {"mood": "mood", "tags": {"datatype": "text[]", "default": []}},
    },
    "GET /public/writes": {
        "sql": "select * from book(:slot, 0)", "value": {"slot": "bigint"},
    },
    "GET /admin/slots": {"sql": "select id from slot", "id": 30},
    "GET /public/sleep": {"sql": "select pg_sleep(20) is null as slept"},
    "GET /public/numbers": {"sql": "select n from generate_series(1, 5000) n"},
    "GET /open": {"sql": "select 1 as one", "is_token": 0},
}
config_read_timeout_ms = 1500
'''
FREE = "/public/free-slots?doctor="


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """A server with routes of config_rpc."""
    with serving(tmp_path_factory.mktemp("clinic"), config_clinic=CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def eve(clinic):
    return clinic.person()


@pytest.fixture(scope="module")
def desk(clinic):
    """A user with the role."""
    made = clinic.person()
    clinic.sql(f"insert into staff (user_id, role) values ({made.id}, 'desk')")
    return made


@pytest.fixture(autouse=True)
def empty(clinic, desk):
    """Begin every test without slots."""
    clinic.message("POST", "/desk/empty", desk, json={})


def slot(clinic, desk, **values):
    body = {"doctor": 7, "at": "2027-01-31T10:00:00+02:00", **values}
    return clinic.message("POST", "/desk/slot", desk, json=body)[0]


def refusal(answer):
    return answer.status_code, answer.json()["code"], answer.json()["message"]


class TestAnswers:
    def test_rows_are_those_of_a_row_route(self, clinic, desk):
        """A time with its offset, a place as GeoJSON, jsonb as an object."""
        made = slot(clinic, desk, place="POINT(77.2 28.6)", detail={"a": 1}, price=12.5)

        assert 7 == made["doctor_id"]
        assert "2027-01-31T08:00:00+00:00" == made["starts_at"]
        assert {"type": "Point", "coordinates": [77.2, 28.6]} == made["place"]
        assert ({"a": 1}, 12.5) == (made["detail"], made["price"])
        (found,) = clinic.message("GET", FREE + "7")
        assert {**made, "patient_id": None, "note": None} == {
            name: found[name] for name in [*made, "patient_id", "note"]
        }
        assert [] == clinic.message("GET", FREE + "8")

    def test_value_of_the_path(self, clinic, desk):
        made = slot(clinic, desk)
        path = "/public/doctor/7/slots"
        assert [{"id": made["id"]}] == clinic.message("GET", path)
        answer = clinic.call("GET", "/public/doctor/x/slots")
        assert (400, "value.unreadable") == refusal(answer)[:2]

    def test_caller_is_bound(self, clinic, eve):
        """:me and a claim; a text that looks like one stays a text."""
        (found,) = clinic.message("GET", "/my/name", eve)
        assert {"id": eve.id, "kind": "1", "text": "it's :me"} == found

    def test_scope_of_the_caller(self, clinic, desk, eve):
        """`in my_slot`, as in a condition."""
        one, two = slot(clinic, desk)["id"], slot(clinic, desk)["id"]
        for slot_id in (one, two):
            clinic.message("POST", "/my/book", eve, json={"slot": slot_id})
        assert [{"id": two}] == clinic.message("GET", f"/my/slots?after={one}", eve)
        assert [] == clinic.message("GET", "/my/slots", desk)

    def test_statement_without_rows_answers_their_number(self, clinic, desk):
        slot(clinic, desk)
        slot(clinic, desk)
        assert 2 == clinic.message("POST", "/desk/empty", desk, json={})

    def test_value_is_never_pasted(self, clinic, desk):
        """Whatever it holds."""
        text = "x'); drop table slot; --"
        slot(clinic, desk, note=text)
        assert [{"note": text}] == clinic.sql("select note from slot")

    def test_limit_and_page(self, clinic):
        """At most config_limit_read_max rows, as of any read."""
        path = "/public/numbers"
        assert 1000 == len(clinic.message("GET", path))
        assert 1000 == len(clinic.message("GET", path + "?limit=4000"))
        found = clinic.message("GET", path + "?limit=3&page=2")
        assert [4, 5, 6] == [row["n"] for row in found]
        for wrong in ("-1", "0", "1.5", "9" * 5000, "٣"):
            assert 400 == clinic.call("GET", f"{path}?limit={wrong}").status_code

    def test_cached_answer_is_dropped_by_a_write_of_its_table(self, clinic, desk, eve):
        """Also when a function writes it."""
        made = slot(clinic, desk)
        deadline = time.monotonic() + 30  # the write is still being published
        while "x-cache" not in (answer := clinic.call("GET", FREE + "7")).headers:
            assert time.monotonic() < deadline
        assert [made["id"]] == [row["id"] for row in answer.json()["message"]]
        clinic.message("POST", "/my/book", eve, json={"slot": made["id"]})
        assert [] == clinic.message("GET", FREE + "7")

    def test_cached_answer_is_dropped_by_a_write_of_what_a_scope_reads(self, clinic):
        """Who joins the desk is seen there at once."""
        late, admin = clinic.person(), clinic.person(api_access="1")
        deadline = time.monotonic() + 30
        while "x-cache" not in clinic.call("GET", "/my/is-desk", late).headers:
            assert time.monotonic() < deadline
        assert [{"is_desk": False}] == clinic.message("GET", "/my/is-desk", late)
        body = {"user_id": late.id, "role": "desk"}
        path = "/admin/object-create?table=staff"
        clinic.message("POST", path, admin, json=body)
        assert [{"is_desk": True}] == clinic.message("GET", "/my/is-desk", late)


class TestWhoMayCall:
    def test_tier_of_the_path(self, clinic, eve):
        """/my needs a token, /admin the id; /public and is_token: 0 nothing."""
        assert "token.missing" == refusal(clinic.call("GET", "/my/name"))[1]
        assert "access.denied" == refusal(clinic.call("GET", "/admin/slots", eve))[1]
        admin, deadline = clinic.person(api_access="30"), time.monotonic() + 30
        while (found := clinic.call("GET", "/admin/slots", admin)).status_code == 403:
            assert time.monotonic() < deadline  # the rights are being published
        assert [] == found.json()["message"]
        assert [{"one": 1}] == clinic.message("GET", "/open")

    def test_role(self, clinic, eve, desk):
        """Asked of the database; and :role has all that the caller has."""
        assert "token.missing" == refusal(clinic.call("GET", "/desk/slots"))[1]
        assert "role.denied" == refusal(clinic.call("GET", "/desk/slots", eve))[1]
        (found,) = clinic.message("GET", "/desk/slots", desk)
        assert {"n": 0, "role": ["desk"]} == found


class TestRefusals:
    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("", "'doctor' is mandatory."),
            ("doctor=x", "'doctor' takes a whole number from"),
            ("doctor=1&doctor=2", "'doctor' is given twice."),
            ("docter=1", "There is no parameter 'docter' here."),
        ],
    )
    def test_value_that_is_wrong_is_named(self, clinic, query, words):
        answer = clinic.call("GET", f"/public/free-slots?{query}")
        assert 400 == answer.status_code
        assert answer.json()["message"].startswith(words)

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({}, "'slot' is mandatory."),
            ({"slot": "x"}, "'slot' takes a whole number from"),
            ({"slot": 1, "sloot": 2}, "There is no value 'sloot' here."),
            ([], "The body takes an object."),
        ],
    )
    def test_body_that_is_wrong_is_named(self, clinic, eve, body, words):
        answer = clinic.call("POST", "/my/book", eve, json=body)
        assert 400 == answer.status_code
        assert answer.json()["message"].startswith(words)

    def test_value_that_only_postgresql_knows_is_named(self, clinic):
        """An enum, with its words; and one too long for its datatype."""
        path = "/public/mood?mood="
        found = clinic.message("GET", path + "glad&tags=a,b")
        assert [{"mood": "glad", "tags": ["a", "b"]}] == found
        status, code, message = refusal(clinic.call("GET", path + "angry"))
        assert (400, "value.unreadable") == (status, code)
        assert message.startswith("'mood'")

    def test_too_long_for_its_datatype(self, clinic, desk):
        answer = clinic.call("GET", "/desk/slots?note=abcdefg", desk)
        assert (422, "'note' takes at most 5 characters.") == (
            answer.status_code,
            answer.json()["message"],
        )

    def test_exception_of_a_function(self, clinic, eve):
        """In its own words, as of a trigger."""
        answer = clinic.call("POST", "/my/book", eve, json={"slot": 12345})
        assert (409, "row.refused", "The slot is taken.") == refusal(answer)

    def test_get_only_reads(self, clinic, desk):
        """Also when the function would write."""
        made = slot(clinic, desk)
        answer = clinic.call("GET", f"/public/writes?slot={made['id']}")
        assert (403, "row.readonly") == refusal(answer)[:2]
        assert [{"patient_id": None}] == clinic.sql("select patient_id from slot")

    def test_get_takes_no_longer_than_a_read(self, clinic):
        began = time.monotonic()
        assert 504 == clinic.call("GET", "/public/sleep").status_code
        assert time.monotonic() - began < 10

    def test_function_that_is_changed_is_prepared_again(self, clinic):
        """With other columns it works at once; while it is gone it is a 503."""
        slot_of = clinic.sql("select pg_get_functiondef('free_slots'::regproc) as sql")
        clinic.sql("drop function free_slots")
        try:
            answer = clinic.call("GET", FREE + "91")
            assert (503, "rpc.broken") == refusal(answer)[:2]
            clinic.sql(
                "create function free_slots(doctor bigint)"
                " returns table (other text) language sql as 'select ''x'''"
            )
            assert [{"other": "x"}] == clinic.message("GET", FREE + "92")
            clinic.sql("drop function free_slots")
        finally:
            clinic.sql(slot_of[0]["sql"])
        assert [] == clinic.message("GET", FREE + "93")


def test_openapi_has_values_and_columns(clinic):
    """Typed by the declaration, and by the prepared statement."""
    paths = clinic.call("GET", "/openapi.json").json()["paths"]

    free = paths["/public/free-slots"]["get"]
    assert "The slots of a doctor that are free" == free["summary"]
    (doctor,) = [each for each in free["parameters"] if each["name"] == "doctor"]
    assert ("query", True, "int64") == (
        doctor["in"],
        doctor["required"],
        doctor["schema"]["format"],
    )
    answer = free["responses"]["200"]["content"]["application/json"]["schema"]
    row = answer["properties"]["message"]["items"]["properties"]
    assert {"id", "starts_at", "place"} <= row.keys()
    assert "date-time" == row["starts_at"]["format"]
    book = paths["/my/book"]["post"]
    assert [{"user": []}] == book["security"]
    body = book["requestBody"]["content"]["application/json"]["schema"]
    assert ["slot"] == body["required"]
    (path,) = paths["/public/doctor/{doctor}/slots"]["get"]["parameters"][:1]
    assert ("path", "doctor") == (path["in"], path["name"])
    empty = paths["/desk/empty"]["post"]["responses"]["200"]["content"]
    message = empty["application/json"]["schema"]["properties"]["message"]
    assert "integer" == message["type"]


FAULTS = {
    "get /x": ({"sql": "select 1"}, "expected a method and a path"),
    "GET /public/a": ({"sqll": "select 1"}, "no key 'sqll'. Did you mean 'sql'?"),
    "GET /public/b": ({"sql": "select :doctor"}, ":doctor is not known"),
    "GET /public/c": (
        {"sql": "select 1 as a", "value": {"doctor": "bigint"}},
        "value: doctor: the statement has no :doctor",
    ),
    "GET /public/d": (
        {"sql": "select :d as d", "value": {"d": "big int"}},
        "'big int' is not a known datatype. Did you mean 'bigint'?",
    ),
    "GET /public/q": (
        {
            "sql": "select :d as d",
            "value": {"d": {"datatype": "bigint", "default": "x"}},
        },
        "value: d: default: Column 'd' takes a whole number",
    ),
    "GET /public/e": ({"sql": "delete from test"}, "GET takes a select"),
    "GET /f": ({"sql": "select 1 as a"}, "it is open to no one"),
    "GET /r": ({"sql": "select 1 as a", "is_access": 0}, "it is open to no one"),
    "GET /public/g": (
        {"sql": "select :claim_email as a"},
        "config_token_key_list has no 'email'",
    ),
    "GET /public/{h}": ({"sql": "select 1 as a"}, "lacks 'h', which is in the path"),
    "GET /public/i": ({"sql": "select 1 as a; drop table test"}, "; is not expected"),
    "GET /my/j": (
        {"sql": "select 1 as a", "role": ["dsk"]},
        "config_role has no 'dsk'",
    ),
    "GET /test": ({"sql": "select 1 as a", "is_token": 0}, "hides that of config_rpc["),
    "GET /public/k": (
        {"sql": "select 1 as a", "cache_sec": ["inmemory", 5]},
        "cache_sec: config_api['GET /public/k'] has it too",
    ),
}
FAULTS["GET /my/p"] = (
    {"sql": "select :me as a", "cache_sec": ["inmemory", 5, "shared"]},
    'cache_sec: "shared" sends one answer to all',
)
UNPREPARED = {
    "GET /public/l": ({"sql": "select * from nowhere"}, '"nowhere" does not exist'),
    "GET /public/m": (
        {"sql": "select :a as a", "value": {"a": "moood"}},
        '"moood" does not exist',
    ),
    "GET /public/n": ({"sql": "select 1 as a, 2 as a"}, "it answers two columns 'a'"),
    "POST /public/o": (
        {"sql": "delete from test", "table": ["tset"]},
        "there is no table 'tset'",
    ),
}


@pytest.mark.parametrize("faults", [FAULTS, UNPREPARED], ids=["form", "postgresql"])
def test_faults_stop_the_start_all_at_once(tmp_path, faults):
    """Each with its entry and the nearest word, or PostgreSQL's."""
    text = f"config_rpc = { {name: entry for name, (entry, _) in faults.items()}!r}\n"
    text += 'config_api = {"GET /public/k": {"cache_sec": ["inmemory", 6]}}\n'
    if faults is UNPREPARED:
        text = text.partition("\n")[0]
    code, shown = started(copied(tmp_path, config_a=text))

    assert 0 != code
    for name, (_, words) in faults.items():
        lines = [each for each in shown.splitlines() if words in each]
        assert any(name.partition(" ")[2] in line for line in lines), (name, shown)
    assert "Traceback" not in shown
