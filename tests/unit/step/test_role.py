"""Who may call a route with roles."""

import pytest

from atom.errors import Forbidden
from atom.http.policy import RoutePolicy
from atom.http.step.role import ROLE, STEP, require_role
from tests.unit.step.probe import Route

DESK = RoutePolicy(
    name="GET /desk", token_required=True, values={"role": ("reception", "doctor")}
)


class Asked:
    """Roles as the database would have them."""

    def __init__(self, *held):
        self.held = set(held)

    async def require(self, user_id, names):
        if user_id != 7 or self.held.isdisjoint(names):
            raise Forbidden("role denied", code="role.denied")


@pytest.mark.parametrize(
    ("held", "allowed"), [(["doctor"], True), (["patient"], False), ([], False)]
)
async def test_one_of_the_roles_is_enough(exchange, held, allowed):
    """And none of them refuses."""
    made, route = exchange(policy=DESK, roles=Asked(*held)), Route()
    made.user["id"] = 7
    if allowed:
        await require_role(made, route)
    else:
        with pytest.raises(Forbidden, match="role denied"):
            await require_role(made, route)

    assert int(allowed) == route.reached


def test_route_without_roles_skips_the_step():
    assert STEP.applies(DESK)
    assert not STEP.applies(RoutePolicy())


@pytest.mark.parametrize("value", ["reception", [], [1], [""], {"a": 1}, None])
def test_anything_but_names_is_a_fault(value):
    with pytest.raises(ValueError, match="expected a list of roles"):
        ROLE.parse(value)


def test_unknown_role_is_a_fault():
    fault = ROLE.check(("recepton",), {"config_role": {"reception": ""}}, None)

    assert "role: config_role has no 'recepton'. Did you mean 'reception'?" == fault
