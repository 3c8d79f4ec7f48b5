"""`Prefer: bigint=text`: numbers beyond 2^53 as text, for readers that have doubles."""

import json

import pytest

from tests.acceptance.conftest import serving

LARGE = 9223372036854775807
PREFER = {"Prefer": "bigint=text"}
CONFIG = """
config_postgres_schema = {"table": {
    "ledger": ["created_by_id-bigint-0-0", "amount-bigint-0-0", "part-bigint[]-0-0",
               "small-integer-0-0"],
    "entry": ["created_by_id-bigint-0-0", "amount-bigint-0-0",
              {"name": "ledger_id", "datatype": "bigint", "references": "ledger.id"}],
}}
config_table = {name: {"my": "owner", "public": {"read": 1}}
                for name in ("ledger", "entry")}
config_table_allowed_public_read_list = ["test", "ledger", "entry"]
config_rpc = {
    "GET /my/sums": {"sql": "select 9223372036854775807 as n, array[1::bigint] as l,"
                            " 7::int as small from ledger limit 1"},
    "POST /my/sum": {"sql": "select :n as n", "value": {"n": "bigint"}},
}
config_api = {"/public/object-read": {"cache_sec": ["inmemory", 60]}}
"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """A server with large numbers; public reads are cached."""
    with serving(tmp_path_factory.mktemp("bank"), config_bank=CONFIG) as running:
        running.eve = running.person()
        running.admin = running.person(api_access="1,2,3,4,5,6")
        row = {"amount": str(LARGE), "part": [LARGE, None], "small": 7}
        path = "/my/object-create?table=ledger"
        running.made = running.message("POST", path, running.eve, json=row)
        path = "/my/object-create?table=entry"
        row = {"amount": LARGE, "ledger_id": str(running.made)}
        running.message("POST", path, running.eve, json=row)
        yield running


def ask(bank, path, who, **headers):
    """Read with a preference; return the rows."""
    answer = bank.call("GET", path, who, headers=headers or PREFER)
    assert 200 == answer.status_code, answer.text
    assert "Prefer" in answer.headers["vary"]
    applied = None if headers else "bigint=text"
    assert applied == answer.headers.get("preference-applied")
    return answer.json()["message"]


READS = (
    "/my/object-read?table=ledger",
    "/my/object-read?table=ledger&limit=1&cursor=&is_count=1&order=amount",
    "/public/object-read?table=ledger",
    "/admin/object-read?table=ledger",
    "/my/rows/ledger?limit=1",
    "/public/rows/ledger",
    "/admin/rows/ledger",
    "/my/parent-read?table=entry&parent_table=ledger&parent_column=ledger_id",
)


@pytest.mark.parametrize("path", READS)
def test_every_read_answers_digits(bank, path):
    """Whole numbers of 64 bits are text, single and in lists; others are numbers."""
    who = bank.admin if path.startswith("/admin") else bank.eve
    (row,) = ask(bank, path, who)

    assert {
        "id": str(bank.made),
        "created_by_id": str(bank.eve.id),
        "amount": str(LARGE),
        "part": [str(LARGE), None],
        "small": 7,
    }.items() <= row.items()


@pytest.mark.parametrize("tier", ["my", "public", "admin"])
def test_one_row_answers_digits(bank, tier):
    """By its key."""
    who = bank.admin if tier == "admin" else bank.eve
    row = ask(bank, f"/{tier}/rows/ledger/{bank.made}", who)
    assert (str(bank.made), str(LARGE)) == (row["id"], row["amount"])


@pytest.mark.parametrize("path", READS)
def test_without_the_header_they_are_numbers(bank, path):
    """Also when the same question was answered otherwise before."""
    who = bank.admin if path.startswith("/admin") else bank.eve
    for _ in range(2):
        (row,) = ask(bank, path, who, Prefer="respond-async, bigint=number")
        assert (LARGE, [LARGE, None]) == (row["amount"], row["part"])
        (row,) = ask(bank, path, who)
        assert str(LARGE) == row["amount"]
    answer = bank.call("GET", path, who)
    assert (LARGE, None) == (
        answer.json()["message"][0]["amount"],
        answer.headers.get("preference-applied"),
    )


def test_rows_within_rows_too(bank):
    """From both sides of a relation, and what groups are made by."""
    path = "/my/object-read?table=entry&relation=ledger_id(amount)"
    (row,) = ask(bank, path, bank.eve)
    assert str(LARGE) == row["ledger"]["amount"]
    path = "/my/object-read?table=ledger&relation=entry(amount),entry:count"
    (row,) = ask(bank, path, bank.eve)
    assert ([{"amount": str(LARGE)}], 1) == (row["entry"], row["entry_count"])
    path = "/my/object-read?table=entry&group_by=ledger_id&aggregate=max(amount),count"
    (group,) = ask(bank, path, bank.eve)
    wanted = {"ledger_id": str(bank.made), "max_amount": str(LARGE), "count": 1}
    assert wanted == group


def test_outside_of_row_routes_too(bank):
    """The profile, messages and statements of one's own; numbers without the header."""
    body = {"user_id": bank.eve.id, "description": "x"}
    bank.message("POST", "/my/object-create?table=message", bank.eve, json=body)
    eve, other = str(bank.eve.id), {"Prefer": "x"}
    assert eve == ask(bank, "/my/profile", bank.eve)["id"]
    assert bank.eve.id == ask(bank, "/my/profile", bank.eve, **other)["id"]
    for name in ("received", "inbox", f"thread?user_id={eve}"):
        (row,) = ask(bank, f"/my/message-{name}", bank.eve)
        assert (eve, eve) == (row["user_id"], row["created_by_id"])
        (row,) = ask(bank, f"/my/message-{name}", bank.eve, **other)
        assert bank.eve.id == row["user_id"]
    wanted = {"n": str(LARGE), "l": ["1"], "small": 7}
    assert [wanted] == ask(bank, "/my/sums", bank.eve)
    assert [wanted | {"n": LARGE, "l": [1]}] == ask(bank, "/my/sums", bank.eve, **other)
    for headers, n in ((PREFER, str(LARGE)), ({}, LARGE)):
        options = {"json": {"n": LARGE}, "headers": headers}
        assert [{"n": n}] == bank.message("POST", "/my/sum", bank.eve, **options)
    document = bank.call("GET", "/openapi.json").json()["paths"]
    for path in ("/my/profile", "/my/message-thread", "/my/sums"):
        assert "bigint=text" in json.dumps(document[path]["get"]["parameters"])


def test_what_is_answered_is_taken(bank):
    """In a filter, a cursor and a body; and a write answers as it is preferred."""
    (row,) = ask(bank, "/my/object-read?table=ledger", bank.eve)
    path = f"/my/object-read?table=ledger&amount==,{row['amount']}&id==,{row['id']}"
    assert [row] == ask(bank, path, bank.eve)
    answer = bank.call(
        *("PUT", "/my/object-update?table=ledger", bank.eve),
        json={"id": row["id"], "amount": row["amount"], "part": row["part"]},
        headers={"Prefer": "return=representation, bigint=text"},
    )
    assert 200 == answer.status_code, answer.text
    (changed,) = (
        json.loads(answer.text)["message"]
        if "[" in answer.text[:25]
        else (json.loads(answer.text)["message"],)
    )
    assert row["amount"] == changed["amount"]
    assert "return=representation, bigint=text" == answer.headers["preference-applied"]


def test_it_is_typed(bank):
    """The header is a parameter of reads, and such a column integer or string."""
    document = bank.call("GET", "/openapi.json").json()
    properties = document["components"]["schemas"]["ledger_row"]["properties"]
    assert {"integer", "string", "null"} == set(properties["amount"]["type"])
    assert {"integer", "string", "null"} == set(properties["part"]["items"]["type"])
    assert ["integer", "null"] == properties["small"]["type"]
    for path in ("/my/object-read", "/my/parent-read", "/my/rows/ledger"):
        parameters = json.dumps(document["paths"][path]["get"]["parameters"])
        shared = json.dumps(document["components"]["parameters"])
        assert "bigint=text" in parameters or (
            "prefer" in parameters.lower() and "bigint=text" in shared
        )
