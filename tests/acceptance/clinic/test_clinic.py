"""Who reaches which rows, against PostgreSQL's own row level security."""

import os
from random import Random

import pytest

from tests.acceptance.clinic import ask
from tests.soak import size

SEED = int(os.environ.get("ATOM_CLINIC_SEED", "7"))
WAYS = 44  # of all tiers: every one comes up in 1,000 requests


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
    for more in ("", "&on_conflict=doctor_id,starts_at&mode=ignore"):
        for body in (slot, other, [slot], [other]):
            answer = clinic_api.call("POST", path + more, people["outsider"], json=body)
            assert 403 == answer.status_code, answer.text
            assert "row.rule_refused" == answer.json()["code"], answer.text
