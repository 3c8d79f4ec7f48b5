"""Who reaches which rows, against PostgreSQL's own row level security."""

import os
from random import Random

import pytest

from tests.acceptance.clinic import ask
from tests.soak import size

SEED = int(os.environ.get("ATOM_CLINIC_SEED", "7"))
WAYS = 45  # of all tiers: every one comes up in 1,000 requests


@pytest.mark.soak
def test_same_rows_and_same_refusals_as_row_level_security(clinic_api, with_clinic):
    """Every user, table, verb and way, at random; a failure is printed at its
    smallest.
    """

    async def draw(clinic):
        random, ways = Random(SEED), set()
        for number in range(size(1_000, 20_000)):
            drawn = ask.draw(random)
            ways.add((drawn.tier, drawn.way))
            if await clinic.differs(drawn):
                small, reason = await clinic.smallest(drawn)
                pytest.fail(f"request {number} of seed {SEED}: {small}\n{reason}")
        assert clinic.queued >= size(1, 20)  # not all of them are refused
        return ways

    assert len(with_clinic(clinic_api, draw)) >= WAYS


def test_who_may_not_add_a_row_does_not_learn_that_it_is_there(
    clinic_api, people, built
):
    """A slot that exists, and one that does not, are refused in the same words."""
    assert built
    path = "/my/object-create?table=slot"
    slot = {"clinic_id": 1, "doctor_id": 1, "starts_at": "2027-01-01T09:00:00+00:00"}
    other = {**slot, "starts_at": "2033-01-01T09:00:00+00:00"}
    conflict = "&on_conflict=doctor_id,starts_at&mode="
    for more in ("", "&queue=batch", f"{conflict}ignore", f"{conflict}merge"):
        for body in (slot, other, [slot], [other]):
            answer = clinic_api.call("POST", path + more, people["outsider"], json=body)
            assert 403 == answer.status_code, answer.text
            assert "row.rule_refused" == answer.json()["code"], answer.text
    made = {"clinic_id": 1, "doctor_id": 1, "starts_at": "2034-01-01T09:00:00+00:00"}
    theirs = {"clinic_id": 3, "doctor_id": 7, "starts_at": "2027-01-01T09:00:00+00:00"}
    answer = clinic_api.call(
        "POST", f"{path}{conflict}ignore", people["desk_1"], json=[made, theirs]
    )
    assert 403 == answer.status_code, answer.text  # and nothing of the list is there
    assert [] == clinic_api.sql("select from slot where starts_at > '2033-12-31'")
    for body in (slot, other):
        entry = [{"table": "slot", "object": body}]
        path = "/my/object-create-many"
        answer = clinic_api.call("POST", path, people["outsider"], json=entry)
        assert "row.rule_refused" == answer.json()["code"], answer.text


def test_an_admin_who_leaves_a_tenant_loses_its_rows_in_the_cache_too(
    clinic_api, people, built
):
    """/admin/object-read keeps answers for 100 s; a changed scope drops them."""
    assert built
    path = "/admin/object-read?table=slot&column=id"
    staff = "/admin/object-read?table=staff&column=id,role&role==,admin"
    (place,) = clinic_api.message("GET", staff, people["admin_2"])
    assert clinic_api.message("GET", path, people["admin_2"])
    assert clinic_api.message("GET", path, people["admin_2"])

    row = {"table": "staff", "ids": [place["id"]]}
    assert 1 == clinic_api.message(
        "DELETE", "/admin/ids-delete", people["admin_2"], json=row
    )
    try:
        assert [] == clinic_api.message("GET", path, people["admin_2"])
    finally:
        clinic_api.sql(
            "insert into staff overriding system value select * from seed.staff"
            f" where id = {place['id']}"
        )
