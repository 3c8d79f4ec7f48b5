"""The api ids a user holds, which open /admin routes."""

from collections.abc import Mapping
from typing import Any

from atom.errors import Forbidden, Unavailable
from atom.port import Ports, UserState


def listed(value: object) -> frozenset[int]:
    """Parse api_access as a token carries it: comma-separated text, a list, or None.

    >>> sorted(listed("1, 2,x"))
    [1, 2]
    """
    parts = value if isinstance(value, list) else str(value or "").split(",")
    words = (str(part).strip() for part in parts)
    return frozenset(int(word) for word in words if word.isdecimal())


async def require(
    ports: Ports, user: Mapping[str, Any], api_id: int | None, state: UserState | None
) -> None:
    """Refuse a user without this id, checked as `config_mode_check_api_access` sets.

    Raises:
        Forbidden: `access.unmapped` when the route has no id; `access.denied`.
        Unavailable: when the user cannot be looked up.
    """
    if api_id is None:
        raise Forbidden("api id not mapped", code="access.unmapped")
    mode = ports.account.mode_check_api_access
    if mode == "token":
        ids = listed(user.get("api_access"))
    else:
        if state is None:
            raise Unavailable("Access cannot be checked.", hint="Is a database set?")
        if mode == "database":
            state = await ports.users.fresh(user["id"]) or state
        ids = state.api_access
    if api_id not in ids:
        raise Forbidden(
            "api access denied", hint="Your api_access does not list this route's id."
        )


async def require_too(
    ports: Ports, user: Mapping[str, Any], api_id: int | None
) -> None:
    """Refuse a user who may not call the route that does the same.

    Raises:
        Forbidden, Unavailable: as `require`.
    """
    state = await ports.users.state(user["id"])
    await require(ports, user, api_id, state)
