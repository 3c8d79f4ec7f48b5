"""Who may call a route with an id."""

import pytest

from atom.errors import Forbidden
from atom.http.policy import RoutePolicy
from atom.http.step.access import require_access
from atom.port import UserState
from tests.unit.step.probe import Known, Route

ADMIN = RoutePolicy(
    name="GET /admin/x", tier="admin", id=5, token_required=True, access_required=True
)


@pytest.mark.parametrize(
    ("ids", "mode", "claim", "allowed"),
    [
        ({5}, "cache", "", True),
        ({4}, "cache", "5", False),
        ({5}, "database", "", True),
        ({4}, "database", "5", False),
        ({4}, "token", "1,5", True),
        ({5}, "token", "1,4", False),
    ],
)
async def test_id_must_be_listed(exchange, ids, mode, claim, allowed):
    """Each mode asks the source it names, and no other."""
    made = exchange(
        policy=ADMIN,
        config={"config_mode_check_api_access": mode},
        users=Known(UserState(True, frozenset(ids), 0)),
    )
    made.user.update(id=7, api_access=claim)
    made.state = made.ports.users.kept
    route = Route()
    if allowed:
        await require_access(made, route)
    else:
        with pytest.raises(Forbidden, match="api access denied"):
            await require_access(made, route)

    assert int(allowed) == route.reached


async def test_route_without_id_is_closed(exchange):
    """A missing id never opens."""
    with pytest.raises(Forbidden, match="api id not mapped"):
        await require_access(exchange(policy=RoutePolicy(tier="admin")), Route())
