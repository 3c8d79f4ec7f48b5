"""Users who were switched off."""

import pytest

from atom.errors import Forbidden
from atom.http.step.active import require_active
from atom.port import UserState
from tests.unit.step.probe import MY, Known, Route


@pytest.mark.parametrize("mode", ["cache", "database"])
async def test_inactive_user_is_refused(exchange, mode):
    """The claim of the token does not matter."""
    off = UserState(False, frozenset(), 0)
    made = exchange(
        policy=MY, users=Known(off), config={"config_mode_check_is_active": mode}
    )
    made.user.update(id=7, is_active=1)
    made.state = off
    with pytest.raises(Forbidden, match="user not active"):
        await require_active(made, Route())
